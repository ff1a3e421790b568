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

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};

pub use self::{
    client::{ClientAddress, Network, TrustedProxies},
    hosts::{HostName, Hosts},
    limits::{Quota, Rate},
    origin::{Origin, Origins},
    rate::Rates,
};
use crate::routes::Web;

/// Paths that balancers, operators and pages load as often as they like; they ask nothing of the store.
const NOT_COUNTED: [&str; 5] = ["/assets/", "/healthz", "/livez", "/metrics", "/readyz"];

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
}

/// Whether requests to a path count against their address.
pub fn is_counted(path: &str) -> bool {
    !NOT_COUNTED.iter().any(|prefix| path.starts_with(prefix))
}

/// Refuses what was asked under a foreign name, and requests of an address that makes far too many.
pub async fn admit(
    State(web): State<Arc<Web>>,
    Extension(client): Extension<ClientAddress>,
    request: Request,
    next: Next,
) -> Response {
    if let Err(refusal) = web.guard.hosts.check(request.uri(), request.headers()) {
        return refusal.into_response();
    }
    if is_counted(request.uri().path())
        && let Err(refusal) = web.guard.rates.check(Quota::CallsPerAddress, &client.network())
    {
        return refusal.into_response();
    }
    next.run(request).await
}
