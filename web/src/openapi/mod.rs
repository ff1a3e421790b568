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

/// The beginning of all paths under the strict rules: unknown fields are refused, and responses carry `x-starling-cursor`.
const API: &str = "/api/v1/";

/// The groups of operations, in the order of the documentation.
pub mod tag {
    /// Rooms that need no account.
    pub const QUICK: &str = "Quick rooms";
    /// The relations between users.
    pub const CONTACTS: &str = "Contacts";
    /// Member rooms and direct rooms.
    pub const ROOMS: &str = "Rooms";
    /// Messages of member rooms.
    pub const MESSAGES: &str = "Messages";
    /// The WebSocket of an account.
    pub const LIVE: &str = "Live";
    /// The caller's own account.
    pub const ACCOUNTS: &str = "Accounts";
    /// All accounts, for administrators.
    pub const ADMINISTRATION: &str = "Administration";
    /// Pages for browsers. They are described in a document of their own, which is not served.
    pub const PAGES: &str = "Pages";
    /// Health, metrics and the documents.
    pub const OPERATIONS: &str = "Operations";
}

const TAGS: [(&str, &str); 8] = [
    (tag::QUICK, "Rooms that need no account: create one, share its link, talk."),
    (tag::LIVE, "One WebSocket for everything that concerns you."),
    (tag::CONTACTS, "Search, requests and their answers, blocks, direct rooms."),
    (tag::ROOMS, "Rooms with members: create, find, join and manage them; members, invites and bans."),
    (tag::MESSAGES, "Messages in rooms with members: post, edit, delete, react, mark as read."),
    (
        tag::ACCOUNTS,
        "Register, log in, stay logged in; your profile, settings, sessions and personal access tokens.",
    ),
    (tag::ADMINISTRATION, "All accounts, for administrators."),
    (tag::OPERATIONS, "For load balancers, monitoring and programs."),
];

const DESCRIPTION: &str = "\
A self-hosted chat server. You can use any node: all of them serve the same accounts, rooms and messages.

JSON in UTF-8, `snake_case`. Times are RFC 3339 in UTC with milliseconds (`format: date-time`). Ids are opaque URL-safe \
strings of at most 64 characters (`format: uuid` or `id`). Lists are `{\"items\": […], \"next\": …}`; `next` is the \
`cursor` of the next page, or null.

Programs authenticate with `Authorization: Bearer TOKEN`: register or log in to get a token. Every operation requires it \
unless it says otherwise. The pages of this server use a session cookie instead, together with a check of `Origin`.

Every error is an RFC 9457 problem with a stable `code`. The status is 405 if an address does not support a method, and 404 \
if it does not exist.

The AsyncAPI document, `/api/asyncapi.json`, describes the frames of the two WebSockets.";

fn info() -> Info {
    let spdx = "MIT OR Apache-2.0";
    InfoBuilder::new()
        .title("Starling")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .license(Some(LicenseBuilder::new().name(spdx).identifier(Some(spdx)).build()))
        .build()
}

/// Returns the servers: the public address if there is one, and the node that served the document.
fn servers(public_url: Option<&str>) -> Vec<Server> {
    let server =
        |url: &str, description: &str| ServerBuilder::new().url(url).description(Some(description)).build();
    let public = public_url.map(|url| server(url.trim_end_matches('/'), "The service."));
    let this = server("/", "The node that served this document.");
    public.into_iter().chain([this]).collect()
}

/// Returns the document before the operations are added. Every operation requires a bearer token unless it says `security(())`.
pub fn base(public_url: Option<&str>) -> OpenApi {
    let tags =
        TAGS.map(|(name, description)| TagBuilder::new().name(name).description(Some(description)).build());
    OpenApiBuilder::new()
        .info(info())
        .tags(Some(tags))
        .servers(Some(servers(public_url)))
        .security(Some([SecurityRequirement::new(BEARER, [""; 0])]))
        .build()
}

/// Adds the parameters, headers and errors that hold for every operation, and the components that the document refers to.
pub fn complete(document: &mut OpenApi) {
    let components = document.components.get_or_insert_default();
    refer_to_items(&mut components.schemas);
    components.schemas.insert("Problem".to_owned(), problem::ProblemDetails::schema());
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

/// Makes lists refer to the schema of their items by name, which utoipa writes out in each list.
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

/// Removes `null` from the schema of an optional parameter, where utoipa adds it: no parameter can be null.
fn remove_null(parameter: &mut Parameter) {
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

/// Returns the operation id for the name of a handler: `getRoom` for `get_room`.
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
            remove_null(parameter);
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
    // The errors of the layers around all routes.
    errors::add(responses, ErrorCode::Unavailable);
    if guard::is_counted(path) {
        errors::add(responses, ErrorCode::RateLimited);
    }
    if !guard::is_health(path) {
        // For a foreign host name, and while all connections are taken.
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
    // The errors of the extractors of `/api/v1`.
    let places = operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
        RefOr::T(parameter) => Some(&parameter.parameter_in),
        RefOr::Ref(_) => None,
    });
    for place in places {
        let code = if *place == ParameterIn::Path { ErrorCode::NotFound } else { ErrorCode::BadRequest };
        errors::add(responses, code);
    }
    if operation.request_body.is_some() {
        for code in [ErrorCode::BadRequest, ErrorCode::TooLarge, ErrorCode::UnsupportedMediaType] {
            errors::add(responses, code);
        }
    }
    // Without a `security` of its own, an operation has the document's default: a token.
    let requires_token = operation.security.is_none();
    if requires_token {
        for code in [ErrorCode::Unauthenticated, ErrorCode::TokenExpired] {
            errors::add(responses, code);
        }
        if writes {
            // For a page of another site that made the browser send the request with the cookie.
            errors::add(responses, ErrorCode::Forbidden);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: a generated client uses the public address first, or the node itself if there is none.
    #[test]
    fn the_public_address_is_the_first_server() {
        let urls = |public| servers(public).into_iter().map(|server| server.url).collect::<Vec<_>>();
        assert_eq!(urls(Some("https://chat.example/")), ["https://chat.example", "/"]);
        assert_eq!(urls(None), ["/"]);
    }
}
