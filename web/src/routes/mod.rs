//! The router: all paths, and the layers around every handler (request ids, headers, limits). Handlers parse the request,
//! call a service and render the result; services make all decisions.

pub mod api;
mod documentation;
mod forms;
mod health;
mod html;
mod pages;
mod quick;
mod service_url;
mod socket;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    extract::{DefaultBodyLimit, Request},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use starling_protocol::{ErrorCode, limits::REQUEST_BODY_BYTES_MAX, texts};
use tokio::time::timeout;
use tower_http::{
    catch_panic::CatchPanicLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use self::api::allowed_inputs;
pub use self::health::starting_router;
use crate::{
    documents::Documents,
    guard, openapi,
    problem::Problem,
    request_log::{self, REQUEST_ID},
    state::AppState,
};

/// The time limit for a request, from its head to its response. For WebSockets it ends with the upgrade.
const REQUEST_MAX: Duration = Duration::from_secs(30);

/// Returns the router of the public listener. The router and its OpenAPI document have one source: the `#[utoipa::path]` of
/// each handler.
pub fn router(state: AppState) -> Router {
    let cursors = middleware::from_fn_with_state(state.clone(), api::cursor::carry);
    let callers = middleware::from_fn_with_state(state.clone(), api::caller::recognise);
    let api = api::routes();
    let allowed = allowed_inputs::AllowedInputs::from_document(api.get_openapi());
    let inputs = middleware::from_fn_with_state(allowed, allowed_inputs::check);
    let public_url = state.settings.public_url.as_deref();
    let mut described = OpenApiRouter::with_openapi(openapi::base(public_url))
        .merge(quick::routes())
        .merge(health::routes())
        .merge(documentation::routes())
        .merge(api.layer(inputs).layer(cursors).layer(callers));
    if state.settings.metrics {
        described = described.merge(health::metrics_routes());
    }
    let (served, mut document) = described.split_for_parts();
    openapi::complete(&mut document);
    let documents = Arc::new(Documents::new(&document, public_url));
    let served = served.merge(page_routes()).layer(Extension(documents));
    finish(served.fallback(pages::not_found), state)
}

/// The pages for people. They are not in the document that programs read.
fn page_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().merge(pages::routes()).merge(forms::routes()).merge(documentation::page_routes())
}

/// Returns a document of the pages, for tests. It is not served.
pub fn describe_pages() -> OpenApi {
    let (_, mut document) = page_routes().split_for_parts();
    openapi::complete(&mut document);
    document
}

/// Returns the router of a listener that serves only metrics.
pub fn metrics_router(state: AppState) -> Router {
    finish(health::metrics_routes().into(), state)
}

fn finish(router: Router<AppState>, state: AppState) -> Router {
    let guard = Arc::clone(&state.guard);
    let guard = || Arc::clone(&guard);
    router
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(state)
        .layer(middleware::from_fn_with_state(guard(), guard::admit))
        .layer(DefaultBodyLimit::max(REQUEST_BODY_BYTES_MAX))
        .layer(middleware::from_fn(limit_time))
        .layer(CatchPanicLayer::custom(|_| {
            unavailable("the node could not answer this request; try again later")
        }))
        .layer(middleware::from_fn_with_state(guard(), guard::cors::apply))
        .layer(middleware::from_fn_with_state(guard(), guard::headers::secure))
        .layer(middleware::from_fn_with_state(guard(), request_log::observe))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
        .layer(middleware::from_fn_with_state(guard(), request_log::forget_foreign_ids))
}

async fn method_not_allowed() -> Problem {
    // axum adds the header `Allow`.
    Problem::new(ErrorCode::MethodNotAllowed, texts::request::METHOD_NOT_ALLOWED)
}

async fn limit_time(request: Request, next: Next) -> Response {
    timeout(REQUEST_MAX, next.run(request))
        .await
        .unwrap_or_else(|_| unavailable("the request did not arrive or could not be answered within 30 s"))
}

fn unavailable(detail: &'static str) -> Response {
    Problem::new(ErrorCode::Unavailable, detail).into_response()
}
