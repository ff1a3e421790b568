//! The OpenAPI and the AsyncAPI document, and the page that shows both.

use std::sync::Arc;

use axum::{
    Extension,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::html::html_page;
use crate::{
    documents::{Document, Documents},
    openapi::tag,
    state::AppState,
};

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(get_openapi_document)).routes(routes!(get_asyncapi_document))
}

/// The route of the page that shows both documents.
pub fn page_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(docs_page))
}

/// Get the OpenAPI document
#[utoipa::path(
    get, path = "/api/openapi.json", tag = tag::OPERATIONS,
    params(("if-none-match" = Option<String>, Header, description = "The `etag` of your copy.")),
    responses(
        (status = 200, description = "OpenAPI 3.1.", body = Object, content_type = "application/json",
            headers(("etag" = String, description = "Changes with the document."))),
        (status = 304, description = "Your copy is current.",
            headers(("etag" = String, description = "Changes with the document."))),
    ),
    security(()),
)]
async fn get_openapi_document(
    Extension(documents): Extension<Arc<Documents>>,
    headers: HeaderMap,
) -> Response {
    answer(&documents.openapi, &headers)
}

/// Get the AsyncAPI document of the two WebSockets
#[utoipa::path(
    get, path = "/api/asyncapi.json", tag = tag::OPERATIONS,
    params(("if-none-match" = Option<String>, Header, description = "The `etag` of your copy.")),
    responses(
        (status = 200, description = "AsyncAPI 3.0.", body = Object, content_type = "application/json",
            headers(("etag" = String, description = "Changes with the document."))),
        (status = 304, description = "Your copy is current.",
            headers(("etag" = String, description = "Changes with the document."))),
    ),
    security(()),
)]
async fn get_asyncapi_document(
    Extension(documents): Extension<Arc<Documents>>,
    headers: HeaderMap,
) -> Response {
    answer(&documents.asyncapi, &headers)
}

fn answer(document: &Document, headers: &HeaderMap) -> Response {
    let cached = [
        (header::ETAG, document.etag.clone()),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    let if_none_match = headers.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    let is_current = |tag: &str| tag.trim() == "*" || document.etag == tag.trim().trim_start_matches("W/");
    if if_none_match.is_some_and(|tags| tags.split(',').any(is_current)) {
        return (StatusCode::NOT_MODIFIED, cached).into_response();
    }
    let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (cached, json, document.json.clone()).into_response()
}

/// The documentation as a page
#[utoipa::path(
    get, path = "/api/docs", tag = tag::PAGES,
    responses((status = 200, description = "A page.", body = String, content_type = "text/html")),
    security(()),
)]
async fn docs_page(Extension(documents): Extension<Arc<Documents>>) -> Response {
    html_page(StatusCode::OK, Html(documents.page.clone()))
}
