//! The extractors of axum, with problems as errors. `#[utoipa::path]` recognises them by name, and describes the body and
//! the parameters of an operation from them.

use axum::{
    body::Bytes,
    extract::{
        FromRequest, FromRequestParts, Request,
        rejection::{BytesRejection, PathRejection, QueryRejection},
    },
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::{Serialize, de::DeserializeOwned};
use starling_protocol::{ErrorCode, limits::REQUEST_BODY_BYTES_MAX, texts};

use crate::problem::Problem;

/// A body in JSON, in requests and responses. Types of requests are `#[serde(deny_unknown_fields)]`.
/// Refuses with `unsupported_media_type`, `too_large` or `bad_request`.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(ErrorCode::UnsupportedMediaType, texts::request::MUST_BE_JSON));
        }
        let body = Bytes::from_request(request, state).await.map_err(|rejection| refuse_body(&rejection))?;
        object(&body).map(Self)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/json")
}

/// Returns the problem for a body that is too large or did not arrive.
pub fn refuse_body(rejection: &BytesRejection) -> Problem {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return Problem::new(
            ErrorCode::TooLarge,
            texts::request::body_too_long(REQUEST_BODY_BYTES_MAX / 1024),
        );
    }
    Problem::new(ErrorCode::BadRequest, texts::request::BODY_INCOMPLETE)
}

/// Parses a JSON object. serde alone would also accept a list of its values.
pub fn object<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(Problem::new(ErrorCode::BadRequest, texts::request::MUST_BE_OBJECT));
    }
    let read = axum::Json::from_bytes(body).map_err(|error| bad_request("the body", &error.body_text()));
    read.map(|axum::Json(value)| value)
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// The query parameters. Their types are `#[serde(deny_unknown_fields)]`.
/// Refuses with `bad_request`.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query: Result<_, QueryRejection> = axum::extract::Query::from_request_parts(parts, state).await;
        query
            .map(|axum::extract::Query(value)| Self(value))
            .map_err(|rejection| bad_request("the parameters", &rejection.body_text()))
    }
}

/// The parameters in the path. Refuses with `not_found` if they are malformed, because nothing has such an address.
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path: Result<_, PathRejection> = axum::extract::Path::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(value)| Self(value))
            .map_err(|_| Problem::new(ErrorCode::NotFound, texts::request::NOTHING_HERE))
    }
}

/// Shortens an error of axum, such as 'Failed to deserialize …: FIELD: REASON', to the field and the reason.
fn bad_request(place: &str, text: &str) -> Problem {
    let reason = text.split_once(": ").map_or(text, |(_, reason)| reason);
    Problem::new(ErrorCode::BadRequest, format!("{place}: {reason}"))
}
