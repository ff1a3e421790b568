//! Refusals as RFC 9457 problems. The only place that builds an error response.

use std::fmt::Display;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use starling_protocol::ErrorCode;
use utoipa::ToSchema;

use crate::service::Refusal;

/// Seconds after which a refused client may try again, if nothing better is known.
const RETRY_AFTER_S: u32 = 1;

/// What a handler answers that does not do what it was asked: a refusal, and which fields it is about.
#[derive(Debug)]
pub struct Problem {
    refusal: Refusal,
    errors: Vec<FieldError>,
}

impl Problem {
    /// A problem that is about no field in particular.
    pub fn new(code: ErrorCode, detail: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        Refusal::new(code, detail).into()
    }
}

/// As a form shows it.
impl Problem {
    /// The stable word.
    pub fn code(&self) -> ErrorCode {
        self.refusal.code
    }

    /// What is wrong and what to do about it.
    pub fn detail(&self) -> &str {
        &self.refusal.detail
    }

    /// What is wrong with a field.
    pub fn with_field(&self, name: &str) -> Option<&str> {
        if self.code() == ErrorCode::UsernameTaken && name == "username" {
            return Some(self.detail());
        }
        self.errors.iter().find(|error| error.field == name).map(|error| &*error.detail)
    }

    /// What is wrong, unless it is with fields.
    pub fn with_no_field(&self) -> Option<&str> {
        let with_fields = self.code() == ErrorCode::UsernameTaken || !self.errors.is_empty();
        (!with_fields).then(|| self.detail())
    }

    /// Seconds after which to try again, where that may help.
    pub fn retry_after(&self) -> Option<u32> {
        matches!(self.code().status(), 429 | 503).then(|| self.refusal.retry_after.unwrap_or(RETRY_AFTER_S))
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let error = |field| FieldError { field, detail: refusal.detail.to_string() };
        Self { errors: refusal.field.map(error).into_iter().collect(), refusal }
    }
}

/// Gathers what is readable but out of its limits, so that one 422 names all of it:
///
/// ```ignore
/// let mut invalid = Invalid::default();
/// let name = invalid.check("name", RoomName::parse(&body.name));
/// let topic = invalid.check("topic", body.topic.map(|text| Topic::parse(&text)).transpose());
/// let (Some(name), Some(topic)) = (name, topic) else { return Err(invalid.into()) };
/// ```
#[derive(Debug, Default)]
pub struct Invalid(Vec<FieldError>);

impl Invalid {
    /// The value, or `None` and one more thing to say.
    pub fn check<T, E: Display>(&mut self, field: &'static str, value: Result<T, E>) -> Option<T> {
        value.map_err(|error| self.0.push(FieldError { field, detail: error.to_string() })).ok()
    }
}

impl From<Invalid> for Problem {
    fn from(Invalid(errors): Invalid) -> Self {
        let said: Vec<_> = errors.iter().map(|error| format!("{} {}", error.field, error.detail)).collect();
        Self { refusal: Refusal::new(ErrorCode::Invalid, said.join("; ")), errors }
    }
}

/// An invalid field of the body.
#[derive(Debug, Serialize, ToSchema)]
pub struct FieldError {
    /// The name of the field.
    field: &'static str,
    /// What the value must be.
    detail: String,
}

/// An error, as RFC 9457 says.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct Body<'a> {
    /// Always `about:blank`: `code` says which problem it is.
    r#type: &'a str,
    /// The meaning of the status.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// What is wrong and what to do about it, for the person who reads it.
    detail: &'a str,
    /// The stable code that programs match on.
    code: ErrorCode,
    /// The invalid fields, if the code is `invalid`.
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    #[schema(value_type = Vec<FieldError>, required = false)]
    errors: &'a [FieldError],
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { refusal: Refusal { code, detail, .. }, errors } = &self;
        let status = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        let title = status.canonical_reason().unwrap_or_default();
        let body =
            Body { r#type: "about:blank", title, status: status.as_u16(), detail, code: *code, errors };
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}
