//! The parts that operations share: authentication, headers, and the cursor parameter.

use utoipa::{
    IntoParams,
    openapi::{
        Header, HeaderBuilder, ObjectBuilder, Ref, Required, Type,
        path::{Parameter, ParameterBuilder, ParameterIn},
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

pub(super) const REQUEST_ID: &str = "x-request-id";
pub(super) const CURSOR: &str = "x-starling-cursor";
pub(super) const RETRY_AFTER: &str = "retry-after";
/// The name of [`bearer_scheme`].
pub const BEARER: &str = "bearer";

/// Returns the scheme by which programs authenticate.
pub fn bearer_scheme() -> SecurityScheme {
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT, or a personal access token")
        .description(Some("The access token of a login, or a personal access token."))
        .build();
    SecurityScheme::Http(bearer)
}

pub(super) fn header_ref(name: &str) -> Ref {
    Ref::new(format!("#/components/headers/{name}"))
}

pub(super) fn headers() -> [(&'static str, Header); 3] {
    let header = |description: &str, schema_type: Type| {
        HeaderBuilder::new()
            .description(Some(description))
            .schema(Some(ObjectBuilder::new().schema_type(schema_type)))
            .build()
    };
    [
        (
            REQUEST_ID,
            header("The id of this request in the logs. An id from a trusted proxy is kept.", Type::String),
        ),
        (
            CURSOR,
            header(
                "Send it with your next request: then any node answers with everything that you have seen.",
                Type::String,
            ),
        ),
        (RETRY_AFTER, header("The seconds to wait before you try again.", Type::Integer)),
    ]
}

/// Returns the header `x-starling-cursor` as a parameter of a request.
pub(super) fn cursor_parameter() -> Parameter {
    let schema = ObjectBuilder::new().schema_type(Type::String);
    ParameterBuilder::new()
        .name(CURSOR)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "The last cursor that you received. The node waits up to 2 s until it has everything that the cursor covers (503 \
             if that takes longer). It does not wait for data that no reachable node has, and ignores a cursor that it \
             cannot read.",
        ))
        .schema(Some(schema))
        .build()
}

/// Adds the cursor parameter to an operation outside of `/api/v1`, as `params(CursorHeader)`.
pub struct CursorHeader;

impl IntoParams for CursorHeader {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![cursor_parameter()]
    }
}
