//! Parses addresses to listen on, and finds the addresses under which a listener is reached.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use serde::{Deserialize, Deserializer, de::Error as _};
use thiserror::Error;

/// The text is not an address to listen on.
#[derive(Debug, Error)]
#[error(
    "expected an address of this machine and a port, for example 127.0.0.1:{0}, [::1]:{0}, or 0.0.0.0:{0} for all addresses"
)]
pub struct ListenError(u16);

/// Parses `ADDRESS:PORT`, `localhost:PORT`, or a port alone, which means 127.0.0.1.
pub fn parse(text: &str) -> Result<SocketAddr, ListenError> {
    let text = text.trim();
    match text.parse::<u16>() {
        Ok(port) => Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        Err(_) => address_and_port(text).ok_or(ListenError(8080)),
    }
}

/// Parses `ADDRESS:PORT` or `localhost:PORT`. A port alone is refused, as 127.0.0.1 is useless for a cluster.
pub fn parse_cluster(text: &str) -> Result<SocketAddr, ListenError> {
    address_and_port(text.trim()).ok_or(ListenError(super::CLUSTER_PORT))
}

fn address_and_port(text: &str) -> Option<SocketAddr> {
    let localhost = || {
        let (host, port) = text.rsplit_once(':')?;
        let port = port.parse().ok().filter(|_| host.eq_ignore_ascii_case("localhost"))?;
        Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    };
    text.parse().ok().or_else(localhost)
}

/// Reads the setting from the file, if it is there.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).map(Some).map_err(|error| D::Error::custom(format!("listen is '{text}': {error}")))
}

/// As [`deserialize`], for the cluster's listener.
pub fn deserialize_cluster<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_cluster(&text).map(Some).map_err(|error| D::Error::custom(format!("listen is '{text}': {error}")))
}

/// The address under which a program on this machine reaches a listener: no browser opens `0.0.0.0`.
pub fn openable(listener: SocketAddr) -> SocketAddr {
    let ip = match listener.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listener.port())
}

/// The address under which other machines probably reach a listener on all addresses: the one from which packets
/// leave this machine. `None` for other listeners, and without a route to the network.
pub fn remote_address(listener: SocketAddr) -> Option<SocketAddr> {
    if !listener.ip().is_unspecified() {
        return None;
    }
    // Connecting a UDP socket sends nothing; it only asks the routing table. The targets are reserved for examples.
    let route = |local: IpAddr, target: &str| {
        let socket = UdpSocket::bind((local, 0)).ok()?;
        socket.connect(target).ok()?;
        Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
    };
    let ip = route(Ipv4Addr::UNSPECIFIED.into(), "192.0.2.1:9").or_else(|| {
        let over_ipv6 = || route(Ipv6Addr::UNSPECIFIED.into(), "[2001:db8::1]:9");
        listener.is_ipv6().then(over_ipv6).flatten()
    })?;
    Some(SocketAddr::new(ip, listener.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Common forms are understood, and others are refused with an example.
    #[test]
    fn common_forms_of_addresses_are_parsed() {
        for (text, expected) in [
            ("8080", "127.0.0.1:8080"),
            ("localhost:8080", "127.0.0.1:8080"),
            (" 0.0.0.0:80 ", "0.0.0.0:80"),
            ("[::1]:8080", "[::1]:8080"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), expected);
        }
        for text in ["", "nonsense", ":8080", "*:8080", "0.0.0.0", "chat.example:80", "::1:x", "70000"] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains("127.0.0.1:8080") && error.contains("0.0.0.0:8080"), "{error}");
        }
        assert_eq!(parse_cluster("localhost:7946").unwrap().to_string(), "127.0.0.1:7946");
        assert!(parse_cluster("7946").unwrap_err().to_string().contains("0.0.0.0:7946"));
    }

    /// The printed address can be opened.
    #[test]
    fn a_listener_on_all_addresses_is_opened_on_this_machine() {
        let opened = |listener: &str| openable(listener.parse().unwrap()).to_string();
        assert_eq!(opened("0.0.0.0:8080"), "127.0.0.1:8080");
        assert_eq!(opened("[::]:8080"), "[::1]:8080");
        assert_eq!(opened("10.1.2.3:8080"), "10.1.2.3:8080");
        assert_eq!(remote_address("127.0.0.1:8080".parse().unwrap()), None);
    }
}
