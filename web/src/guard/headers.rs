//! What every answer tells browsers to be careful about, unless its handler knows better.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue, header},
    middleware::Next,
    response::Response,
};

use crate::routes::AppState;

const fn value(text: &'static str) -> HeaderValue {
    HeaderValue::from_static(text)
}

const ALWAYS: [(HeaderName, HeaderValue); 7] = [
    (header::X_CONTENT_TYPE_OPTIONS, value("nosniff")),
    // A quick room's address is its key: no other site is to learn it.
    (header::REFERRER_POLICY, value("no-referrer")),
    // Pages have a policy of their own; whatever else is taken for a page can do nothing.
    (header::CONTENT_SECURITY_POLICY, value("default-src 'none'; base-uri 'none'; frame-ancestors 'none'")),
    (header::X_FRAME_OPTIONS, value("DENY")),
    // No other site loads any of it into a page of its own, or holds on to a window of ours.
    (HeaderName::from_static("cross-origin-resource-policy"), value("same-origin")),
    (HeaderName::from_static("cross-origin-opener-policy"), value("same-origin")),
    (
        HeaderName::from_static("permissions-policy"),
        value("camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ),
];

/// A year, which the browser counts anew at each answer. Not for names below this one: others may serve there.
const HSTS: HeaderValue = value("max-age=31536000");
const NO_STORE: HeaderValue = value("no-store");

/// Pages that show who somebody is, or on which they type a password, and what comes of them.
const OF_ACCOUNTS: [&str; 6] = ["/invite/", "/login", "/logout", "/register", "/reset/", "/setup/"];

/// Adds them.
pub async fn secure(State(web): State<Arc<AppState>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let (is_api, is_of_account) =
        (path.starts_with("/api/v1/"), OF_ACCOUNTS.iter().any(|start| path.starts_with(start)));
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        headers.entry(name).or_insert(value);
    }
    if web.guard.https {
        headers.entry(header::STRICT_TRANSPORT_SECURITY).or_insert(HSTS);
    }
    if is_of_account {
        headers.insert(header::CACHE_CONTROL, NO_STORE);
    } else if is_api {
        headers.entry(header::CACHE_CONTROL).or_insert(NO_STORE);
    }
    response
}
