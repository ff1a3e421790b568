//! The errors of an operation, which it lists as `responses((status = 200, …), ErrorResponses<(NotFound, Forbidden)>)`. Each
//! set of codes with the same status becomes one shared response. All of them have the schema `Problem` as their body.

use std::{collections::BTreeMap, marker::PhantomData};

use axum::http::StatusCode;
use starling_protocol::ErrorCode;
use utoipa::{
    IntoResponses,
    openapi::{Content, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder, Type, schema::Schema},
};

use super::components::{REQUEST_ID, RETRY_AFTER, header_ref};

/// The responses with the codes `T`: a marker below, or a tuple of markers.
pub struct ErrorResponses<T>(PhantomData<T>);

/// The codes of a marker, or of a tuple of markers.
pub trait Codes {
    /// Appends the codes to `into`.
    fn codes(into: &mut Vec<ErrorCode>);
}

/// Declares a marker and the meaning of every code.
macro_rules! markers {
    ($($name:ident: $meaning:literal,)*) => {
        fn meaning(code: ErrorCode) -> &'static str {
            match code {
                $(ErrorCode::$name => $meaning,)*
            }
        }

        $(
            #[doc = $meaning]
            pub struct $name;

            impl Codes for $name {
                fn codes(into: &mut Vec<ErrorCode>) {
                    into.push(ErrorCode::$name);
                }
            }
        )*
    };
}

markers! {
    BadRequest: "the request is malformed: its syntax, an unknown field, a missing or malformed parameter",
    Unauthenticated: "the token is missing, unknown or revoked: log in",
    TokenExpired: "the access token has expired: refresh it",
    BadCredentials: "the username or the password is wrong",
    Forbidden: "you may not do this",
    NotContacts: "you must be contacts",
    RegistrationClosed: "registration requires an invite, or is closed",
    GuestsDisabled: "quick rooms are turned off on this server",
    NotFound: "it does not exist, or you may not see it",
    MethodNotAllowed: "the address does not support this method; `Allow` lists those that it supports",
    UsernameTaken: "the username is taken",
    NameInUse: "somebody else uses the name",
    IdReused: "the id was used for something else",
    AlreadyExists: "it already exists",
    OffsetMismatch: "the upload continues at another byte",
    TooLarge: "the body is too large",
    UnsupportedMediaType: "the content type is not supported",
    Invalid: "a value is invalid: `errors` names each field",
    Locked: "somebody else is changing it",
    RateLimited: "too many requests; try again after `Retry-After` seconds",
    Overloaded: "the node is overloaded, or your network has too many connections; try again after `Retry-After` seconds",
    Draining: "the node is stopping; use another node",
    Unavailable: "the node cannot answer now; use another node, or try again after `Retry-After` seconds",
    StorageFull: "the disk is full",
}

macro_rules! tuples {
    ($($name:ident)*) => {
        impl<$($name: Codes),*> Codes for ($($name,)*) {
            fn codes(into: &mut Vec<ErrorCode>) {
                $($name::codes(into);)*
            }
        }
    };
}

tuples!(A B);
tuples!(A B C);
tuples!(A B C D);
tuples!(A B C D E);
tuples!(A B C D E F);
tuples!(A B C D E F G);
tuples!(A B C D E F G H);
tuples!(A B C D E F G H I);

impl<T: Codes> IntoResponses for ErrorResponses<T> {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let mut codes = Vec::new();
        T::codes(&mut codes);
        let mut responses = BTreeMap::new();
        for code in codes {
            add(&mut responses, code);
        }
        responses
    }
}

/// Like [`ErrorResponses`], but as pages for people.
pub struct HtmlErrorResponses<T>(PhantomData<T>);

impl<T: Codes> IntoResponses for HtmlErrorResponses<T> {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let mut codes = Vec::new();
        T::codes(&mut codes);
        let mut meanings: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
        for code in codes {
            meanings.entry(code.status()).or_default().push(meaning(code));
        }
        let page = |meanings: Vec<&str>| {
            let text = ObjectBuilder::new().schema_type(Type::String);
            let content = Content::new(Some(Schema::from(text.build())));
            let description = format!("A page: {}.", meanings.join("; or "));
            ResponseBuilder::new().description(description).content("text/html", content).build().into()
        };
        meanings.into_iter().map(|(status, meanings)| (status.to_string(), page(meanings))).collect()
    }
}

const PROBLEM: &str = "application/problem+json";
const PREFIX: &str = "#/components/responses/";

/// Adds a code to the errors of an operation.
pub(super) fn add(responses: &mut BTreeMap<String, RefOr<Response>>, code: ErrorCode) {
    let status = code.status().to_string();
    let mut codes = match responses.get_mut(&status) {
        Some(RefOr::Ref(reference)) => parse_codes(reference),
        // The operation has its own response with this status, so the problem becomes another content type of it.
        Some(RefOr::T(own)) => {
            let problem = Content::new(Some(Ref::from_schema_name("Problem")));
            own.content.entry(PROBLEM.to_owned()).or_insert(problem.into());
            return;
        }
        None => Vec::new(),
    };
    codes.push(code);
    codes.sort_by_key(|code| ErrorCode::ALL.iter().position(|known| known == code));
    codes.dedup();
    let name: Vec<_> = codes.iter().map(|code| code.as_str()).collect();
    let reference = Ref::new(format!("{PREFIX}{}", name.join(".")));
    responses.insert(status, RefOr::Ref(reference));
}

/// Parses the codes in the name of a shared response.
fn parse_codes(reference: &Ref) -> Vec<ErrorCode> {
    let name = reference.ref_location.strip_prefix(PREFIX).unwrap_or_default();
    name.split('.')
        .filter_map(|word| ErrorCode::ALL.iter().find(|code| code.as_str() == word))
        .copied()
        .collect()
}

/// Returns the shared response that an operation refers to, with its name; `None` if it is not an error response.
pub(super) fn shared(reference: &Ref) -> Option<(String, Response)> {
    let codes = parse_codes(reference);
    let status = codes.first()?.status();
    let meanings: Vec<_> =
        codes.iter().map(|&code| format!("`{}`: {}.", code.as_str(), meaning(code))).collect();
    let problem = Ref::from_schema_name("Problem");
    let mut response = ResponseBuilder::new()
        .description(meanings.join("\n"))
        .content(PROBLEM, Content::new(Some(problem)))
        .header_ref(REQUEST_ID, header_ref(REQUEST_ID));
    let with_retry_after = [StatusCode::TOO_MANY_REQUESTS.as_u16(), StatusCode::SERVICE_UNAVAILABLE.as_u16()];
    if with_retry_after.contains(&status) {
        response = response.header_ref(RETRY_AFTER, header_ref(RETRY_AFTER));
    }
    let name = reference.ref_location[PREFIX.len()..].to_owned();
    Some((name, response.build()))
}

/// Returns the status, the code and the meaning of every error.
pub fn all() -> impl Iterator<Item = (u16, &'static str, &'static str)> {
    ErrorCode::ALL.into_iter().map(|code| (code.status(), code.as_str(), meaning(code)))
}

/// Returns the schema of the field `code`, with the meaning of each.
pub(super) fn code_schema() -> RefOr<Schema> {
    let lines: Vec<_> =
        all().map(|(status, code, meaning)| format!("- `{code}` ({status}): {meaning}")).collect();
    let codes = ErrorCode::ALL.map(ErrorCode::as_str);
    let description = format!("The stable code that programs match on.\n\n{}", lines.join("\n"));
    let schema = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(codes));
    schema.description(Some(description)).into()
}
