//! The router: all paths, and the layers around every handler (request ids, headers, limits). Handlers parse the request,
//! call a service and render the result; services make all decisions.

pub mod api;
mod documentation;
mod forms;
mod health;
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
use starling_protocol::{ErrorCode, limits::REQUEST_BODY_BYTES_MAX};
use tokio::time::timeout;
use tower_http::{
    catch_panic::CatchPanicLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use self::api::allowed_inputs;
use crate::{
    documents::Documents,
    drain::Drain,
    guard::{self, Guard},
    lane::Lanes,
    metrics::WebMetrics,
    openapi,
    problem::Problem,
    request_log::{self, REQUEST_ID},
    service::{
        Accounts, Administration, Authentication, Contacts, LiveEvents, MemberRooms, Messages, Operations,
        Presence, QuickRooms, RegistrationMode,
    },
};

/// The time limit for a request, from its head to its response. For WebSockets it ends with the upgrade.
const REQUEST_MAX: Duration = Duration::from_secs(30);

/// The settings of `web`.
#[derive(Clone, Debug)]
pub struct WebSettings {
    /// The name of this node in `welcome` frames.
    pub node: String,
    /// Whether quick rooms are served.
    pub guests_enabled: bool,
    /// The people who may register.
    pub registration: RegistrationMode,
    /// The URL under which users reach the service, if configured.
    pub public_url: Option<String>,
    /// Whether the public listener serves `/metrics`; otherwise it has a listener of its own.
    pub metrics: bool,
}

/// The state of all handlers and sessions.
pub struct AppState {
    /// The authentication service.
    pub authentication: Arc<dyn Authentication>,
    /// Member rooms.
    pub member_rooms: Arc<dyn MemberRooms>,
    /// Messages of member rooms.
    pub messages: Arc<dyn Messages>,
    /// Accounts, for their owners.
    pub accounts: Arc<dyn Accounts>,
    /// Accounts, for administrators.
    pub administration: Arc<dyn Administration>,
    /// Contacts, requests and blocks.
    pub contacts: Arc<dyn Contacts>,
    /// Quick rooms and their messages.
    pub rooms: Arc<dyn QuickRooms>,
    /// Presence in quick rooms.
    pub presence: Arc<dyn Presence>,
    /// Events for the live sockets of users.
    pub live: Arc<dyn LiveEvents>,
    /// Health and metrics.
    pub operations: Arc<dyn Operations>,
    /// The lanes that deliver new events to sessions.
    pub lanes: Arc<Lanes>,
    /// The checks before the handlers.
    pub guard: Arc<Guard>,
    /// The metrics of `web`.
    pub metrics: WebMetrics,
    /// The settings.
    pub settings: WebSettings,
    /// Watches whether sessions must close because the node is stopping or its disk is full.
    pub drain: Drain,
}

/// Returns the router of the public listener. The router and its OpenAPI document have one source: the `#[utoipa::path]` of
/// each handler.
pub fn router(web: Arc<AppState>) -> Router {
    let cursors = middleware::from_fn_with_state(Arc::clone(&web), api::cursor::carry);
    let callers = middleware::from_fn_with_state(Arc::clone(&web), api::caller::recognise);
    let api = api::routes();
    let allowed = allowed_inputs::AllowedInputs::from_document(api.get_openapi());
    let inputs = middleware::from_fn_with_state(allowed, allowed_inputs::check);
    let public_url = web.settings.public_url.as_deref();
    let mut described = OpenApiRouter::with_openapi(openapi::base(public_url))
        .merge(quick::routes())
        .merge(health::routes())
        .merge(documentation::routes())
        .merge(api.layer(inputs).layer(cursors).layer(callers));
    if web.settings.metrics {
        described = described.merge(health::metrics_routes());
    }
    let (served, mut document) = described.split_for_parts();
    openapi::complete(&mut document);
    let documents = Arc::new(Documents::new(&document, public_url));
    let served = served.merge(page_routes()).layer(Extension(documents));
    finish(served.fallback(pages::not_found), web)
}

/// The pages for people. They are not in the document that programs read.
fn page_routes() -> OpenApiRouter<Arc<AppState>> {
    OpenApiRouter::default().merge(pages::routes()).merge(forms::routes()).merge(documentation::page_routes())
}

/// Returns a document of the pages, for tests. It is not served.
pub fn describe_pages() -> OpenApi {
    let (_, mut document) = page_routes().split_for_parts();
    openapi::complete(&mut document);
    document
}

/// Returns the router of a listener that serves only metrics.
pub fn metrics_router(web: Arc<AppState>) -> Router {
    finish(health::metrics_routes().into(), web)
}

fn finish(router: Router<Arc<AppState>>, web: Arc<AppState>) -> Router {
    let guard = Arc::clone(&web.guard);
    let guard = || Arc::clone(&guard);
    router
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(web)
        .layer(middleware::from_fn_with_state(guard(), guard::admit))
        .layer(DefaultBodyLimit::max(REQUEST_BODY_BYTES_MAX))
        .layer(middleware::from_fn(limit_time))
        .layer(CatchPanicLayer::custom(|_| {
            unavailable("the node could not answer this request; try again later")
        }))
        .layer(middleware::from_fn_with_state(guard(), guard::cors::share))
        .layer(middleware::from_fn_with_state(guard(), guard::headers::secure))
        .layer(middleware::from_fn_with_state(guard(), request_log::observe))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
        .layer(middleware::from_fn_with_state(guard(), request_log::forget_foreign_ids))
}

async fn method_not_allowed() -> Problem {
    // axum adds the header `Allow`.
    Problem::new(
        ErrorCode::MethodNotAllowed,
        "this address does not support that method; see the documentation",
    )
}

async fn limit_time(request: Request, next: Next) -> Response {
    timeout(REQUEST_MAX, next.run(request))
        .await
        .unwrap_or_else(|_| unavailable("the request did not arrive or could not be answered within 30 s"))
}

fn unavailable(detail: &'static str) -> Response {
    Problem::new(ErrorCode::Unavailable, detail).into_response()
}
