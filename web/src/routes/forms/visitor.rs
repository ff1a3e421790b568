//! The visitor of a page, known by their session cookie.

use std::{convert::Infallible, sync::Arc};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, header, request::Parts},
    response::Response,
};
use starling_protocol::ErrorCode;

use super::form::{session_cookies, without_cookies};
use crate::{
    objects::Me,
    routes::{AppState, api::caller::by_cookie},
    security_log::RequestContext,
    service::{Identity, Refusal},
};

/// The visitor of a page. If this node cannot check the cookie now, they count as a stranger.
pub struct Visitor {
    /// The visitor's account, if they are logged in.
    pub me: Option<Me>,
    /// Invalid session cookies, which are removed so that they are not looked up again and again.
    invalid_cookies: Vec<&'static str>,
}

impl Visitor {
    /// Marks a response as private, because it shows who the visitor is.
    pub fn answer(&self, mut response: Response) -> Response {
        let private = HeaderValue::from_static("private, no-store");
        response.headers_mut().insert(header::CACHE_CONTROL, private);
        response.headers_mut().append(header::VARY, HeaderValue::from_static("cookie"));
        without_cookies(response, &self.invalid_cookies)
    }
}

impl FromRequestParts<Arc<AppState>> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, web: &Arc<AppState>) -> Result<Self, Infallible> {
        let (me, invalid_cookies) = match identity(web, &parts.headers).await {
            Ok(Some(identity)) => (web.accounts.me(identity).await.ok(), Vec::new()),
            Err(refusal) if refusal.code == ErrorCode::Unauthenticated => {
                (None, session_cookies(&parts.headers))
            }
            Ok(None) | Err(_) => (None, Vec::new()),
        };
        Ok(Self { me, invalid_cookies })
    }
}

/// Returns the identity for the session cookie of a request, if it has one.
pub async fn identity(web: &AppState, headers: &HeaderMap) -> Result<Option<Identity>, Refusal> {
    let identity = by_cookie(web, headers).await?;
    if let Some(identity) = identity {
        RequestContext::set_user(identity.user);
    }
    Ok(identity)
}
