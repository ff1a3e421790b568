//! The OpenAPI document: each handler describes itself, the router collects the descriptions, and this module adds what
//! holds for every operation. Pages for people are not in it ([`tag::PAGES`]).

mod components;
pub mod errors;

use std::collections::BTreeMap;

use starling_protocol::ErrorCode;
use utoipa::{
    PartialSchema,
    openapi::{
        Info, InfoBuilder, LicenseBuilder, Object, OpenApi, OpenApiBuilder, Ref, RefOr, SecurityRequirement,
        Server, ServerBuilder, Type,
        path::{Operation, Parameter, ParameterIn},
        schema::{ArrayItems, Schema, SchemaType},
        tag::TagBuilder,
    },
};

pub use self::components::{BEARER, CursorHeader, bearer_scheme};
use self::components::{CURSOR, REQUEST_ID};
use crate::{guard, problem};

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
    /// What a browser opens: in a document of its own, which nobody is served.
    pub const PAGES: &str = "Pages";
    /// Health, figures and this document.
    pub const OPERATIONS: &str = "Operations";
}

const TAGS: [(&str, &str); 8] = [
    (tag::QUICK, "Rooms that need no account: make one, send its link, talk."),
    (tag::LIVE, "One WebSocket for everything that concerns you."),
    (tag::CONTACTS, "Search, requests and their answers, blocks, direct rooms."),
    (tag::ROOMS, "Rooms of members: find, join and manage them; members, invites and bans."),
    (tag::MESSAGES, "Messages in rooms of members: post, edit, delete, react, mark as read."),
    (
        tag::ACCOUNTS,
        "Register, log in, stay logged in; your profile, settings, sessions and personal access tokens.",
    ),
    (tag::ADMINISTRATION, "All accounts, for administrators."),
    (tag::OPERATIONS, "For balancers, monitoring and programs."),
];

const DESCRIPTION: &str = "\
A self-hosted chat server. Every node answers alike.

JSON in UTF-8, `snake_case`. Times are RFC 3339 in UTC with milliseconds (`format: date-time`). Ids are opaque URL-safe \
strings of at most 64 characters (`format: uuid` or `id`). Lists are `{\"items\": […], \"next\": …}`; `next` is the \
`cursor` of the next page, or null.

Programs authenticate with `Authorization: Bearer TOKEN`: register or log in to get a token. Every operation requires it \
unless it says otherwise. The pages of this server use a session cookie instead, together with a check of `Origin`.

Every refusal is an RFC 9457 problem with a stable `code`. An address answers 405 to a method that it does not take, and \
404 if it does not exist.

The frames of the two WebSockets are in the AsyncAPI document, `/api/asyncapi.json`.";

fn info() -> Info {
    let spdx = "MIT OR Apache-2.0";
    InfoBuilder::new()
        .title("Starling")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .license(Some(LicenseBuilder::new().name(spdx).identifier(Some(spdx)).build()))
        .build()
}

/// The servers: the public address if there is one, and the node that served the document.
fn servers(public_url: Option<&str>) -> Vec<Server> {
    let server = |url: &str, what: &str| ServerBuilder::new().url(url).description(Some(what)).build();
    let public = public_url.map(|url| server(url.trim_end_matches('/'), "The service."));
    let this = server("/", "The node that served this document.");
    public.into_iter().chain([this]).collect()
}

/// The beginning of the document. Every operation requires a bearer token unless it says `security(())`.
pub fn base(public_url: Option<&str>) -> OpenApi {
    let tags = TAGS.map(|(name, what)| TagBuilder::new().name(name).description(Some(what)).build());
    OpenApiBuilder::new()
        .info(info())
        .tags(Some(tags))
        .servers(Some(servers(public_url)))
        .security(Some([SecurityRequirement::new(BEARER, [""; 0])]))
        .build()
}

/// Adds what the machinery of the routes does for every operation, and all that is referred to.
pub fn complete(document: &mut OpenApi) {
    let components = document.components.get_or_insert_default();
    refer_to_items(&mut components.schemas);
    components.schemas.insert("Problem".to_owned(), problem::Body::schema());
    components.schemas.insert("FieldError".to_owned(), problem::FieldError::schema());
    components.schemas.insert("ErrorCode".to_owned(), errors::code_schema());
    components.headers.extend(components::headers().map(|(name, header)| (name.to_owned(), header.into())));
    components.parameters.insert(CURSOR.to_owned(), components::cursor_parameter().into());
    components.security_schemes.insert(BEARER.to_owned(), bearer_scheme().into());
    for (path, item) in &mut document.paths.paths {
        let reads = item.get.as_mut().map(|operation| (operation, false));
        let writes = [&mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        let writes = writes.into_iter().flatten().map(|operation| (operation, true));
        for (operation, writes) in reads.into_iter().chain(writes) {
            complete_operation(path, operation, writes);
            let shared = operation.responses.responses.values().filter_map(|response| match response {
                RefOr::Ref(reference) => errors::shared(reference),
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

/// `get_room` is `getRoom`: the name of a handler is a verb and its object.
fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut id, word| {
        let mut letters = word.chars();
        id.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        id + letters.as_str()
    })
}

fn complete_operation(path: &str, operation: &mut Operation, writes: bool) {
    let strict = path.starts_with(API);
    operation.operation_id = operation.operation_id.as_deref().map(camel_case);
    // utoipa writes `security(())` as one empty requirement: nothing is required.
    if operation.security.as_deref() == Some(&[SecurityRequirement::default()]) {
        operation.security = Some(Vec::new());
    }
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
            response.headers.extend(
                names.iter().map(|&name| (name.to_owned(), RefOr::Ref(components::header_ref(name)))),
            );
        }
    }
    // What the layers around all routes answer.
    errors::add(responses, ErrorCode::Unavailable);
    if guard::is_counted(path) {
        errors::add(responses, ErrorCode::RateLimited);
    }
    if !guard::is_health(path) {
        // By a name that is not the service's, and while all connections are taken.
        for code in [ErrorCode::BadRequest, ErrorCode::Overloaded] {
            errors::add(responses, code);
        }
    }
    if writes {
        for code in [ErrorCode::Draining, ErrorCode::StorageFull] {
            errors::add(responses, code);
        }
    }
    if !strict {
        return;
    }
    // What the extractors of `/api/v1` answer.
    let given = operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
        RefOr::T(parameter) => Some(&parameter.parameter_in),
        RefOr::Ref(_) => None,
    });
    for place in given {
        let code = if *place == ParameterIn::Path { ErrorCode::NotFound } else { ErrorCode::BadRequest };
        errors::add(responses, code);
    }
    if operation.request_body.is_some() {
        for code in [ErrorCode::BadRequest, ErrorCode::TooLarge, ErrorCode::UnsupportedMediaType] {
            errors::add(responses, code);
        }
    }
    if operation.security.is_none() {
        for code in [ErrorCode::Unauthenticated, ErrorCode::TokenExpired] {
            errors::add(responses, code);
        }
        if writes {
            // Another site's page made the browser ask, with the cookie.
            errors::add(responses, ErrorCode::Forbidden);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: a generated client finds the public address first, and the node itself where there is none.
    #[test]
    fn the_public_address_is_the_first_server() {
        let urls = |public| servers(public).into_iter().map(|server| server.url).collect::<Vec<_>>();
        assert_eq!(urls(Some("https://chat.example/")), ["https://chat.example", "/"]);
        assert_eq!(urls(None), ["/"]);
    }
}
