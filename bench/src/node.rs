//! The address of a node as given on the command line: `http://HOST:PORT`.
//! The generator speaks plain HTTP only; TLS would measure the generator's own cryptography.

use std::fmt;
use std::str::FromStr;

/// A node's address, split into what a `Host` header and a connection need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NodeUrl {
    /// `HOST:PORT`, as tokio resolves it and as the `Host` header shows it.
    pub(crate) authority: String,
}

/// Why an address cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NodeUrlError {
    /// It does not begin with `http://`.
    #[error("give a plain address such as http://127.0.0.1:8080 (no TLS, no path)")]
    NotPlainHttp,
    /// There is no host in it, or more than a host and a port.
    #[error("there is no usable host in this address")]
    NoHost,
}

impl FromStr for NodeUrl {
    type Err = NodeUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text.strip_prefix("http://").ok_or(NodeUrlError::NotPlainHttp)?;
        let host = rest.strip_suffix('/').unwrap_or(rest);
        if host.is_empty() || host.contains(['/', '?', '#', '@', ' ']) {
            return Err(NodeUrlError::NoHost);
        }
        // A colon after the last bracket is a port; those inside belong to an IPv6 address.
        let has_port = host.rfind(':').is_some_and(|colon| host.rfind(']').is_none_or(|end| end < colon));
        let authority = if has_port { host.to_owned() } else { format!("{host}:80") };
        Ok(Self { authority })
    }
}

impl fmt::Display for NodeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_split() {
        fn check(input: &str, expected: Option<&str>) {
            assert_eq!(
                input.parse::<NodeUrl>().ok().map(|url| url.authority).as_deref(),
                expected,
                "{input}"
            );
        }
        check("http://127.0.0.1:8080", Some("127.0.0.1:8080"));
        check("http://127.0.0.1:8080/", Some("127.0.0.1:8080"));
        check("http://chat.example", Some("chat.example:80"));
        check("http://[::1]:8080", Some("[::1]:8080"));
        check("http://[::1]", Some("[::1]:80"));
        check("https://chat.example", None);
        check("http://chat.example/path", None);
        check("http://", None);
        check("127.0.0.1:8080", None);
    }
}
