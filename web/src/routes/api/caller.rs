//! Who asks. A layer around all of `/api/v1` looks at the credentials once; handlers that want somebody with an account
//! take a [`Caller`], and say so in the document with `security(…)`.

use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, Method, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use starling_protocol::ErrorCode;

use crate::{
    guard::{ClientAddress, Quota},
    problem::Problem,
    routes::Web,
    service::{Credentials, Identity, Refusal},
};

/// The browser's session cookie.
pub const COOKIE: &str = "starling_session";

/// Somebody with an account, in a session that lives. Refuses with `unauthenticated` or `token_expired`.
#[derive(Clone, Copy, Debug)]
pub struct Caller(pub Identity);

/// What became of the credentials of a request.
#[derive(Clone)]
struct Asked(Result<Option<Identity>, Refusal>);

/// Puts who asks into the request's extensions.
pub async fn recognise(State(web): State<Arc<Web>>, mut request: Request, next: Next) -> Response {
    let asked = identity(&web, request.method(), request.headers()).await;
    if let Ok(Some(identity)) = &asked {
        if let Err(refusal) = web.guard.rates.check(Quota::CallsPerAccount, &identity.user) {
            return refusal.into_response();
        }
        // It counts under his account instead: many people share an address.
        if let Some(client) = request.extensions().get::<ClientAddress>() {
            if let Err(refusal) = web.guard.rates.check(Quota::AccountCallsPerAddress, &client.network()) {
                return refusal.into_response();
            }
            web.guard.rates.take_back(Quota::CallsPerAddress, &client.network());
        }
        request.extensions_mut().insert(*identity);
    }
    request.extensions_mut().insert(Asked(asked));
    next.run(request).await
}

/// Who asks, if the request brings credentials: a token, or the cookie.
pub async fn identity(web: &Web, method: &Method, headers: &HeaderMap) -> Result<Option<Identity>, Refusal> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let token = value.to_str().ok().and_then(bearer);
        let refusal = || Refusal::new(ErrorCode::Unauthenticated, "Authorization must be 'Bearer TOKEN'");
        return web.authentication.identify(Credentials::Bearer(token.ok_or_else(refusal)?)).await.map(Some);
    }
    if let Some(token) = offered(headers) {
        return web.authentication.identify(Credentials::Bearer(token)).await.map(Some);
    }
    let Some(cookie) = cookie(headers) else { return Ok(None) };
    // Other sites' pages make browsers send the cookie, too.
    if !method.is_safe() || headers.contains_key(header::UPGRADE) {
        web.guard.origins.check(headers)?;
    }
    web.authentication.identify(Credentials::Cookie(cookie)).await.map(Some)
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The token among the subprotocols that are offered for a WebSocket: pages of other origins can send it no other way.
fn offered(headers: &HeaderMap) -> Option<&str> {
    let offers =
        headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let mut offers = offers.flat_map(|text| text.split(','));
    offers.find_map(|offer| offer.trim().strip_prefix("bearer."))
}

/// The session cookie's value, if the request brings one.
pub fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match parts.extensions.get::<Asked>() {
            Some(Asked(Ok(Some(identity)))) => Ok(Self(*identity)),
            Some(Asked(Err(refusal))) => Err(refusal.clone().into()),
            Some(Asked(Ok(None))) | None => {
                Err(Problem::new(ErrorCode::Unauthenticated, "log in first: this wants an account"))
            }
        }
    }
}
