//! Permits for connections: limited in total and for each client network, with a reserve for health checks when there
//! are no others left.

use std::{net::IpAddr, sync::Arc};

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    guard::{ConnectionLimiter, ConnectionSlot, Guard, HealthOnly, Quota, client_network},
    metrics::WebMetrics,
};

/// The most connections in the reserve; each lasts a few seconds at most.
const RESERVE: usize = 64;
/// The most connections of one network in the reserve, so that it can't keep the balancer of another from asking.
const RESERVE_PER_NETWORK: u32 = 8;

/// A permit for one connection. An extension of every request; a WebSocket keeps it, because HTTP lets go of a connection
/// when it is upgraded.
#[derive(Clone, Debug)]
pub struct ConnectionPermit {
    shared: Arc<Counted>,
}

#[derive(Debug)]
struct Counted {
    health_only: Option<HealthOnly>,
    connections: Gauge,
    _permit: OwnedSemaphorePermit,
    _slot: Option<ConnectionSlot>,
}

impl ConnectionPermit {
    /// Returns `Some` if the connection is one of the reserve.
    pub fn health_only(&self) -> Option<HealthOnly> {
        self.shared.health_only
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.connections.dec();
    }
}

/// The connection limits of one listener.
pub struct ConnectionPermits {
    all: Arc<Semaphore>,
    count: u32,
    reserve: Arc<Semaphore>,
    reserved: ConnectionLimiter,
    guard: Arc<Guard>,
    metrics: Arc<WebMetrics>,
}

impl ConnectionPermits {
    pub fn new(count: u32, guard: Arc<Guard>, metrics: Arc<WebMetrics>) -> Self {
        Self {
            all: Arc::new(Semaphore::new(count as usize)),
            count,
            reserve: Arc::new(Semaphore::new(RESERVE)),
            reserved: ConnectionLimiter::new(RESERVE_PER_NETWORK),
            guard,
            metrics,
        }
    }

    /// Returns a permit for a new connection of `peer`. It is one of the reserve if the connection is
    /// `on_spare_fd` or if there is no other;
    /// `None` if the reserve is used up too.
    pub fn give(&self, peer: IpAddr, on_spare_fd: bool) -> Option<ConnectionPermit> {
        let network = client_network(peer);
        let ordinary = if on_spare_fd { None } else { self.ordinary(peer, network) };
        let (permit, slot, health_only) = if let Some((permit, slot)) = ordinary {
            (permit, slot, None)
        } else {
            self.metrics.refused_connections.inc();
            let slot = self.reserved.take(network)?;
            let permit = Arc::clone(&self.reserve).try_acquire_owned().ok()?;
            (permit, Some(slot), Some(HealthOnly))
        };
        let connections = self.metrics.connections.clone();
        connections.inc();
        let counted = Counted { health_only, connections, _permit: permit, _slot: slot };
        Some(ConnectionPermit { shared: Arc::new(counted) })
    }

    fn ordinary(
        &self,
        peer: IpAddr,
        network: IpAddr,
    ) -> Option<(OwnedSemaphorePermit, Option<ConnectionSlot>)> {
        let guard = &self.guard;
        // A proxy serves many clients, which are counted by their requests.
        let slot = if guard.proxies.is_trusted(peer) {
            None
        } else {
            guard.rates.check(Quota::NewConnectionsPerAddress, &network).ok()?;
            Some(guard.connections_by_network.take(network)?)
        };
        Some((Arc::clone(&self.all).try_acquire_owned().ok()?, slot))
    }

    /// Waits until all connections have ended, except those of the reserve.
    pub async fn all_free(&self) {
        let _ = self.all.acquire_many(self.count).await;
    }
}
