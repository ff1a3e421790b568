//! Health checks for load balancers, and metrics for Prometheus.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Serialize;
use starling_protocol::{ErrorCode, texts};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::api::Json;
use crate::{
    drain::{Drain, Serving},
    openapi::tag,
    problem::Problem,
    service::Operations,
    state::AppState,
};

/// The routes for load balancers.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(check_liveness))
        .routes(routes!(check_health))
        .routes(routes!(check_readiness))
}

/// The route for Prometheus, on the public listener or on its own.
pub fn metrics_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(get_metrics))
}

#[derive(Serialize, ToSchema)]
struct Health {
    /// Either `alive` or `ready`.
    status: &'static str,
    /// Problems that don't keep the node from serving.
    errors: Vec<String>,
}

#[derive(Serialize, ToSchema)]
struct NotReady {
    /// Always `not ready`.
    status: &'static str,
    /// The reasons: starting, catching up, draining, a full disk.
    reasons: Vec<String>,
}

/// Check whether the process runs
#[utoipa::path(
    get, path = "/livez", tag = tag::OPERATIONS,
    responses((status = 200, description = "The process runs; `errors` lists problems that don't keep it from serving.", body = Health)),
    security(()),
)]
async fn check_liveness(State(operations): State<Arc<dyn Operations>>) -> Json<Health> {
    Json(Health { status: "alive", errors: operations.problems() })
}

/// Check whether the process runs, like `/livez`
#[utoipa::path(
    get, path = "/healthz", tag = tag::OPERATIONS,
    responses((status = 200, description = "The process runs.", body = Health)),
    security(()),
)]
async fn check_health(operations: State<Arc<dyn Operations>>) -> Json<Health> {
    check_liveness(operations).await
}

/// Check whether the node takes traffic
#[utoipa::path(
    get, path = "/readyz", tag = tag::OPERATIONS,
    responses(
        (status = 200, description = "The node is ready.", body = Health),
        (status = 503, description = "The node is not ready; `reasons` lists why.", body = NotReady, headers(
            ("retry-after" = u64, description = "The seconds until you should ask again."),
        )),
    ),
    security(()),
)]
async fn check_readiness(
    State(operations): State<Arc<dyn Operations>>,
    State(drain): State<Drain>,
) -> Response {
    let mut reasons = operations.not_ready();
    match drain.serving() {
        Serving::Yes => {}
        Serving::DiskFull => reasons.push(texts::node::DISK_FULL_REASON.to_owned()),
        Serving::Stopping => reasons.push("draining".to_owned()),
    }
    if reasons.is_empty() {
        return Json(Health { status: "ready", errors: operations.problems() }).into_response();
    }
    not_ready(reasons)
}

/// Returns the router of a node that still prepares its store: the process is alive, and is ready for nothing else for this
/// reason.
pub fn starting_router(reason: impl Fn() -> String + Clone + Send + Sync + 'static) -> Router {
    let alive = || async { Json(Health { status: "alive", errors: Vec::new() }) };
    let other = {
        let reason = reason.clone();
        move || std::future::ready(Problem::new(ErrorCode::Unavailable, reason()))
    };
    let readiness = move || std::future::ready(not_ready(vec![reason()]));
    Router::new()
        .route("/livez", get(alive))
        .route("/healthz", get(alive))
        .route("/readyz", get(readiness))
        .fallback(other)
}

fn not_ready(reasons: Vec<String>) -> Response {
    let reasons = Json(NotReady { status: "not ready", reasons });
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], reasons).into_response()
}

/// Get the metrics, for Prometheus
///
/// Returns the metrics in the text format of `OpenMetrics`.
#[utoipa::path(
    get, path = "/metrics", tag = tag::OPERATIONS,
    responses(
        (status = 200, description = "All metrics.", body = String, content_type = "application/openmetrics-text"),
    ),
    security(()),
)]
async fn get_metrics(State(operations): State<Arc<dyn Operations>>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")],
        operations.metrics(),
    )
}
