//! Pages of other sites that the operator names may use `/api/v1` (CORS): with a bearer token, never with the cookie of
//! whoever looks at them. So no answer allows credentials, and a cookie from there counts for nothing (`origin`).

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::routes::AppState;

/// What may be asked.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
/// What may be sent along.
const REQUEST_HEADERS: HeaderValue =
    HeaderValue::from_static("authorization, content-type, if-none-match, range, x-starling-cursor");
/// What the page may read beside the body.
const RESPONSE_HEADERS: HeaderValue =
    HeaderValue::from_static("allow, etag, location, retry-after, x-request-id, x-starling-cursor");
/// Seconds for which a browser need not ask again: two hours, the longest that all of them accept.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

/// Answers preflights, and says on every other answer that the page may read it.
pub async fn share(State(web): State<Arc<AppState>>, request: Request, next: Next) -> Response {
    if !is_shared(request.uri().path()) {
        return next.run(request).await;
    }
    let origin = web.guard.origins.other(request.headers()).cloned();
    let preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = match &origin {
        Some(_) if preflight => allowed(),
        _ => next.run(request).await,
    };
    // Also where it is not shared: a cache must not give one page's answer to another.
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

fn is_shared(path: &str) -> bool {
    path.starts_with("/api/v1/")
}
