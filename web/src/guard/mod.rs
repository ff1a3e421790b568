//! Checks on requests before the handlers: the client's address (`client`), the page that sent it (`origin`, and `cors` for
//! pages of other sites), the host name (`hosts`), and rate limits (`rate`, with the table in `limits`). Also adds the
//! security headers of every response (`headers`).

pub mod client;
mod connection_limit;
pub mod cors;
pub mod headers;
mod health;
pub mod hosts;
pub mod limits;
pub mod origin;
pub mod rate;
mod room_write;

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use starling_protocol::{ErrorCode, texts};

pub use self::{
    client::{ClientAddress, Network, TrustedProxies, client_network},
    connection_limit::{ConnectionLimiter, ConnectionSlot},
    health::is_health,
    hosts::{HostName, Hosts},
    limits::{Quota, Rate},
    origin::{Origin, Origins},
    rate::Rates,
    room_write::RoomWrite,
};
use crate::{problem::Problem, service::Refusal};

/// The `Retry-After` of a client with too many connections, or of a node with too many, in seconds.
const TOO_MANY_CONNECTIONS_RETRY_S: u32 = 5;

/// The beginning of the paths of assets.
const ASSETS: &str = "/assets/";

/// The configuration and state of all checks.
#[derive(Debug, Default)]
pub struct Guard {
    /// The proxies whose forwarded headers are trusted.
    pub proxies: TrustedProxies,
    /// The sites whose pages may use this server.
    pub origins: Origins,
    /// The host names of this server.
    pub hosts: Hosts,
    /// Whether the public URL is `https`.
    pub https: bool,
    /// The rate limits.
    pub rates: Rates,
    /// The connections of each network.
    pub connections_by_network: ConnectionLimiter,
}

/// An extension of requests over a connection of the listener's reserve, which may only check health.
#[derive(Clone, Copy, Debug)]
pub struct HealthOnly;

/// Returns whether requests to a path count against the rate limits. Health checks, metrics and assets don't: they are
/// frequent, and need nothing from the store.
pub fn is_counted(path: &str) -> bool {
    !is_health(path) && !path.starts_with(ASSETS)
}

/// Refuses requests with a foreign host name, and requests of a client network that makes too many or has too many
/// connections.
pub async fn admit(
    State(guard): State<Arc<Guard>>,
    Extension(client): Extension<ClientAddress>,
    mut request: Request,
    next: Next,
) -> Response {
    let is_health = is_health(request.uri().path());
    if request.extensions().get::<HealthOnly>().is_some() && !is_health {
        return too_many_connections(texts::node::TOO_MANY_CONNECTIONS);
    }
    if let Err(refusal) = guard.hosts.check(request.uri(), request.headers()) {
        return Problem::from(refusal).into_response();
    }
    // A direct client's connection was counted at accept (`ConnectionPermits`). Behind a proxy, each request of the
    // client holds a slot instead.
    let slot = if is_health || !guard.proxies.is_forwarded(&request, client) {
        None
    } else {
        let Some(slot) = guard.connections_by_network.take(client.network()) else {
            return too_many_connections(texts::node::TOO_MANY_OPEN);
        };
        request.extensions_mut().insert(slot.clone());
        Some(slot)
    };
    if is_counted(request.uri().path())
        && let Err(refusal) = guard.rates.check(Quota::CallsPerAddress, &client.network())
    {
        return Problem::from(refusal).into_response();
    }
    let response = next.run(request).await;
    drop(slot);
    response
}

fn too_many_connections(detail: &'static str) -> Response {
    Problem::from(Refusal::new(ErrorCode::Overloaded, detail).retry_after(TOO_MANY_CONNECTIONS_RETRY_S))
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: only paths that need nothing from the store are not counted. Paths that begin alike are, even those that
    /// don't exist.
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
