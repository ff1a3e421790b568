//! Health for balancers and figures for Prometheus.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::Web;
use crate::drain::Serving;

/// The process runs; what is wrong with it all the same.
pub async fn livez(State(web): State<Arc<Web>>) -> impl IntoResponse {
    Json(json!({ "status": "alive", "errors": web.operations.troubles() }))
}

/// The node wants traffic, or says why not.
pub async fn readyz(State(web): State<Arc<Web>>) -> Response {
    let mut reasons = web.operations.not_ready();
    match web.drain.serving() {
        Serving::Yes => {}
        Serving::DiskFull => reasons.push("the disk is full".to_owned()),
        Serving::Stopping => reasons.push("draining".to_owned()),
    }
    if reasons.is_empty() {
        let ready = json!({ "status": "ready", "errors": web.operations.troubles() });
        return Json(ready).into_response();
    }
    let reasons = Json(json!({ "status": "not ready", "reasons": reasons }));
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], reasons).into_response()
}

/// Prometheus text.
pub async fn metrics(State(web): State<Arc<Web>>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")],
        web.operations.metrics(),
    )
}
