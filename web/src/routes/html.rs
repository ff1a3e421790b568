//! Responses with a page.

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

/// No inline script or style, nothing from elsewhere.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; \
     frame-ancestors 'none'; manifest-src 'self'";

/// Returns a response with a page and the headers that every page needs.
pub fn html_page(status: StatusCode, page: impl IntoResponse) -> Response {
    let headers =
        [(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY), (header::CACHE_CONTROL, "no-cache")];
    (status, headers, page).into_response()
}
