//! The OpenAPI document: written by each handler about itself, put together by the router, and completed here with
//! what holds for every operation, so that no handler has to say it.

pub mod refuses;

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hasher},
};

use axum::{body::Bytes, http::HeaderValue};
use starling_protocol::ErrorCode;
use utoipa::{
    IntoParams, PartialSchema,
    openapi::{
        Header, HeaderBuilder, InfoBuilder, Object, ObjectBuilder, OpenApi, OpenApiBuilder, Ref, RefOr,
        Required, Type,
        path::{Operation, Parameter, ParameterBuilder, ParameterIn},
        schema::{ArrayItems, Schema, SchemaType},
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
        tag::TagBuilder,
    },
};

use crate::{guard, pages, problem, routes::api::caller};

/// Where the strict rules hold: unknown fields are refused, and answers carry `x-starling-cursor`.
const API: &str = "/api/v1/";

/// The groups of operations, in the order of the documentation.
pub mod tag {
    /// No account.
    pub const QUICK: &str = "Quick rooms";
    /// People and each other.
    pub const CONTACTS: &str = "Contacts";
    /// Rooms of members.
    pub const ROOMS: &str = "Rooms";
    /// Messages of rooms of members.
    pub const MESSAGES: &str = "Messages";
    /// What happens, as it happens.
    pub const LIVE: &str = "Live";
    /// Who somebody is.
    pub const ACCOUNTS: &str = "Accounts";
    /// Accounts, for those who administer the service.
    pub const ADMINISTRATION: &str = "Administration";
    /// What a browser opens.
    pub const PAGES: &str = "Pages";
    /// Health, figures and this document.
    pub const OPERATIONS: &str = "Operations";
}

const TAGS: [(&str, &str); 9] = [
    (tag::QUICK, "Rooms that need no account: make one, send its link, talk."),
    (tag::LIVE, "What happens, as it happens: one WebSocket for all rooms and contacts."),
    (tag::CONTACTS, "Who knows whom: search, requests and their answers, blocks, the rooms of two."),
    (tag::ROOMS, "Rooms of members: who may find them, come in, stay, and lead them."),
    (tag::MESSAGES, "What is said in rooms of members, and what is done to it."),
    (
        tag::ACCOUNTS,
        "Register, log in, stay logged in; one's profile, settings, sessions and personal access tokens.",
    ),
    (tag::ADMINISTRATION, "All accounts, for those who administer the service."),
    (tag::PAGES, "What a browser opens, and what it loads for that."),
    (tag::OPERATIONS, "For balancers, monitoring and programs."),
];

const DESCRIPTION: &str = "\
A self-hosted chat server. Every node answers all of this alike.

JSON in UTF-8, `snake_case`; times are RFC 3339 in UTC with milliseconds; ids are opaque URL-safe strings of at most 64 \
characters. Lists are `{\"items\": […], \"next\": …}`; `next` is the `cursor` of the next page, or null.

Every refusal is an RFC 9457 problem with a stable `code`. An address that does not take a method answers 400, one that \
does not exist 404.";

/// What a document begins with.
pub fn base() -> OpenApi {
    let tags = TAGS.map(|(name, what)| TagBuilder::new().name(name).description(Some(what)).build());
    let info = InfoBuilder::new()
        .title("Starling")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .build();
    OpenApiBuilder::new().info(info).tags(Some(tags)).build()
}

/// Adds what the machinery of the routes does for every operation, and all that is referred to.
pub fn complete(document: &mut OpenApi) {
    let components = document.components.get_or_insert_default();
    refer_to_items(&mut components.schemas);
    components.schemas.insert("Problem".to_owned(), problem::Body::schema());
    components.schemas.insert("FieldError".to_owned(), problem::FieldError::schema());
    components.headers.extend(headers().map(|(name, header)| (name.to_owned(), header.into())));
    components.parameters.insert(CURSOR.to_owned(), cursor_parameter().into());
    components
        .security_schemes
        .extend(security_schemes().map(|(name, scheme)| (name.to_owned(), scheme.into())));
    for (path, item) in &mut document.paths.paths {
        let reads = item.get.as_mut().map(|operation| (operation, false));
        let writes = [&mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        let writes = writes.into_iter().flatten().map(|operation| (operation, true));
        for (operation, writes) in reads.into_iter().chain(writes) {
            complete_operation(path, operation, writes);
            let shared = operation.responses.responses.values().filter_map(|response| match response {
                RefOr::Ref(reference) => refuses::shared(reference),
                RefOr::T(_) => None,
            });
            components.responses.extend(shared.map(|(name, response)| (name, response.into())));
        }
    }
}

/// utoipa writes the items of a generic list out: they are an object with a name.
fn refer_to_items(schemas: &mut BTreeMap<String, RefOr<Schema>>) {
    for (name, list) in schemas {
        let (Some(item), RefOr::T(Schema::Object(list))) = (name.strip_prefix("List_"), list) else {
            continue;
        };
        if let Some(RefOr::T(Schema::Array(items))) = list.properties.get_mut("items") {
            items.items = ArrayItems::RefOrSchema(Box::new(Ref::from_schema_name(item).into()));
        }
    }
}

/// utoipa lets an optional parameter be null, which no parameter can be.
fn never_null(parameter: &mut Parameter) {
    match &mut parameter.schema {
        Some(RefOr::T(Schema::Object(Object { schema_type: of @ SchemaType::Array(_), .. }))) => {
            if let SchemaType::Array(types) = of
                && let [one, Type::Null] = &**types
            {
                *of = SchemaType::Type(one.clone());
            }
        }
        Some(RefOr::T(Schema::OneOf(either))) => {
            either.items.retain(|of| {
                !matches!(of, RefOr::T(Schema::Object(of)) if of.schema_type == SchemaType::Type(Type::Null))
            });
            if let [one] = &*either.items {
                parameter.schema = Some(one.clone());
            }
        }
        _ => {}
    }
}

fn complete_operation(path: &str, operation: &mut Operation, writes: bool) {
    let strict = path.starts_with(API);
    if strict {
        let cursor = Ref::new(format!("#/components/parameters/{CURSOR}"));
        operation.parameters.get_or_insert_default().push(RefOr::Ref(cursor));
    }
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter {
            never_null(parameter);
        }
    }
    let responses = &mut operation.responses.responses;
    for response in responses.values_mut() {
        if let RefOr::T(response) = response {
            let names = if strict { &[REQUEST_ID, CURSOR][..] } else { &[REQUEST_ID] };
            response
                .headers
                .extend(names.iter().map(|&name| (name.to_owned(), RefOr::Ref(header_ref(name)))));
        }
    }
    // What the layers around all routes answer.
    refuses::add(responses, ErrorCode::Unavailable);
    if guard::is_counted(path) {
        refuses::add(responses, ErrorCode::RateLimited);
    }
    if !guard::is_health(path) {
        refuses::add(responses, ErrorCode::Overloaded);
    }
    if writes {
        for code in [ErrorCode::Draining, ErrorCode::StorageFull] {
            refuses::add(responses, code);
        }
    }
    if !strict {
        return;
    }
    // What it does not take.
    refuses::add(responses, ErrorCode::BadRequest);
    // What the extractors of `/api/v1` answer.
    let given = operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
        RefOr::T(parameter) => Some(&parameter.parameter_in),
        RefOr::Ref(_) => None,
    });
    for place in given {
        let code = if *place == ParameterIn::Path { ErrorCode::NotFound } else { ErrorCode::BadRequest };
        refuses::add(responses, code);
    }
    if operation.request_body.is_some() {
        for code in [ErrorCode::BadRequest, ErrorCode::TooLarge, ErrorCode::UnsupportedMediaType] {
            refuses::add(responses, code);
        }
    }
    if operation.security.as_ref().is_some_and(|security| !security.is_empty()) {
        for code in [ErrorCode::Unauthenticated, ErrorCode::TokenExpired] {
            refuses::add(responses, code);
        }
        if writes {
            // Another site's page made the browser ask, with the cookie.
            refuses::add(responses, ErrorCode::Forbidden);
        }
    }
}

/// How a caller proves who he is.
fn security_schemes() -> [(&'static str, SecurityScheme); 2] {
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT, or a personal access token")
        .description(Some("An access token of a login, or a personal access token."))
        .build();
    let cookie = ApiKeyValue::with_description(
        caller::COOKIE,
        "The session of a browser; `__Host-starling_session` where users speak TLS. Requests that change something must \
         come from this server's own pages.",
    );
    [("bearer", SecurityScheme::Http(bearer)), ("cookie", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)))]
}

const REQUEST_ID: &str = "x-request-id";
const CURSOR: &str = "x-starling-cursor";
const RETRY_AFTER: &str = "retry-after";

fn header_ref(name: &str) -> Ref {
    Ref::new(format!("#/components/headers/{name}"))
}

fn headers() -> [(&'static str, Header); 3] {
    let header = |what: &str, of: Type| {
        HeaderBuilder::new()
            .description(Some(what))
            .schema(Some(ObjectBuilder::new().schema_type(of)))
            .build()
    };
    [
        (
            REQUEST_ID,
            header(
                "Names this request in the logs. One that a trusted proxy sent along is kept.",
                Type::String,
            ),
        ),
        (
            CURSOR,
            header(
                "Sent back with a request, it is answered from no earlier state, on any node.",
                Type::String,
            ),
        ),
        (RETRY_AFTER, header("Seconds after which to try again.", Type::Integer)),
    ]
}

/// `x-starling-cursor` in a request.
fn cursor_parameter() -> Parameter {
    let schema = ObjectBuilder::new().schema_type(Type::String);
    ParameterBuilder::new()
        .name(CURSOR)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "The last one received: what it covers is waited for, 2 s at most, where another node that is reached has it \
             (503 if it takes longer). What none of them has, and what cannot be read, is ignored.",
        ))
        .schema(Some(schema))
        .build()
}

/// `params(CursorHeader)`: an operation outside of `/api/v1` that takes the cursor all the same.
pub struct CursorHeader;

impl IntoParams for CursorHeader {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![cursor_parameter()]
    }
}

/// The document and its page, ready to be sent. Made once, at start.
pub struct Served {
    /// The document.
    pub json: Bytes,
    /// Its `ETag`: a hash of it.
    pub etag: HeaderValue,
    /// The page that shows it.
    pub page: Bytes,
}

impl Served {
    /// Encodes and renders a complete document.
    pub fn new(document: &OpenApi) -> Self {
        let value = serde_json::to_value(document).expect("a document is made of strings and maps");
        let json = Bytes::from(value.to_string());
        let mut hasher = DefaultHasher::new();
        hasher.write(&json);
        let etag = HeaderValue::try_from(format!("\"{:016x}\"", hasher.finish())).expect("digits in quotes");
        Self { json, etag, page: pages::docs(&value).into_string().into() }
    }
}
