//! The OpenAPI document, and the page that renders it.

use std::sync::Arc;

use axum::{
    Extension,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{AppState, pages::page};
use crate::openapi::{Served, tag};

/// The routes.
pub fn routes() -> OpenApiRouter<Arc<AppState>> {
    OpenApiRouter::default().routes(routes!(openapi_json)).routes(routes!(docs))
}

/// This document
#[utoipa::path(
    get, path = "/api/openapi.json", tag = tag::OPERATIONS,
    params(("if-none-match" = Option<String>, Header, description = "The `etag` of your copy.")),
    responses(
        (status = 200, description = "OpenAPI 3.1.", body = Object, content_type = "application/json",
            headers(("etag" = String, description = "Changes with the document."))),
        (status = 304, description = "Your copy is current.",
            headers(("etag" = String, description = "Changes with the document."))),
    ),
)]
async fn openapi_json(Extension(served): Extension<Arc<Served>>, headers: HeaderMap) -> Response {
    let cached =
        [(header::ETAG, served.etag.clone()), (header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))];
    let at_hand = headers.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    let current = |tag: &str| tag.trim() == "*" || served.etag == tag.trim().trim_start_matches("W/");
    if at_hand.is_some_and(|tags| tags.split(',').any(current)) {
        return (StatusCode::NOT_MODIFIED, cached).into_response();
    }
    let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (cached, json, served.json.clone()).into_response()
}

/// This documentation, to read
#[utoipa::path(
    get, path = "/api/docs", tag = tag::OPERATIONS,
    responses((status = 200, description = "A page.", body = String, content_type = "text/html")),
)]
async fn docs(Extension(served): Extension<Arc<Served>>) -> Response {
    page(StatusCode::OK, Html(served.page.clone()))
}
