//! CORS: pages of other sites that the operator allows may use `/api/v1` with a bearer token, but never with the visitor's
//! cookie. So no response allows credentials, and a cookie from such a page is ignored (`origin`).

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::Guard;

/// The allowed methods.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
/// The allowed request headers.
const REQUEST_HEADERS: HeaderValue =
    HeaderValue::from_static("authorization, content-type, if-none-match, range, x-starling-cursor");
/// The response headers that pages may read.
const RESPONSE_HEADERS: HeaderValue =
    HeaderValue::from_static("allow, etag, location, retry-after, x-request-id, x-starling-cursor");
/// The time for which a browser may remember a preflight, in seconds: two hours, the most that all browsers accept.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

/// Answers preflights, and allows the page to read other responses.
pub async fn apply(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    if !covers(request.uri().path()) {
        return next.run(request).await;
    }
    let origin = guard.origins.allowed_other_site(request.headers()).cloned();
    let preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = match &origin {
        Some(_) if preflight => allowed(),
        _ => next.run(request).await,
    };
    // Always added: a cache must not give one site's response to another.
    response.headers_mut().append(header::VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = origin {
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        response.headers_mut().insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, RESPONSE_HEADERS);
    }
    response
}

fn allowed() -> Response {
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS),
        (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

fn covers(path: &str) -> bool {
    path.starts_with("/api/v1/")
}
