//! What stands between strangers and the handlers: from which address a request really comes (`client`), from whose
//! page (`origin`), and how often (`rate`, by the table in `limits`).

pub mod client;
pub mod limits;
pub mod origin;
pub mod rate;

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};

pub use self::{
    client::{ClientAddress, Network, TrustedProxies},
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
    /// How often each may do what.
    pub rates: Rates,
}

/// Whether requests to a path count against their address.
pub fn is_counted(path: &str) -> bool {
    !NOT_COUNTED.iter().any(|prefix| path.starts_with(prefix))
}

/// Gives every request its [`ClientAddress`], and refuses those of an address that makes far too many.
pub async fn admit(State(web): State<Arc<Web>>, mut request: Request, next: Next) -> Response {
    let client = web.guard.proxies.client(&request);
    request.extensions_mut().insert(client);
    if is_counted(request.uri().path())
        && let Err(refusal) = web.guard.rates.check(Quota::CallsPerAddress, &client.network())
    {
        return refusal.into_response();
    }
    next.run(request).await
}
