//! Who looks at a page, by his cookie.

use std::{convert::Infallible, sync::Arc};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, header, request::Parts},
    response::Response,
};
use starling_protocol::ErrorCode;

use super::form::{brought, without_cookies};
use crate::{
    objects::Me,
    routes::{AppState, api::caller::by_cookie},
    security_log::RequestContext,
    service::{Identity, Refusal},
};

/// Somebody who looks at a page. Whom this node cannot know now is a stranger to it.
pub struct Visitor {
    /// Who he is, if he is logged in.
    pub me: Option<Me>,
    /// The cookies that are good no more: they are taken away, so that they are not looked up again and again.
    left: Vec<&'static str>,
}

impl Visitor {
    /// An answer that shows who he is, and so is nobody else's.
    pub fn answer(&self, mut response: Response) -> Response {
        let private = HeaderValue::from_static("private, no-store");
        response.headers_mut().insert(header::CACHE_CONTROL, private);
        response.headers_mut().append(header::VARY, HeaderValue::from_static("cookie"));
        without_cookies(response, &self.left)
    }
}

impl FromRequestParts<Arc<AppState>> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, web: &Arc<AppState>) -> Result<Self, Infallible> {
        let (me, left) = match identity(web, &parts.headers).await {
            Ok(Some(identity)) => (web.accounts.me(identity).await.ok(), Vec::new()),
            Err(refusal) if refusal.code == ErrorCode::Unauthenticated => (None, brought(&parts.headers)),
            Ok(None) | Err(_) => (None, Vec::new()),
        };
        Ok(Self { me, left })
    }
}

/// Whose cookie a request brings.
pub async fn identity(web: &AppState, headers: &HeaderMap) -> Result<Option<Identity>, Refusal> {
    let identity = by_cookie(web, headers).await?;
    if let Some(identity) = identity {
        RequestContext::set_user(identity.user);
    }
    Ok(identity)
}
