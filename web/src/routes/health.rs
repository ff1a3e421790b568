//! Health for balancers and figures for Prometheus.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{AppState, api::Json};
use crate::{drain::Serving, openapi::tag};

/// For balancers.
pub fn routes() -> OpenApiRouter<Arc<AppState>> {
    OpenApiRouter::default()
        .routes(routes!(check_liveness))
        .routes(routes!(check_health))
        .routes(routes!(check_readiness))
}

/// For Prometheus, on a listener of its own or beside the rest.
pub fn metrics_routes() -> OpenApiRouter<Arc<AppState>> {
    OpenApiRouter::default().routes(routes!(get_metrics))
}

#[derive(Serialize, ToSchema)]
struct Health {
    /// `alive` or `ready`.
    status: &'static str,
    /// What is wrong although the node serves.
    errors: Vec<String>,
}

#[derive(Serialize, ToSchema)]
struct NotReady {
    /// `not ready`.
    status: &'static str,
    /// Why: starting, catching up, draining, a full disk.
    reasons: Vec<String>,
}

/// Check whether the process runs
#[utoipa::path(
    get, path = "/livez", tag = tag::OPERATIONS,
    responses((status = 200, description = "It runs. `errors` says what is wrong with it nevertheless.", body = Health)),
    security(()),
)]
async fn check_liveness(State(web): State<Arc<AppState>>) -> Json<Health> {
    Json(Health { status: "alive", errors: web.operations.troubles() })
}

/// Check whether the process runs, as `/livez` does
#[utoipa::path(
    get, path = "/healthz", tag = tag::OPERATIONS,
    responses((status = 200, description = "It runs.", body = Health)),
    security(()),
)]
async fn check_health(web: State<Arc<AppState>>) -> Json<Health> {
    check_liveness(web).await
}

/// Check whether the node takes traffic
#[utoipa::path(
    get, path = "/readyz", tag = tag::OPERATIONS,
    responses(
        (status = 200, description = "It takes traffic.", body = Health),
        (status = 503, description = "It does not, for these reasons.", body = NotReady, headers(
            ("retry-after" = u64, description = "Seconds after which to ask again."),
        )),
    ),
    security(()),
)]
async fn check_readiness(State(web): State<Arc<AppState>>) -> Response {
    let mut reasons = web.operations.not_ready();
    match web.drain.serving() {
        Serving::Yes => {}
        Serving::DiskFull => reasons.push("the disk is full".to_owned()),
        Serving::Stopping => reasons.push("draining".to_owned()),
    }
    if reasons.is_empty() {
        return Json(Health { status: "ready", errors: web.operations.troubles() }).into_response();
    }
    let reasons = Json(NotReady { status: "not ready", reasons });
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], reasons).into_response()
}

/// Get the metrics, for Prometheus
///
/// As text in `OpenMetrics`.
#[utoipa::path(
    get, path = "/metrics", tag = tag::OPERATIONS,
    responses(
        (status = 200, description = "All metrics.", body = String, content_type = "application/openmetrics-text"),
    ),
    security(()),
)]
async fn get_metrics(State(web): State<Arc<AppState>>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")],
        web.operations.metrics(),
    )
}
