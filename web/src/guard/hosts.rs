//! Checks the host name of requests. A foreign site can point its own name to this server's address (DNS rebinding), so that
//! its pages count as ours; but the name in `Host` is still theirs.

use std::{fmt, net::Ipv6Addr, str::FromStr};

use axum::http::{HeaderMap, Uri, header, uri::Authority};
use starling_protocol::{ErrorCode, texts};

use super::health::is_health;
use crate::service::Refusal;

/// A host name without a port, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName(String);

/// The text is not a host name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostNameError;

impl fmt::Display for HostNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a host's name without scheme and port, such as chat.example or node-1.internal")
    }
}

impl FromStr for HostName {
    type Err = HostNameError;

    fn from_str(text: &str) -> Result<Self, HostNameError> {
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if plain && !text.is_empty() { Ok(Self::folded(text)) } else { Err(HostNameError) }
    }
}

impl HostName {
    /// Lower-cases a name, and removes the dot at the end of a fully qualified one.
    fn folded(text: &str) -> Self {
        Self(text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase())
    }
}

/// The host names of this server. Without a public URL it accepts any.
#[derive(Debug, Default)]
pub struct Hosts {
    known: Option<Vec<HostName>>,
}

impl Hosts {
    /// Accepts the host of the public URL, if there is one, and `allowed`.
    pub fn new(public_url: Option<&str>, allowed: Vec<HostName>) -> Self {
        let known = public_url.map(|url| {
            let url: Option<Uri> = url.parse().ok();
            let own = url.as_ref().and_then(Uri::host).map(HostName::folded);
            allowed.into_iter().chain(own).collect()
        });
        Self { known }
    }

    /// Refuses requests with another host name. IP addresses and `localhost` pass, as nobody can rebind them; so do
    /// requests without a name, which only programs send. Health checks pass under any name.
    pub fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(known) = self.known.as_ref().filter(|_| !is_health(uri.path())) else {
            return Ok(());
        };
        let is_known = |host: &str| {
            let host = HostName::folded(host);
            host.0 == "localhost" || is_address(&host.0) || known.contains(&host)
        };
        let host_headers = headers
            .get_all(header::HOST)
            .iter()
            .map(|value| value.to_str().ok().and_then(|text| text.parse::<Authority>().ok()).ok_or(()));
        let hosts = uri.authority().cloned().map(Ok).into_iter().chain(host_headers);
        if hosts.into_iter().all(|host| host.is_ok_and(|host| is_known(host.host()))) {
            return Ok(());
        }
        Err(Refusal::new(ErrorCode::BadRequest, texts::request::HOST_REFUSED))
    }
}

fn is_address(host: &str) -> bool {
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    bracketed.is_some_and(|host| host.parse::<Ipv6Addr>().is_ok())
        || host.parse::<std::net::Ipv4Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;
    use crate::guard::health::HEALTH;

    /// Promise: under a foreign name, a server with a public URL answers only health checks.
    #[test]
    fn foreign_host_names_are_refused() {
        let own = Hosts::new(Some("https://Chat.Example:8443"), vec!["Node-1.internal".parse().unwrap()]);
        let passes = |hosts: &Hosts, path: &'static str, host: &'static str| {
            let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(host))]);
            hosts.check(&Uri::from_static(path), &headers).is_ok()
        };
        for host in [
            "chat.example",
            "CHAT.example:8443",
            "chat.example:1",
            "chat.example.",
            "node-1.internal:80",
            "localhost",
            "localhost:8080",
            "127.0.0.1",
            "192.0.2.7:8080",
            "[::1]",
            "[2001:db8::1]:8080",
        ] {
            assert!(passes(&own, "/api/v1/me", host), "{host}");
        }
        for host in [
            "evil.example",
            "chat.example.evil.example",
            "xchat.example",
            "a.chat.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "1.2.3.4.5",
            "evil.example@chat.example.x",
            "",
            "a b",
        ] {
            assert!(!passes(&own, "/", host), "{host}");
            assert!(passes(&Hosts::default(), "/", host), "without a public address: {host}");
            for path in HEALTH {
                assert!(passes(&own, path, host), "{path} at {host}");
            }
            assert!(!passes(&own, "/livez/x", host));
        }
        let twice = [HeaderValue::from_static("chat.example"), HeaderValue::from_static("evil.example")];
        let headers = twice.map(|host| (header::HOST, host)).into_iter().collect();
        assert!(own.check(&Uri::from_static("/"), &headers).is_err(), "one of two");
        assert!(own.check(&Uri::from_static("http://evil.example/"), &HeaderMap::new()).is_err());
        assert!(own.check(&Uri::from_static("/"), &HeaderMap::new()).is_ok(), "a program without a name");
    }

    #[test]
    fn a_name_has_no_scheme_and_no_port() {
        for wrong in ["", "https://a.example", "a.example:80", "a/b", "*", "*.example", "a b", "ü.example"] {
            assert_eq!(wrong.parse::<HostName>(), Err(HostNameError), "{wrong:?}");
        }
        assert_eq!("A.example.".parse::<HostName>(), "a.example".parse());
    }
}
