//! Accepts connections from other nodes. Strangers who send packets cannot keep nodes out: under load an address must
//! first be proven by QUIC's Retry, some handshakes are reserved for known addresses, and no single network of
//! strangers gets all of the others.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use quinn::{Endpoint, Incoming};
use starling_web::guard::client_network;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Links;
use crate::supervisor::SupervisedTask;

/// Handshakes under way at once: with addresses of members and join addresses, and with all others.
const KNOWN_MAX: usize = 64;
const STRANGERS_MAX: usize = 192;
/// From this number of handshakes under way on, an unproven address must retry.
const RETRY_FROM: usize = 16;
/// Handshakes under way with strangers of one network, at most: an IPv4 address, or a /64 of IPv6.
const STRANGERS_PER_NETWORK_MAX: usize = 32;

/// The task that accepts.
pub struct Acceptor {
    endpoint: Endpoint,
    links: Arc<Links>,
    known: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    networks: Networks,
}

/// Handshakes under way with strangers, by network; their permits limit the number.
type Networks = Arc<Mutex<BTreeMap<IpAddr, usize>>>;

/// A permit for a handshake, returned when it is dropped.
pub struct HandshakePermit {
    _permit: OwnedSemaphorePermit,
    _network: Option<NetworkPermit>,
}

/// Counts one handshake of a network until it is dropped.
struct NetworkPermit {
    networks: Networks,
    network: IpAddr,
}

impl NetworkPermit {
    /// Counts a stranger's handshake, unless its network has too many.
    fn enter(networks: &Networks, ip: IpAddr) -> Option<Self> {
        let network = client_network(ip);
        let mut counts = networks.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(network).or_default();
        if *count >= STRANGERS_PER_NETWORK_MAX {
            return None;
        }
        *count += 1;
        Some(Self { networks: Arc::clone(networks), network })
    }
}

impl Drop for NetworkPermit {
    fn drop(&mut self) {
        let mut counts = self.networks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.network);
            }
        }
    }
}

impl Acceptor {
    /// Accepts what arrives at an endpoint.
    pub fn new(endpoint: Endpoint, links: Arc<Links>) -> Self {
        let (known, strangers) = (Semaphore::new(KNOWN_MAX), Semaphore::new(STRANGERS_MAX));
        let (known, strangers) = (Arc::new(known), Arc::new(strangers));
        Self { endpoint, links, known, strangers, networks: Networks::default() }
    }

    fn decide(&self, incoming: Incoming) {
        let ip = incoming.remote_address().ip().to_canonical();
        let known = self.links.knows_address(ip);
        let (permits, max) = if known { (&self.known, KNOWN_MAX) } else { (&self.strangers, STRANGERS_MAX) };
        let busy = max - permits.available_permits() >= RETRY_FROM;
        if busy && !incoming.remote_address_validated() {
            self.links.metrics.retries.inc();
            // QUIC allows a Retry as long as the address is unproven.
            let _ = incoming.retry();
            return;
        }
        let network = if known { Some(None) } else { NetworkPermit::enter(&self.networks, ip).map(Some) };
        match (Arc::clone(permits).try_acquire_owned(), network) {
            (Ok(permit), Some(network)) => {
                let handshake = HandshakePermit { _permit: permit, _network: network };
                tokio::spawn(Arc::clone(&self.links).incoming(incoming, handshake));
            }
            // A peer dials again; a stranger needs no answer.
            _ => incoming.ignore(),
        }
    }
}

impl SupervisedTask for Acceptor {
    fn name(&self) -> &'static str {
        "cluster listener"
    }

    async fn run(&mut self) {
        while let Some(incoming) = self.endpoint.accept().await {
            self.decide(incoming);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One network cannot take all permits of strangers, and it returns those that it had.
    #[test]
    fn a_network_has_so_many_handshakes_under_way_at_most() {
        let networks = Networks::default();
        let enter = |ip: &str| NetworkPermit::enter(&networks, ip.parse().unwrap());
        let held: Vec<_> = (0..STRANGERS_PER_NETWORK_MAX).map(|_| enter("2001:db8::1").unwrap()).collect();
        assert!(enter("2001:db8::ffff").is_none(), "the same /64");
        assert!(enter("2001:db8:0:1::1").is_some() && enter("192.0.2.1").is_some());
        drop(held);
        assert!(enter("2001:db8::1").is_some());
        assert!(networks.lock().unwrap().is_empty());
    }
}
