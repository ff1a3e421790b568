//! The addresses that this node announces: the configured ones, or those over which its links come up.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use starling_protocol::limits::ADDRESSES_MAX;

use super::Members;
use crate::environment::Environment;

/// Guesses this node's addresses again whenever a link comes up, unless they were configured.
pub(super) struct AddressGuess {
    environment: Arc<dyn Environment>,
    members: Arc<Members>,
    /// The port of the socket that listens on all addresses; `None` if the addresses were configured.
    port: Option<u16>,
}

impl AddressGuess {
    pub(super) fn new(environment: Arc<dyn Environment>, members: Arc<Members>, port: Option<u16>) -> Self {
        Self { environment, members, port }
    }

    /// Whether the address is one of this machine's at present.
    pub(super) fn has_address(&self, ip: IpAddr) -> bool {
        self.environment.has_address(ip)
    }

    /// Handles a new link to `remote`; `local` is the address to which the peer sent, if it is known.
    pub(super) fn link_comes_up(&self, remote: SocketAddr, local: Option<IpAddr>) {
        let Some(port) = self.port else { return };
        let fresh = local.or_else(|| self.environment.source_address(canonical(remote)));
        let Some(fresh) = fresh.map(|ip| ip.to_canonical()) else { return };
        let known = self.members.own().addresses;
        let known: Vec<_> =
            known.iter().filter_map(|address| Some(address.parse::<SocketAddr>().ok()?.ip())).collect();
        let guessed = guess(&known, fresh, |ip| self.environment.has_address(ip));
        let addresses = guessed.into_iter().map(|ip| SocketAddr::new(ip, port).to_string());
        self.members.set_addresses(addresses.collect());
    }
}

/// Returns an address as people write it: IPv4 also for a socket of both families.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
        // With its scope.
        IpAddr::V6(_) => address,
    }
}

/// Returns the addresses under which a node is reachable after a link came up over `fresh`: one per network, as long as
/// the node still has it.
fn guess(known: &[IpAddr], fresh: IpAddr, still_has: impl Fn(IpAddr) -> bool) -> Vec<IpAddr> {
    let mut addresses: Vec<_> = known.iter().copied().filter(|&ip| ip == fresh || still_has(ip)).collect();
    if !addresses.contains(&fresh) && !is_link_local(fresh) {
        addresses.insert(0, fresh);
    }
    // Other machines can't reach it, and nodes on this machine reach the other addresses too.
    if addresses.iter().any(|ip| !ip.is_loopback()) {
        addresses.retain(|ip| !ip.is_loopback());
    }
    addresses.truncate(ADDRESSES_MAX);
    addresses
}

/// Whether an address is valid only together with an interface of the machine that uses it.
fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// The guess is made again with each link, per network and address family; a loopback address is announced only while
    /// there is no other.
    #[test]
    fn a_guess_follows_the_links_that_come_up() {
        for (known, fresh, gone, expected) in [
            (&[][..], "10.0.0.1", &[][..], &["10.0.0.1"][..]),
            (&[], "127.0.0.1", &[], &["127.0.0.1"]),
            (&["127.0.0.1"], "10.0.0.1", &[], &["10.0.0.1"]),
            (&["10.0.0.1"], "127.0.0.1", &[], &["10.0.0.1"]),
            (&["10.0.0.1"], "fd00::1", &[], &["fd00::1", "10.0.0.1"]),
            (&["10.0.0.1"], "::1", &[], &["10.0.0.1"]),
            (&["10.0.0.1"], "10.0.0.2", &["10.0.0.1"], &["10.0.0.2"]),
            (&["10.0.0.1", "192.168.0.1"], "192.168.0.1", &[], &["10.0.0.1", "192.168.0.1"]),
            (&["10.0.0.1"], "fe80::1", &[], &["10.0.0.1"]),
            (
                &["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"],
                "10.0.0.5",
                &[],
                &["10.0.0.5", "10.0.0.1", "10.0.0.2", "10.0.0.3"],
            ),
        ] {
            let gone = ips(gone);
            let guessed = guess(&ips(known), fresh.parse().unwrap(), |ip| !gone.contains(&ip));
            assert_eq!(guessed, ips(expected), "{known:?} and then {fresh}");
        }
    }
}
