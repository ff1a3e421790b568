//! What stands between strangers and the handlers: from which address a request really comes (`client`), from whose
//! page (`origin`, and `cors` for pages of other sites), under which name (`hosts`), and how often (`rate`, by the table
//! in `limits`). And what every answer tells browsers (`headers`).

pub mod client;
pub mod cors;
pub mod headers;
pub mod hosts;
pub mod limits;
pub mod origin;
pub mod rate;
mod share;
mod written;

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use starling_protocol::ErrorCode;

pub use self::{
    client::{ClientAddress, Network, TrustedProxies},
    hosts::{HostName, Hosts},
    limits::{Quota, Rate},
    origin::{Origin, Origins},
    rate::Rates,
    share::{Share, Shares},
    written::Written,
};
use crate::{problem::Problem, routes::AppState, server::HealthOnly, service::Refusal};

/// What health checks and Prometheus ask: answered even where nothing else is.
const HEALTH: [&str; 4] = ["/healthz", "/livez", "/metrics", "/readyz"];
/// Seconds after which somebody is to try again who holds too many connections, or who met a node that does.
const CROWDED_RETRY_S: u32 = 5;

/// What pages load begins with this.
const ASSETS: &str = "/assets/";

/// All of it, as the node was configured.
#[derive(Debug, Default)]
pub struct Guard {
    /// Whose forwarded headers count.
    pub proxies: TrustedProxies,
    /// From whose pages users come.
    pub origins: Origins,
    /// Under which names they ask.
    pub hosts: Hosts,
    /// Whether they come by TLS: the public address says so.
    pub https: bool,
    /// How often each may do what.
    pub rates: Rates,
    /// How many connections each network holds.
    pub shares: Shares,
}

/// Whether requests to a path count against their address: not what balancers, operators and pages load as often as they
/// like; it asks nothing of the store.
pub fn is_counted(path: &str) -> bool {
    !is_health(path) && !path.starts_with(ASSETS)
}

/// Whether a path is answered even over connections beyond the limits. The router takes it exactly: with a slash at its
/// end it is another, which is not found.
pub fn is_health(path: &str) -> bool {
    HEALTH.contains(&path)
}

/// Refuses what was asked under a foreign name, and requests of an address that makes far too many, or that has too many
/// connections.
pub async fn admit(
    State(web): State<Arc<AppState>>,
    Extension(client): Extension<ClientAddress>,
    mut request: Request,
    next: Next,
) -> Response {
    let is_health = is_health(request.uri().path());
    if request.extensions().get::<HealthOnly>().is_some() && !is_health {
        return crowded("this node has no connection to spare for your network now; try again later");
    }
    if let Err(refusal) = web.guard.hosts.check(request.uri(), request.headers()) {
        return Problem::from(refusal).into_response();
    }
    // Connections of a proxy are not counted: what its clients do over them is.
    let share = if is_health || !web.guard.proxies.is_forwarded(&request, client) {
        None
    } else {
        let Some(share) = web.guard.shares.take(client.network()) else {
            return crowded("your network has too many requests and sockets open here; try again later");
        };
        request.extensions_mut().insert(share.clone());
        Some(share)
    };
    if is_counted(request.uri().path())
        && let Err(refusal) = web.guard.rates.check(Quota::CallsPerAddress, &client.network())
    {
        return Problem::from(refusal).into_response();
    }
    let response = next.run(request).await;
    drop(share);
    response
}

fn crowded(detail: &'static str) -> Response {
    Problem::from(Refusal::new(ErrorCode::Overloaded, detail).retry_after(CROWDED_RETRY_S)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only what is served without asking the store is free: other paths that begin like it count, also those that are
    /// not found.
    #[test]
    fn paths_that_only_begin_like_health_count() {
        for path in ["/healthz", "/livez", "/metrics", "/readyz", "/assets/1/page.css"] {
            assert!(!is_counted(path), "{path}");
        }
        for path in ["/livez/", "/readyz/", "/healthz/x", "/metricsx", "/livez%2f", "/assets", "/", ""] {
            assert!(is_counted(path), "{path}");
        }
    }
}
