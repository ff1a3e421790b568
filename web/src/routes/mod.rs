//! The router: which address is answered by whom, and what holds for every answer (request ids, headers, limits).
//! Handlers parse, call a service, and render; they decide nothing.

mod health;
mod pages;
mod quick;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    http::{HeaderName, HeaderValue, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use starling_protocol::{ErrorCode, limits::REQUEST_BODY_BYTES_MAX};
use tokio::time::timeout;
use tower_http::{
    catch_panic::CatchPanicLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    set_header::SetResponseHeaderLayer,
};

use crate::{
    drain::Drain,
    guard::{self, Guard},
    lane::Lanes,
    metrics::WebMetrics,
    service::{Operations, Presence, Refusal, Rooms},
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
    /// Whether `/metrics` is served beside the rest; otherwise it has a listener of its own.
    pub metrics: bool,
}

/// Everything that handlers and sessions use.
pub struct Web {
    /// Rooms and messages.
    pub rooms: Arc<dyn Rooms>,
    /// Who is where.
    pub presence: Arc<dyn Presence>,
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

/// The router of the public listener.
pub fn router(web: Arc<Web>) -> Router {
    let mut router = Router::new()
        .route("/", get(pages::home))
        .route("/r/{room}", get(pages::room))
        .route("/assets/{*path}", get(pages::asset))
        .route("/create-room", post(quick::create_room))
        .route("/room-exists", get(quick::room_exists))
        .route("/room-messages", get(quick::room_messages))
        .route("/ws", get(quick::ws))
        .route("/livez", get(health::livez))
        .route("/healthz", get(health::livez))
        .route("/readyz", get(health::readyz));
    if web.settings.metrics {
        router = router.route("/metrics", get(health::metrics));
    }
    finish(router.fallback(pages::not_found), web)
}

/// The router of a listener for metrics alone.
pub fn metrics_router(web: Arc<Web>) -> Router {
    finish(Router::new().route("/metrics", get(health::metrics)), web)
}

fn finish(router: Router<Arc<Web>>, web: Arc<Web>) -> Router {
    let no_sniff = (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // A quick room's address is its key: no other site is to learn it.
    let no_referrer = (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    let request_id = HeaderName::from_static("x-request-id");
    let set = |(name, value)| SetResponseHeaderLayer::if_not_present(name, value);
    router
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(Arc::clone(&web))
        .layer(middleware::from_fn_with_state(web, guard::admit))
        .layer(DefaultBodyLimit::max(REQUEST_BODY_BYTES_MAX))
        .layer(middleware::from_fn(limit_time))
        .layer(CatchPanicLayer::custom(|_| unavailable("the node could not answer this request")))
        .layer(set(no_sniff))
        .layer(set(no_referrer))
        .layer(PropagateRequestIdLayer::new(request_id.clone()))
        .layer(SetRequestIdLayer::new(request_id, MakeRequestUuid))
}

async fn method_not_allowed() -> Refusal {
    Refusal::new(ErrorCode::BadRequest, "this address does not take that method; see the documentation")
}

async fn limit_time(request: Request, next: Next) -> Response {
    timeout(REQUEST_MAX, next.run(request))
        .await
        .unwrap_or_else(|_| unavailable("the request did not arrive or could not be answered within 30 s"))
}

fn unavailable(detail: &'static str) -> Response {
    Refusal::new(ErrorCode::Unavailable, detail).into_response()
}
