//! The security headers of every response, unless its handler has set them.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue, header},
    middleware::Next,
    response::Response,
};

use super::Guard;

const fn value(text: &'static str) -> HeaderValue {
    HeaderValue::from_static(text)
}

const ALWAYS: [(HeaderName, HeaderValue); 7] = [
    (header::X_CONTENT_TYPE_OPTIONS, value("nosniff")),
    // The address of a quick room is its key, which other sites must not learn.
    (header::REFERRER_POLICY, value("no-referrer")),
    // Pages set their own policy. Anything else that a browser takes for a page can do nothing.
    (header::CONTENT_SECURITY_POLICY, value("default-src 'none'; base-uri 'none'; frame-ancestors 'none'")),
    (header::X_FRAME_OPTIONS, value("DENY")),
    // Other sites must not embed responses, or keep a reference to our windows.
    (HeaderName::from_static("cross-origin-resource-policy"), value("same-origin")),
    (HeaderName::from_static("cross-origin-opener-policy"), value("same-origin")),
    (
        HeaderName::from_static("permissions-policy"),
        value("camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ),
];

/// One year, renewed with each response. Not for subdomains: others may serve them.
const HSTS: HeaderValue = value("max-age=31536000");
const NO_STORE: HeaderValue = value("no-store");

/// Paths of pages that show or change an account, which must not be cached.
const ACCOUNT_PAGES: [&str; 6] = ["/invite/", "/login", "/logout", "/register", "/reset/", "/setup/"];

/// Adds the headers.
pub async fn secure(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let (is_api, is_account_page) =
        (path.starts_with("/api/v1/"), ACCOUNT_PAGES.iter().any(|start| path.starts_with(start)));
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        headers.entry(name).or_insert(value);
    }
    if guard.https {
        headers.entry(header::STRICT_TRANSPORT_SECURITY).or_insert(HSTS);
    }
    if is_account_page {
        headers.insert(header::CACHE_CONTROL, NO_STORE);
    } else if is_api {
        headers.entry(header::CACHE_CONTROL).or_insert(NO_STORE);
    }
    response
}
