//! Credentials of a request: a bearer token, a token among the subprotocols of a WebSocket, or a session cookie.

use std::sync::Arc;

use axum::{
    extract::FromRef,
    http::{HeaderMap, Method, header},
};
use starling_protocol::{ErrorCode, texts};

use crate::{
    guard::Guard,
    service::{Authentication, Credentials, Identity, Refusal},
    state::AppState,
};

/// The name of the browser's session cookie.
pub const COOKIE: &str = "starling_session";
/// The name of the session cookie if users connect over TLS. Because of the prefix, browsers accept it only from this host,
/// and only over TLS.
pub const HOST_COOKIE: &str = "__Host-starling_session";
/// The most session cookies of one request that are checked. Browsers send one of a name for each path and domain.
const COOKIES_MAX: usize = 4;

/// Finds out whose credentials a request brings.
#[derive(Clone)]
pub struct CredentialReader {
    authentication: Arc<dyn Authentication>,
    guard: Arc<Guard>,
}

impl FromRef<AppState> for CredentialReader {
    fn from_ref(state: &AppState) -> Self {
        Self { authentication: Arc::clone(&state.authentication), guard: Arc::clone(&state.guard) }
    }
}

impl CredentialReader {
    /// Returns the identity for the credentials of a request; `None` if it brings none.
    pub async fn identity(&self, method: &Method, headers: &HeaderMap) -> Result<Option<Identity>, Refusal> {
        if let Some(value) = headers.get(header::AUTHORIZATION) {
            let token = value.to_str().ok().and_then(bearer);
            let refusal = || Refusal::new(ErrorCode::Unauthenticated, texts::request::BEARER_MALFORMED);
            let token = token.ok_or_else(refusal)?;
            return self.authentication.identify(Credentials::Bearer(token)).await.map(Some);
        }
        if let Some(token) = subprotocol_token(headers) {
            return self.authentication.identify(Credentials::Bearer(token)).await.map(Some);
        }
        // Pages of other sites that the operator allows must use tokens: their browsers' cookies don't count.
        let guard = &self.guard;
        if guard.origins.allowed_other_site(headers).is_some() || cookies(headers, guard.https).is_empty() {
            return Ok(None);
        }
        // Browsers send the cookie with requests of other sites' pages, too.
        if !method.is_safe() || headers.contains_key(header::UPGRADE) {
            guard.origins.check_own(headers)?;
        }
        self.by_cookie(headers).await
    }

    /// Returns the identity for the first valid session cookie. Others may be old, or belong to another server on this host.
    pub async fn by_cookie(&self, headers: &HeaderMap) -> Result<Option<Identity>, Refusal> {
        let mut refused: Option<Refusal> = None;
        for cookie in cookies(headers, self.guard.https) {
            match self.authentication.identify(Credentials::Cookie(cookie)).await {
                Ok(identity) => return Ok(Some(identity)),
                // `unauthenticated` never replaces an earlier refusal: a cookie that could not be checked may
                // still be valid.
                Err(refusal) if refusal.code == ErrorCode::Unauthenticated && refused.is_some() => {}
                Err(refusal) => refused = Some(refusal),
            }
        }
        refused.map_or(Ok(None), Err)
    }
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Returns the token among the subprotocols that the client offers for a WebSocket. Scripts in browsers can't set a header.
fn subprotocol_token(headers: &HeaderMap) -> Option<&str> {
    let offers =
        headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let mut offers = offers.flat_map(|text| text.split(','));
    offers.find_map(|offer| offer.trim().strip_prefix("bearer."))
}

/// Returns the values of the session cookies of a request; `__Host-` cookies first, because no other host can have set them.
/// Cookies of other servers may hold any bytes. Under https only the `__Host-` cookie counts, which neither a neighbouring
/// site nor a page without TLS can set.
fn cookies(headers: &HeaderMap, https: bool) -> Vec<&str> {
    let mut found = Vec::new();
    let names = if https { &[HOST_COOKIE][..] } else { &[HOST_COOKIE, COOKIE] };
    for name in names {
        found.extend(cookie_values(headers, name).filter_map(|value| std::str::from_utf8(value).ok()));
    }
    found.truncate(COOKIES_MAX);
    found
}

/// Returns whether a request has a cookie of this name, with any value.
pub fn brings_cookie(headers: &HeaderMap, name: &str) -> bool {
    cookie_values(headers, name).next().is_some()
}

fn cookie_values<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let pairs = headers.get_all(header::COOKIE).iter();
    let pairs = pairs.flat_map(|value| value.as_bytes().split(|&byte| byte == b';')).map(<[u8]>::trim_ascii);
    pairs.filter_map(move |pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    /// Promise: cookies of other servers on this host never log a browser out, whatever they contain and wherever they stand.
    #[test]
    fn session_cookies_are_found_among_all_others() {
        let read = |lines: &[&[u8]]| {
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
            assert_eq!(read(lines), found);
        }
    }
}
