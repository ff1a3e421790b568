//! The router: which address is answered by whom, and what holds for every answer (request ids, headers, limits).
//! Handlers parse, call a service, and render; they decide nothing.

pub mod api;
mod documentation;
mod forms;
mod health;
mod pages;
mod quick;
mod site;
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
        Presence, RegistrationMode, Rooms,
    },
};

/// How long a request may take to arrive and be answered; WebSockets only until they are upgraded.
const REQUEST_MAX: Duration = Duration::from_secs(30);

/// What `web` was told at start.
#[derive(Clone, Debug)]
pub struct WebSettings {
    /// The name of this node, as `welcome` frames give it.
    pub node: String,
    /// Whether quick rooms are served.
    pub guests_enabled: bool,
    /// Who may make an account.
    pub registration: RegistrationMode,
    /// Under which address users reach the service.
    pub public_url: Option<String>,
    /// Whether `/metrics` is served beside the rest; otherwise it has a listener of its own.
    pub metrics: bool,
}

/// Everything that handlers and sessions use.
pub struct AppState {
    /// Who asks.
    pub authentication: Arc<dyn Authentication>,
    /// Rooms of members.
    pub member_rooms: Arc<dyn MemberRooms>,
    /// Messages of rooms of members.
    pub messages: Arc<dyn Messages>,
    /// What he may do with his account.
    pub accounts: Arc<dyn Accounts>,
    /// Accounts, for administrators.
    pub administration: Arc<dyn Administration>,
    /// People and each other.
    pub contacts: Arc<dyn Contacts>,
    /// Quick rooms and their messages.
    pub rooms: Arc<dyn Rooms>,
    /// Who is where.
    pub presence: Arc<dyn Presence>,
    /// What live sockets of people with an account stand on.
    pub live: Arc<dyn LiveEvents>,
    /// Health and figures.
    pub operations: Arc<dyn Operations>,
    /// The live tails.
    pub lanes: Arc<Lanes>,
    /// What stands before the handlers.
    pub guard: Guard,
    /// What is counted here.
    pub metrics: WebMetrics,
    /// What was told at start.
    pub settings: WebSettings,
    /// Becomes true when the node is to stop: sessions say goodbye.
    pub drain: Drain,
}

/// The router of the public listener. It and the document that describes it come from one source: a handler's
/// `#[utoipa::path]` names its address.
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

/// A document of the pages, for tests: programs are not served one.
pub fn describe_pages() -> OpenApi {
    let (_, mut document) = page_routes().split_for_parts();
    openapi::complete(&mut document);
    document
}

/// The router of a listener for metrics alone.
pub fn metrics_router(web: Arc<AppState>) -> Router {
    finish(health::metrics_routes().into(), web)
}

fn finish(router: Router<Arc<AppState>>, web: Arc<AppState>) -> Router {
    let of_web = || Arc::clone(&web);
    router
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(of_web())
        .layer(middleware::from_fn_with_state(of_web(), guard::admit))
        .layer(DefaultBodyLimit::max(REQUEST_BODY_BYTES_MAX))
        .layer(middleware::from_fn(limit_time))
        .layer(CatchPanicLayer::custom(|_| unavailable("the node could not answer this request")))
        .layer(middleware::from_fn_with_state(of_web(), guard::cors::share))
        .layer(middleware::from_fn_with_state(of_web(), guard::headers::secure))
        .layer(middleware::from_fn_with_state(of_web(), request_log::observe))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
        .layer(middleware::from_fn_with_state(web, request_log::forget_foreign_ids))
}

async fn method_not_allowed() -> Problem {
    // axum adds `Allow`.
    Problem::new(ErrorCode::MethodNotAllowed, "this address does not take that method; see the documentation")
}

async fn limit_time(request: Request, next: Next) -> Response {
    timeout(REQUEST_MAX, next.run(request))
        .await
        .unwrap_or_else(|_| unavailable("the request did not arrive or could not be answered within 30 s"))
}

fn unavailable(detail: &'static str) -> Response {
    Problem::new(ErrorCode::Unavailable, detail).into_response()
}
