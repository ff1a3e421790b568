//! Under which names this server is asked. A foreign page can give its own name this server's address (DNS rebinding) and
//! then ask as if it were a page of ours; the name in `Host` gives it away.

use std::{fmt, net::Ipv6Addr, str::FromStr};

use axum::http::{HeaderMap, Uri, header, uri::Authority};
use starling_protocol::ErrorCode;

use crate::service::Refusal;

/// Addresses that balancers and monitors ask under whatever name.
const UNDER_ANY_NAME: [&str; 4] = ["/healthz", "/livez", "/metrics", "/readyz"];

/// A host's name without a port, in small letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName(String);

/// Not the name of a host.
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
    /// A name may end with a dot, which says that it is whole.
    fn folded(text: &str) -> Self {
        Self(text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase())
    }
}

/// The names under which this server is asked; any, where it has no public address.
#[derive(Debug, Default)]
pub struct Hosts {
    known: Option<Vec<HostName>>,
}

impl Hosts {
    /// The name in the public address, if there is one, and these.
    pub fn new(public_url: Option<&str>, allowed: Vec<HostName>) -> Self {
        let known = public_url.map(|url| {
            let url: Option<Uri> = url.parse().ok();
            let own = url.as_ref().and_then(Uri::host).map(HostName::folded);
            allowed.into_iter().chain(own).collect()
        });
        Self { known }
    }

    /// Refuses what was asked under another name. An address and `localhost` are nobody's name; programs may leave the
    /// name out.
    pub fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(known) = self.known.as_ref().filter(|_| !UNDER_ANY_NAME.contains(&uri.path())) else {
            return Ok(());
        };
        let is_known = |host: &str| {
            let host = HostName::folded(host);
            host.0 == "localhost" || is_address(&host.0) || known.contains(&host)
        };
        let named = headers
            .get_all(header::HOST)
            .iter()
            .map(|value| value.to_str().ok().and_then(|text| text.parse::<Authority>().ok()).ok_or(()));
        let asked = uri.authority().cloned().map(Ok).into_iter().chain(named);
        if asked.into_iter().all(|host| host.is_ok_and(|host| is_known(host.host()))) {
            return Ok(());
        }
        let detail =
            "this server does not go by the name in Host; see http.public_url and http.allowed_hosts";
        Err(Refusal::new(ErrorCode::BadRequest, detail))
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

    /// Promise: under a name that is not its own a server with a public address answers nothing but health.
    #[test]
    fn a_server_is_asked_by_its_own_names() {
        let own = Hosts::new(Some("https://Chat.Example:8443"), vec!["Node-1.internal".parse().unwrap()]);
        let asked = |hosts: &Hosts, path: &'static str, host: &'static str| {
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
            assert!(asked(&own, "/api/v1/me", host), "{host}");
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
            assert!(!asked(&own, "/", host), "{host}");
            assert!(asked(&Hosts::default(), "/", host), "without a public address: {host}");
            for path in UNDER_ANY_NAME {
                assert!(asked(&own, path, host), "{path} at {host}");
            }
            assert!(!asked(&own, "/livez/x", host));
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
