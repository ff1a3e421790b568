//! Logs each request under the target `requests`: errors at `info`, the rest at `debug`. Also sets the context for
//! `security_log`. The `x-request-id` of a response is in its log lines.
//!
//! A line shows the pattern of a path (`/reset/{code}`), never the path itself or its parameters: codes and ids of quick
//! rooms are secrets.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderName, StatusCode},
    middleware::Next,
    response::Response,
};
use starling_protocol::limits::ID_CHARS_MAX;
use tokio::time::Instant;

use crate::{
    guard::Guard,
    security_log::{LogThrottle, RequestContext, SecurityEvent},
};

/// The header with the id of a request.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Limits the lines at `info`, so that a flood of errors does not fill the disk.
static THROTTLE: Mutex<LogThrottle> = Mutex::new(LogThrottle::new());

/// Removes request ids that don't come from a trusted proxy, so that clients can't pass their requests off as others'.
pub async fn forget_foreign_ids(
    State(guard): State<Arc<Guard>>,
    mut request: Request,
    next: Next,
) -> Response {
    if let Some(id) = request.headers().get(&REQUEST_ID) {
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(byte);
        let plain = (1..=ID_CHARS_MAX).contains(&id.len()) && id.as_bytes().iter().all(is_plain);
        if !plain || !guard.proxies.came_through_proxy(request.extensions()) {
            request.headers_mut().remove(&REQUEST_ID);
        }
    }
    next.run(request).await
}

/// Adds the [`crate::guard::ClientAddress`] to every request, sets its context, and writes its log line.
pub async fn observe(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let client = guard.proxies.client(&request);
    request.extensions_mut().insert(client);
    let id = request.headers().get(&REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default();
    let context = RequestContext::new(client.0, id);
    let (id, method) = (id.to_owned(), request.method().clone());
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let path = matched.as_ref().map_or("unknown", MatchedPath::as_str);
    let answer = async {
        let response = next.run(request).await;
        let user = RequestContext::user();
        if response.status() == StatusCode::FORBIDDEN {
            SecurityEvent::AccessRefused.by(user).detail(format!("{method} {path}")).record();
        }
        (response, user)
    };
    let (response, user) = context.scope(answer).await;
    let status = response.status();
    let duration_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
    macro_rules! line {
        ($level:ident, $suppressed:expr) => {
            tracing::$level!(
                target: "requests",
                %method,
                path,
                status = status.as_u16(),
                duration_us,
                user = user.map(display),
                client = %client.0,
                request_id = id,
                suppressed = $suppressed,
                "answered",
            )
        };
    }
    // Balancers ask all the time while the node is not ready, and the response says why it is not.
    let is_error = status.as_u16() >= 400 && path != "/readyz";
    let suppressed = || THROTTLE.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now());
    if let Some(suppressed) = is_error.then(suppressed).flatten() {
        line!(info, Some(suppressed).filter(|&suppressed| suppressed > 0));
    } else {
        line!(debug, None::<u64>);
    }
    response
}
