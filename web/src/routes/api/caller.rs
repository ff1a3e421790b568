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
    routes::AppState,
    security_log::RequestContext,
    service::{Credentials, Identity, Refusal},
};

/// The browser's session cookie.
pub const COOKIE: &str = "starling_session";
/// The same where users speak TLS: by its name browsers take it from this host alone, and only over TLS.
pub const HOST_COOKIE: &str = "__Host-starling_session";
/// Session cookies of a request that are tried, at most: browsers send one of a name for each path and domain.
const COOKIES_MAX: usize = 4;

/// Somebody with an account, in a session that lives. Refuses with `unauthenticated` or `token_expired`.
#[derive(Clone, Copy, Debug)]
pub struct Caller(pub Identity);

/// What became of the credentials of a request.
#[derive(Clone)]
struct Asked(Result<Option<Identity>, Refusal>);

/// Puts who asks into the request's extensions.
pub async fn recognise(State(web): State<Arc<AppState>>, mut request: Request, next: Next) -> Response {
    let asked = identity(&web, request.method(), request.headers()).await;
    if let Ok(Some(identity)) = &asked {
        RequestContext::set_user(identity.user);
        if let Err(refusal) = web.guard.rates.check(Quota::CallsPerAccount, &identity.user) {
            return Problem::from(refusal).into_response();
        }
        // It counts under his account instead: many people share an address.
        if let Some(client) = request.extensions().get::<ClientAddress>() {
            if let Err(refusal) = web.guard.rates.check(Quota::AccountCallsPerAddress, &client.network()) {
                return Problem::from(refusal).into_response();
            }
            web.guard.rates.take_back(Quota::CallsPerAddress, &client.network());
        }
        request.extensions_mut().insert(*identity);
    }
    request.extensions_mut().insert(Asked(asked));
    next.run(request).await
}

/// Who asks, if the request brings credentials: a token, or the cookie.
pub async fn identity(
    web: &AppState,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Option<Identity>, Refusal> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let token = value.to_str().ok().and_then(bearer);
        let refusal = || Refusal::new(ErrorCode::Unauthenticated, "Authorization must be 'Bearer TOKEN'");
        return web.authentication.identify(Credentials::Bearer(token.ok_or_else(refusal)?)).await.map(Some);
    }
    if let Some(token) = offered(headers) {
        return web.authentication.identify(Credentials::Bearer(token)).await.map(Some);
    }
    // Another site's page that the operator lets use the server acts by a token: a cookie from there counts for nothing.
    if web.guard.origins.other(headers).is_some() || cookies(headers, web.guard.https).is_empty() {
        return Ok(None);
    }
    // Other sites' pages make browsers send the cookie, too.
    if !method.is_safe() || headers.contains_key(header::UPGRADE) {
        web.guard.origins.check_own(headers)?;
    }
    by_cookie(web, headers).await
}

/// Whose session cookie a request brings: of several the first that is good. Some may be left over, or come from another
/// server of this host.
pub async fn by_cookie(web: &AppState, headers: &HeaderMap) -> Result<Option<Identity>, Refusal> {
    let mut refused: Option<Refusal> = None;
    for cookie in cookies(headers, web.guard.https) {
        match web.authentication.identify(Credentials::Cookie(cookie)).await {
            Ok(identity) => return Ok(Some(identity)),
            // What cannot be known now may still be good.
            Err(refusal) if refusal.code == ErrorCode::Unauthenticated && refused.is_some() => {}
            Err(refusal) => refused = Some(refusal),
        }
    }
    refused.map_or(Ok(None), Err)
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

/// The values of the session cookies of a request, those first that can be from nowhere else. Cookies of other servers may
/// hold any bytes. Under https only the cookie counts that no neighbouring site and no plain page can set.
fn cookies(headers: &HeaderMap, https: bool) -> Vec<&str> {
    let mut found = Vec::new();
    let names = if https { &[HOST_COOKIE][..] } else { &[HOST_COOKIE, COOKIE] };
    for name in names {
        found.extend(values(headers, name).filter_map(|value| std::str::from_utf8(value).ok()));
    }
    found.truncate(COOKIES_MAX);
    found
}

/// Whether a request brings a cookie of this name, whatever is in it.
pub fn brings_cookie(headers: &HeaderMap, name: &str) -> bool {
    values(headers, name).next().is_some()
}

fn values<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let pairs = headers.get_all(header::COOKIE).iter();
    let pairs = pairs.flat_map(|value| value.as_bytes().split(|&byte| byte == b';')).map(<[u8]>::trim_ascii);
    pairs.filter_map(move |pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
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

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    /// Promise: no cookie of another server on this host logs a browser out, whatever is in it and wherever it stands.
    #[test]
    fn all_cookies_of_our_names_are_found_among_whatever_else_there_is() {
        let resume_point = |lines: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::COOKIE, HeaderValue::from_bytes(line).unwrap());
            }
            cookies(&headers, false).join(" ")
        };
        for (lines, found) in [
            (&[&b"starling_session=a"[..]][..], "a"),
            (&[b"other=caf\xe9; starling_session=a; more=\xff"], "a"),
            (&[b"starling_session=caf\xe9; starling_session=a"], "a"),
            (&[b"starling_session=old; starling_session=new"], "old new"),
            (&[b"starling_session=old", b"x=y;starling_session=new"], "old new"),
            (&[b"starling_session=plain; __Host-starling_session=host"], "host plain"),
            (&[b"xstarling_session=a; starling_session2=b; starling_session; =c"], ""),
            (&[b"starling_session=1; starling_session=2; starling_session=3; starling_session=4; starling_session=5"],
                "1 2 3 4"),
            (&[], ""),
        ] {
            assert_eq!(resume_point(lines), found);
        }
    }
}
