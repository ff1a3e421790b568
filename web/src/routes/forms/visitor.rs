//! The visitor of a page, known by their session cookie.

use std::convert::Infallible;

use axum::{
    extract::{FromRef, FromRequestParts},
    http::{HeaderMap, HeaderValue, header, request::Parts},
    response::Response,
};
use starling_protocol::ErrorCode;

use super::form::{session_cookies, without_cookies};
use crate::{
    credentials::CredentialReader,
    objects::Me,
    security_log::RequestContext,
    service::{Identity, Refusal},
    state::AppState,
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
    pub fn mark_private(&self, mut response: Response) -> Response {
        let private = HeaderValue::from_static("private, no-store");
        response.headers_mut().insert(header::CACHE_CONTROL, private);
        response.headers_mut().append(header::VARY, HeaderValue::from_static("cookie"));
        without_cookies(response, &self.invalid_cookies)
    }
}

impl FromRequestParts<AppState> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Infallible> {
        let credentials = CredentialReader::from_ref(state);
        let (me, invalid_cookies) = match identity(&credentials, &parts.headers).await {
            Ok(Some(identity)) => (state.accounts.me(identity).await.ok(), Vec::new()),
            Err(refusal) if refusal.code == ErrorCode::Unauthenticated => {
                (None, session_cookies(&parts.headers))
            }
            Ok(None) | Err(_) => (None, Vec::new()),
        };
        Ok(Self { me, invalid_cookies })
    }
}

/// Returns the identity for the session cookie of a request, if it has one.
pub async fn identity(
    credentials: &CredentialReader,
    headers: &HeaderMap,
) -> Result<Option<Identity>, Refusal> {
    let identity = credentials.by_cookie(headers).await?;
    if let Some(identity) = identity {
        RequestContext::set_user(identity.user);
    }
    Ok(identity)
}
