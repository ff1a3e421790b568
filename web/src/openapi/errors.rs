//! How an operation lists its errors: `responses((status = 200, …), ErrorResponses<(NotFound, Forbidden)>)`. Each set of
//! codes under one status becomes one shared response; the body of all of them is the one schema `Problem`.

use std::{collections::BTreeMap, marker::PhantomData};

use axum::http::StatusCode;
use starling_protocol::ErrorCode;
use utoipa::{
    IntoResponses,
    openapi::{Content, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder, Type, schema::Schema},
};

use super::components::{REQUEST_ID, RETRY_AFTER, header_ref};

/// The responses with these codes: a marker below, or a tuple of them.
pub struct ErrorResponses<T>(PhantomData<T>);

/// The codes of a marker, or of a tuple of markers.
pub trait Codes {
    /// Adds the codes.
    fn codes(into: &mut Vec<ErrorCode>);
}

/// Declares a marker for every code, and its meaning.
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
    Unauthenticated: "log in: the token is missing, unknown or revoked",
    TokenExpired: "the access token has expired: refresh it",
    BadCredentials: "the username or the password is wrong",
    Forbidden: "you may not do this",
    NotContacts: "you must be contacts",
    RegistrationClosed: "registration is by invite, or closed",
    GuestsDisabled: "rooms without an account are switched off",
    NotFound: "there is no such thing, or you may not know of it",
    MethodNotAllowed: "the address does not take this method; `Allow` names those that it takes",
    UsernameTaken: "the username is taken",
    NameInUse: "somebody else uses the name",
    IdReused: "the id was used for something else",
    AlreadyExists: "it exists already",
    OffsetMismatch: "the upload continues at another byte",
    TooLarge: "the body is over the limit",
    UnsupportedMediaType: "the content type is not supported",
    Invalid: "a value is invalid: `errors` names each field",
    Locked: "somebody else is changing it",
    RateLimited: "too many requests; try again after `Retry-After` seconds",
    Overloaded: "the node is overloaded, or your network has too many connections; try again after `Retry-After` seconds",
    Draining: "the node is stopping; use another",
    Unavailable: "the node cannot answer now; use another, or try again after `Retry-After` seconds",
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

/// As [`ErrorResponses`], shown as pages for people.
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

/// Lets an operation refuse with one more code.
pub(super) fn add(responses: &mut BTreeMap<String, RefOr<Response>>, code: ErrorCode) {
    let status = code.status().to_string();
    let mut codes = match responses.get_mut(&status) {
        Some(RefOr::Ref(reference)) => named(reference),
        // The operation has an answer of its own under this status: this is one more.
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

/// The codes in the name of a shared response.
fn named(reference: &Ref) -> Vec<ErrorCode> {
    let name = reference.ref_location.strip_prefix(PREFIX).unwrap_or_default();
    name.split('.')
        .filter_map(|word| ErrorCode::ALL.iter().find(|code| code.as_str() == word))
        .copied()
        .collect()
}

/// The shared response that an operation refers to, with its name; `None` if it is not one of refusals.
pub(super) fn shared(reference: &Ref) -> Option<(String, Response)> {
    let codes = named(reference);
    let status = codes.first()?.status();
    let meanings: Vec<_> =
        codes.iter().map(|&code| format!("`{}`: {}.", code.as_str(), meaning(code))).collect();
    let problem = Ref::from_schema_name("Problem");
    let mut response = ResponseBuilder::new()
        .description(meanings.join("\n"))
        .content(PROBLEM, Content::new(Some(problem)))
        .header_ref(REQUEST_ID, header_ref(REQUEST_ID));
    let retried = [StatusCode::TOO_MANY_REQUESTS.as_u16(), StatusCode::SERVICE_UNAVAILABLE.as_u16()];
    if retried.contains(&status) {
        response = response.header_ref(RETRY_AFTER, header_ref(RETRY_AFTER));
    }
    let name = reference.ref_location[PREFIX.len()..].to_owned();
    Some((name, response.build()))
}

/// All codes: status, code and meaning.
pub fn all() -> impl Iterator<Item = (u16, &'static str, &'static str)> {
    ErrorCode::ALL.into_iter().map(|code| (code.status(), code.as_str(), meaning(code)))
}

/// The schema of `code`, with the meaning of each.
pub(super) fn code_schema() -> RefOr<Schema> {
    let lines: Vec<_> =
        all().map(|(status, code, meaning)| format!("- `{code}` ({status}): {meaning}")).collect();
    let words = ErrorCode::ALL.map(ErrorCode::as_str);
    let description = format!("The stable code that programs match on.\n\n{}", lines.join("\n"));
    let schema = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words));
    schema.description(Some(description)).into()
}
