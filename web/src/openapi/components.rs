//! What operations share: how to authenticate, headers, and the cursor parameter.

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

/// How programs authenticate.
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
    let header = |what: &str, of: Type| {
        HeaderBuilder::new()
            .description(Some(what))
            .schema(Some(ObjectBuilder::new().schema_type(of)))
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
                "Send it back with a request to be answered from no earlier state, on any node.",
                Type::String,
            ),
        ),
        (RETRY_AFTER, header("Seconds after which to try again.", Type::Integer)),
    ]
}

/// `x-starling-cursor` in a request.
pub(super) fn cursor_parameter() -> Parameter {
    let schema = ObjectBuilder::new().schema_type(Type::String);
    ParameterBuilder::new()
        .name(CURSOR)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "The last one received. The node waits for what it covers, 2 s at most (503 if it takes longer). It does not \
             wait for what no reachable node has, and ignores a cursor that it cannot read.",
        ))
        .schema(Some(schema))
        .build()
}

/// `params(CursorHeader)`: the cursor, for an operation outside of `/api/v1`.
pub struct CursorHeader;

impl IntoParams for CursorHeader {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![cursor_parameter()]
    }
}
