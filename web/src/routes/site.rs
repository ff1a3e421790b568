//! How a request reached the service: under which address, and whether its user speaks TLS.

use std::{convert::Infallible, sync::Arc};

use axum::{
    extract::FromRequestParts,
    http::{header, request::Parts, uri::Authority},
};

use super::AppState;

/// The service as the asker sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// What its paths are appended to: the public address, or else that of the request.
    pub url: String,
    /// Whether the asker speaks TLS, with this node or with a proxy before it.
    pub https: bool,
}

impl FromRequestParts<Arc<AppState>> for Site {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, web: &Arc<AppState>) -> Result<Self, Infallible> {
        let public = web.settings.public_url.as_deref().map(|url| url.trim_end_matches('/'));
        let https = public.is_some_and(|url| url.starts_with("https://"))
            || web.guard.proxies.speaks_tls(&parts.extensions, &parts.headers);
        let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host = host.filter(|host| host.parse::<Authority>().is_ok());
        let asked = || host.map(|host| format!("{}://{host}", if https { "https" } else { "http" }));
        // Without a host there is still the path.
        let url = public.map(str::to_owned).or_else(asked).unwrap_or_default();
        Ok(Self { url, https })
    }
}
