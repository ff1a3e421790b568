//! Refusals as RFC 9457 problems. The only place that builds an error response.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use starling_protocol::ErrorCode;

use crate::service::Refusal;

/// Seconds after which a refused client may try again, if nothing better is known.
const RETRY_AFTER_S: u32 = 1;

#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: ErrorCode,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError<'a>>,
}

#[derive(Serialize)]
struct FieldError<'a> {
    field: &'a str,
    detail: &'a str,
}

/// A value that is readable but out of its limits.
pub fn invalid(field: &'static str, detail: &str) -> Response {
    let errors = vec![FieldError { field, detail }];
    respond(&Refusal::new(ErrorCode::Invalid, format!("{field} {detail}")), errors)
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        respond(&self, Vec::new())
    }
}

fn respond(refusal: &Refusal, errors: Vec<FieldError<'_>>) -> Response {
    let Refusal { code, ref detail, retry_after } = *refusal;
    let status = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let title = status.canonical_reason().unwrap_or_default();
    let problem = Problem { r#type: "about:blank", title, status: status.as_u16(), detail, code, errors };
    let mut response = (status, Json(problem)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        headers.insert(header::RETRY_AFTER, retry_after.unwrap_or(RETRY_AFTER_S).into());
    }
    response
}
