//! Who looks at a page, by his cookie.

use std::{convert::Infallible, sync::Arc};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, header, request::Parts},
    response::Response,
};
use starling_protocol::ErrorCode;

use super::form::without_cookie;
use crate::{
    objects::Me,
    routes::{Web, api::caller::cookie},
    service::{Credentials, Identity, Refusal},
};

/// Somebody who looks at a page. Whom this node cannot know now is a stranger to it.
pub struct Visitor {
    /// Who he is, if he is logged in.
    pub me: Option<Me>,
    /// Whether his cookie is good no more: it is taken away, so that it is not looked up again and again.
    left: bool,
}

impl Visitor {
    /// An answer that shows who he is, and so is nobody else's.
    pub fn answer(&self, mut response: Response) -> Response {
        let private = HeaderValue::from_static("private, no-cache");
        response.headers_mut().insert(header::CACHE_CONTROL, private);
        response.headers_mut().append(header::VARY, HeaderValue::from_static("cookie"));
        if self.left { without_cookie(response) } else { response }
    }
}

impl FromRequestParts<Arc<Web>> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, web: &Arc<Web>) -> Result<Self, Infallible> {
        let (me, left) = match identity(web, &parts.headers).await {
            Ok(Some(identity)) => (web.accounts.me(identity).await.ok(), false),
            Ok(None) => (None, false),
            Err(refusal) => (None, refusal.code == ErrorCode::Unauthenticated),
        };
        Ok(Self { me, left })
    }
}

/// Whose cookie a request brings.
pub async fn identity(web: &Web, headers: &HeaderMap) -> Result<Option<Identity>, Refusal> {
    let Some(cookie) = cookie(headers) else { return Ok(None) };
    web.authentication.identify(Credentials::Cookie(cookie)).await.map(Some)
}
