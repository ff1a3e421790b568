//! The client of a request: the peer of the connection, or the address that a trusted proxy reports.
//!
//! Reads only `X-Forwarded-For` and `X-Forwarded-Proto`: every common proxy writes them, but most pass on a client's own
//! `Forwarded` unchanged.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
    sync::atomic::{AtomicBool, Ordering},
};

use axum::{
    extract::{ConnectInfo, Request},
    http::{Extensions, HeaderMap, HeaderName},
};
use ipnet::IpNet;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The address of the client. An extension of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

impl ClientAddress {
    /// Returns the network under which the limits count this client; see [`client_network`].
    pub fn network(self) -> IpAddr {
        client_network(self.0)
    }
}

/// Returns the network under which the limits count a client: an IPv4 address, or the /64 of an IPv6 address, because a
/// household or a machine commonly has all addresses of one.
pub fn client_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

/// An address or a network such as `10.0.0.0/8`, as configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

/// The text is neither an address nor a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkError;

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected an address or a network such as 127.0.0.1, 10.0.0.0/8 or fd00::/8")
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let address = || text.parse().map(|address: IpAddr| address.into());
        text.parse().or_else(|_| address()).map(Self).map_err(|_| NetworkError)
    }
}

/// The proxies whose `X-Forwarded-For` is trusted.
#[derive(Debug, Default)]
pub struct TrustedProxies {
    networks: Vec<Network>,
    /// Whether a warning about a proxy that is not configured was logged.
    warned: AtomicBool,
}

impl TrustedProxies {
    /// Trusts the proxies in these networks.
    pub fn new(networks: Vec<Network>) -> Self {
        Self { networks, warned: AtomicBool::new(false) }
    }

    /// Returns the client of a request: the rightmost address of the proxy chain that is no trusted proxy.
    pub fn client(&self, request: &Request) -> ClientAddress {
        self.client_of(peer(request.extensions()), request.headers())
    }

    /// Returns whether a trusted proxy passed the request on for a client that is no proxy itself.
    pub fn is_forwarded(&self, request: &Request, client: ClientAddress) -> bool {
        self.trusts(peer(request.extensions())) && !self.trusts(client.0)
    }

    /// Returns whether an address belongs to a trusted proxy.
    pub fn is_trusted(&self, address: IpAddr) -> bool {
        self.trusts(address.to_canonical())
    }

    /// Returns whether a trusted proxy says that its client uses TLS.
    pub fn speaks_tls(&self, extensions: &Extensions, headers: &HeaderMap) -> bool {
        // The connection's peer wrote the last value.
        let said = headers.get_all(FORWARDED_PROTO).iter().next_back().and_then(|value| value.to_str().ok());
        let said = said.and_then(|said| said.rsplit(',').next());
        said.is_some_and(|said| said.trim().eq_ignore_ascii_case("https")) && self.trusts(peer(extensions))
    }

    /// Returns whether the connection comes from a trusted proxy.
    pub fn came_through_proxy(&self, extensions: &Extensions) -> bool {
        self.trusts(peer(extensions))
    }

    fn client_of(&self, peer: IpAddr, headers: &HeaderMap) -> ClientAddress {
        if self.networks.is_empty()
            && looks_like_a_proxy(peer, headers)
            && !self.warned.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(
                %peer,
                "requests come through a proxy that is not in http.trusted_proxies: all its clients share its limits"
            );
        }
        let mut client = peer;
        let lines = headers.get_all(FORWARDED_FOR).iter().rev();
        for hop in lines.flat_map(|line| line.as_bytes().rsplit(|&byte| byte == b',')) {
            if !self.trusts(client) {
                break;
            }
            // Nothing before a malformed value can be trusted.
            let Some(before) = std::str::from_utf8(hop).ok().and_then(|hop| parse(hop.trim())) else { break };
            client = before;
        }
        ClientAddress(client)
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|Network(network)| network.contains(&address))
    }
}

/// Returns the peer of the connection. Requests without one (in tests) all count as one client.
fn peer(extensions: &Extensions) -> IpAddr {
    let peer = extensions.get::<ConnectInfo<SocketAddr>>();
    peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(peer)| peer.ip().to_canonical())
}

fn looks_like_a_proxy(peer: IpAddr, headers: &HeaderMap) -> bool {
    let near = match peer {
        IpAddr::V4(peer) => peer.is_loopback() || peer.is_private(),
        IpAddr::V6(peer) => peer.is_loopback() || peer.is_unique_local(),
    };
    near && headers.contains_key(FORWARDED_FOR)
}

/// Parses an address with or without a port.
fn parse(hop: &str) -> Option<IpAddr> {
    let bare = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']')).unwrap_or(hop);
    let address = bare.parse().or_else(|_| hop.parse().map(|with_port: SocketAddr| with_port.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn client(trusted: &[&str], peer: &str, forwarded: &[&str]) -> String {
        let proxies = TrustedProxies::new(trusted.iter().map(|network| network.parse().unwrap()).collect());
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append(FORWARDED_FOR, HeaderValue::from_str(line).unwrap());
        }
        proxies.client_of(peer.parse::<IpAddr>().unwrap().to_canonical(), &headers).0.to_string()
    }

    #[test]
    fn forwarded_headers_count_from_trusted_proxies_alone() {
        assert_eq!(client(&[], "127.0.0.1", &["1.2.3.4"]), "127.0.0.1");
        assert_eq!(client(&["10.0.0.0/8"], "11.0.0.1", &["1.2.3.4"]), "11.0.0.1");
        assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &["1.2.3.4"]), "1.2.3.4");
        assert_eq!(client(&["10.0.0.0/8"], "::ffff:10.0.0.1", &["::ffff:1.2.3.4"]), "1.2.3.4");
        assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn the_client_is_the_rightmost_that_is_not_trusted() {
        let trusted = ["10.0.0.0/8", "fd00::/8"];
        for (forwarded, found) in [
            // The client itself may have written the leftmost values.
            (&["6.6.6.6, 1.2.3.4"][..], "1.2.3.4"),
            (&["6.6.6.6", "1.2.3.4, 10.0.0.2"], "1.2.3.4"),
            (&["1.2.3.4:4711,10.0.0.2"], "1.2.3.4"),
            (&["2001:db8::7"], "2001:db8::7"),
            (&["[2001:db8::7]:80, fd00::1"], "2001:db8::7"),
            (&["[2001:db8::7]"], "2001:db8::7"),
            // All are trusted proxies: the first of them is the client.
            (&["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            (&["1.2.3.4, unknown, 10.0.0.2"], "10.0.0.2"),
            (&["1.2.3.4,"], "10.0.0.1"),
            (&[""], "10.0.0.1"),
        ] {
            assert_eq!(client(&trusted, "10.0.0.1", forwarded), found, "{forwarded:?}");
        }
    }

    #[test]
    fn tls_is_believed_of_trusted_proxies_alone() {
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        let speaks = |peer: [u8; 4], said: &'static str| {
            let mut extensions = Extensions::new();
            extensions.insert(ConnectInfo(SocketAddr::from((peer, 1))));
            let headers = HeaderMap::from_iter([(FORWARDED_PROTO, HeaderValue::from_static(said))]);
            proxies.speaks_tls(&extensions, &headers)
        };
        assert!(speaks([10, 0, 0, 1], "https") && speaks([10, 0, 0, 1], "http, HTTPS"));
        assert!(!speaks([10, 0, 0, 1], "https, http") && !speaks([10, 0, 0, 1], ""));
        assert!(!speaks([11, 0, 0, 1], "https"));
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_client() {
        let network = |address: &str| ClientAddress(address.parse().unwrap()).network();
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff::9"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_ne!(network("1.2.3.4"), network("1.2.3.5"));
        assert_eq!(network("1.2.3.4"), network("::ffff:1.2.3.4"));
    }
}
