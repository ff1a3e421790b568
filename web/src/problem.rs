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

/// The default `Retry-After` of a refusal, in seconds.
const RETRY_AFTER_S: u32 = 1;

/// The error of a handler: a refusal, and the fields that it is about.
#[derive(Debug)]
pub struct Problem {
    refusal: Refusal,
    errors: Vec<FieldError>,
}

impl Problem {
    /// Returns a problem that is about no field in particular.
    pub fn new(code: ErrorCode, detail: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        Refusal::new(code, detail).into()
    }
}

// For forms, which show a problem beside its field.
impl Problem {
    /// Returns the stable code.
    pub fn code(&self) -> ErrorCode {
        self.refusal.code
    }

    /// Returns the detail: the problem, and what to do about it.
    pub fn detail(&self) -> &str {
        &self.refusal.detail
    }

    /// Returns the problem with a field, if any.
    pub fn for_field(&self, name: &str) -> Option<&str> {
        if self.code() == ErrorCode::UsernameTaken && name == "username" {
            return Some(self.detail());
        }
        self.errors.iter().find(|error| error.field == name).map(|error| &*error.detail)
    }

    /// Returns the detail, unless the problem is about fields.
    pub fn without_field(&self) -> Option<&str> {
        let with_fields = self.code() == ErrorCode::UsernameTaken || !self.errors.is_empty();
        (!with_fields).then(|| self.detail())
    }

    /// Returns the seconds after which to try again, where that may help.
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

/// Collects all fields that are out of their limits, so that one 422 names them all:
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
    /// Returns the value, or notes the error and returns `None`.
    pub fn check<T, E: Display>(&mut self, field: &'static str, value: Result<T, E>) -> Option<T> {
        value.map_err(|error| self.0.push(FieldError { field, detail: error.to_string() })).ok()
    }
}

impl From<Invalid> for Problem {
    fn from(Invalid(errors): Invalid) -> Self {
        let details: Vec<_> =
            errors.iter().map(|error| format!("{} {}", error.field, error.detail)).collect();
        Self { refusal: Refusal::new(ErrorCode::Invalid, details.join("; ")), errors }
    }
}

/// An error in one field of the body.
#[derive(Debug, Serialize, ToSchema)]
pub struct FieldError {
    /// The name of the field.
    field: &'static str,
    /// The rule that the value breaks.
    detail: String,
}

/// An error, in the format of RFC 9457.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemDetails<'a> {
    /// Always `about:blank`; `code` says which error it is.
    r#type: &'a str,
    /// The name of the status.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// The problem, and what to do about it, for people.
    detail: &'a str,
    /// The stable code that programs match on.
    code: ErrorCode,
    /// With `invalid`: the fields that are out of their limits.
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    #[schema(value_type = Vec<FieldError>, required = false)]
    errors: &'a [FieldError],
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { refusal: Refusal { code, detail, .. }, errors } = &self;
        let status = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        let title = status.canonical_reason().unwrap_or_default();
        let body = ProblemDetails {
            r#type: "about:blank",
            title,
            status: status.as_u16(),
            detail,
            code: *code,
            errors,
        };
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}
