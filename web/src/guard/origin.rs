//! Checks the origin of requests: browsers may act for their users only from pages of this server, and of sites that the
//! operator allows. Otherwise any page could open sockets and use a visitor's cookies.

use std::{fmt, str::FromStr};

use axum::http::{
    HeaderMap, HeaderName, HeaderValue, Uri, header,
    uri::{Authority, Scheme},
};
use starling_protocol::{ErrorCode, texts};

use crate::service::Refusal;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The origin of a page: scheme, host and port, as browsers compare them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    scheme: Scheme,
    host: String,
    port: Option<u16>,
}

/// The text is not `scheme://host` or `scheme://host:port`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OriginError;

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected an origin such as https://chat.example or http://localhost:3000")
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        // An origin contains none of these.
        if text.rsplit("//").next().is_none_or(|rest| rest.contains(['/', '?', '#', '@', '*'])) {
            return Err(OriginError);
        }
        Self::from_url(text).ok_or(OriginError)
    }
}

impl Origin {
    /// Returns the origin of a page at this URL.
    pub fn from_url(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let scheme = uri.scheme()?.clone();
        let (host, port) = host_and_port(uri.authority()?, &scheme);
        Some(Self { scheme, host, port })
    }

    /// Returns whether this is the origin of the server with this `Host`. The scheme is unknown: a proxy may handle TLS.
    fn is_at(&self, host: &str) -> bool {
        let host: Option<Authority> = host.parse().ok();
        host.is_some_and(|host| host_and_port(&host, &self.scheme) == (self.host.clone(), self.port))
    }
}

/// Returns the host in lower case, and the port unless it is the default of the scheme.
fn host_and_port(authority: &Authority, scheme: &Scheme) -> (String, Option<u16>) {
    let usual = match scheme.as_str() {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    };
    (authority.host().to_ascii_lowercase(), authority.port_u16().filter(|port| Some(*port) != usual))
}

/// The origins that may use this server.
#[derive(Debug, Default)]
pub struct Origins {
    /// The origin of the public URL.
    own: Option<Origin>,
    /// The origins of other sites that the operator allows.
    others: Vec<Origin>,
}

impl Origins {
    /// Allows this server's own pages, also under its public URL, and pages of `others`.
    pub fn new(public_url: Option<&str>, others: Vec<Origin>) -> Self {
        Self { own: public_url.and_then(Origin::from_url), others }
    }

    /// Returns the origin if the request comes from a page of another site that the operator allows. Such pages may use
    /// tokens, but never cookies.
    pub fn allowed_other_site<'a>(&self, headers: &'a HeaderMap) -> Option<&'a HeaderValue> {
        let value = headers.get(header::ORIGIN)?;
        let origin: Origin = value.to_str().ok()?.parse().ok()?;
        // The operator may have listed this server's own site too, whose pages may use cookies.
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let own = match text(FETCH_SITE) {
            Some(site) => site == "same-origin",
            None => text(header::HOST).is_some_and(|host| origin.is_at(host)),
        };
        let other = !own && self.own.as_ref() != Some(&origin) && self.others.contains(&origin);
        other.then_some(value)
    }

    /// Refuses requests from pages of other sites, unless the operator allows the site. Must be called before a WebSocket is
    /// opened. Programs other than browsers send neither `Origin` nor `Sec-Fetch-Site`, and pass.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        if self.allowed_other_site(headers).is_some() || self.is_own_page(headers) {
            return Ok(());
        }
        Err(Refusal::new(ErrorCode::Forbidden, texts::request::ORIGIN_REFUSED))
    }

    /// Refuses requests from pages of all other sites. Must be called before anything is changed by right of a cookie, and
    /// before a cookie is set.
    pub fn check_own(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        if self.is_own_page(headers) {
            return Ok(());
        }
        Err(Refusal::new(ErrorCode::Forbidden, texts::request::OWN_PAGES_ONLY))
    }

    fn is_own_page(&self, headers: &HeaderMap) -> bool {
        let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
        // Only browsers send this header; pages can't set it. `none` means that the user typed the address.
        let site = text(FETCH_SITE);
        if matches!(site, Some("same-origin" | "none")) {
            return true;
        }
        match text(header::ORIGIN) {
            None => site.is_none(),
            Some(origin) => origin.parse().is_ok_and(|origin: Origin| {
                // If the browser sent `Sec-Fetch-Site`, that has decided already.
                let own = site.is_none() && text(header::HOST).is_some_and(|host| origin.is_at(host));
                own || self.own.as_ref() == Some(&origin)
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(headers: &[(HeaderName, &'static str)]) -> bool {
        let allowed = vec!["https://app.example".parse().unwrap(), "http://localhost:3000".parse().unwrap()];
        let origins = Origins::new(Some("https://chat.example/starling"), allowed);
        let headers =
            headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
        origins.check(&headers).is_ok()
    }

    #[test]
    fn own_and_allowed_origins_pass_and_foreign_ones_do_not() {
        for (host, origin, pass) in [
            ("10.0.0.1:8080", "http://10.0.0.1:8080", true),
            ("10.0.0.1", "http://10.0.0.1:80", true),
            ("Node.Example:443", "https://node.example", true),
            ("[::1]:8080", "http://[::1]:8080", true),
            // The public URL counts even if a proxy changes `Host`.
            ("10.0.0.1:8080", "https://chat.example", true),
            ("10.0.0.1:8080", "https://app.example", true),
            ("10.0.0.1:8080", "http://localhost:3000", true),
            ("10.0.0.1:8080", "http://chat.example", false),
            ("10.0.0.1:8080", "https://chat.example:444", false),
            ("10.0.0.1:8080", "https://chat.example.evil.example", false),
            ("10.0.0.1:8080", "https://evil.example/https://chat.example", false),
            ("10.0.0.1:8080", "https://evil.example@chat.example", false),
            ("10.0.0.1:8080", "http://10.0.0.1:8081", false),
            ("10.0.0.1:8080", "http://10.0.0.1", false),
            ("10.0.0.1:8080", "null", false),
            ("10.0.0.1:8080", "", false),
            ("", "", false),
        ] {
            let headers = [(header::HOST, host), (header::ORIGIN, origin)];
            assert_eq!(passes(&headers), pass, "{origin:?} at {host:?}");
        }
    }

    /// Promise: a page of another site can never use a cookie, even if the operator allows the site.
    #[test]
    fn allowed_sites_may_not_use_cookies() {
        let others = vec!["https://app.example".parse().unwrap(), "https://chat.example".parse().unwrap()];
        let origins = Origins::new(Some("https://chat.example"), others);
        for (origin, is_other, is_own) in [
            ("https://app.example", true, false),
            ("https://chat.example", false, true),
            ("https://evil.example", false, false),
        ] {
            let headers = HeaderMap::from_iter([
                (header::HOST, HeaderValue::from_static("chat.example")),
                (header::ORIGIN, HeaderValue::from_static(origin)),
            ]);
            assert_eq!(origins.allowed_other_site(&headers).is_some(), is_other, "{origin}");
            assert_eq!(origins.check_own(&headers).is_ok(), is_own, "{origin}");
            assert_eq!(origins.check(&headers).is_ok(), is_other || is_own, "{origin}");
            // No setting lets another site use forms.
            let said = [origins.check(&headers), origins.check_own(&headers)]
                .map(|checked| checked.is_err_and(|refusal| refusal.detail.contains("allowed_origins")));
            assert_eq!(said, [!is_other && !is_own, false], "{origin}");
        }
    }

    #[test]
    fn sec_fetch_site_is_believed() {
        let own = [(header::HOST, "a.example"), (header::ORIGIN, "http://a.example")];
        let app = [(header::HOST, "a.example"), (header::ORIGIN, "https://app.example")];
        let with =
            |headers: &[(HeaderName, &'static str)], site| passes(&[headers, &[(FETCH_SITE, site)]].concat());
        for (headers, site, pass) in [
            (&[][..], "same-origin", true),
            (&[], "none", true),
            (&[], "same-site", false),
            (&[], "cross-site", false),
            (&own, "same-origin", true),
            (&own, "cross-site", false),
            (&app, "cross-site", true),
        ] {
            assert_eq!(with(headers, site), pass, "{headers:?} {site}");
        }
        assert!(passes(&[]), "a program");
    }

    #[test]
    fn origins_are_scheme_host_and_port() {
        for text in
            ["", "chat.example", "https://", "https://a.example/", "https://*.example", "*", "https://a?b"]
        {
            assert_eq!(text.parse::<Origin>(), Err(OriginError), "{text:?}");
        }
        assert_eq!("HTTPS://A.example:443".parse::<Origin>(), "https://a.example".parse());
    }
}
