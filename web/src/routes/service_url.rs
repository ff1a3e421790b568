//! The address under which the client reached the service. Links are made with it, and it decides which cookie is set.

use std::convert::Infallible;

use crate::state::AppState;
use axum::{
    extract::FromRequestParts,
    http::{header, request::Parts, uri::Authority},
};

/// The service's address, as the client of a request knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceUrl {
    /// The address without a slash at its end: the configured public URL, or else that of the request. Empty if the
    /// request names no host.
    pub base: String,
    /// Whether the client uses TLS, with this node or with a trusted proxy.
    pub https: bool,
}

impl FromRequestParts<AppState> for ServiceUrl {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Infallible> {
        let public = state.settings.public_url.as_deref().map(|url| url.trim_end_matches('/'));
        let https = public.is_some_and(|url| url.starts_with("https://"))
            || state.guard.proxies.speaks_tls(&parts.extensions, &parts.headers);
        let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host = host.filter(|host| host.parse::<Authority>().is_ok());
        let requested = || host.map(|host| format!("{}://{host}", if https { "https" } else { "http" }));
        let base = public.map(str::to_owned).or_else(requested).unwrap_or_default();
        Ok(Self { base, https })
    }
}
