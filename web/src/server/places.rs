//! The places that a listener has for connections: so many in all, so many for each client network, and a reserve from
//! which health is answered when the others are taken.

use std::{net::IpAddr, sync::Arc};

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    guard::{Quota, Share, Shares, client_network},
    routes::AppState,
};

/// Connections beyond the limit that are asked for health only; each lasts a few seconds at most.
const RESERVE: usize = 64;
/// How many of them one network may hold: none keeps a balancer of another from asking.
const RESERVE_PER_NETWORK: u32 = 8;

/// One connection among those allowed. Every request carries it; a WebSocket keeps it beyond its request, because
/// HTTP is done with the connection once it is upgraded.
#[derive(Clone, Debug)]
pub struct ConnectionPermit {
    shared: Arc<Counted>,
}

/// Carried by requests over a connection of the reserve: only health is answered there.
#[derive(Clone, Copy, Debug)]
pub struct HealthOnly;

#[derive(Debug)]
struct Counted {
    health_only: Option<HealthOnly>,
    connections: Gauge,
    _place: OwnedSemaphorePermit,
    _share: Option<Share>,
}

impl ConnectionPermit {
    /// Something if the connection is one of the reserve.
    pub fn health_only(&self) -> Option<HealthOnly> {
        self.shared.health_only
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.connections.dec();
    }
}

/// The places of one listener.
pub struct Places {
    all: Arc<Semaphore>,
    count: u32,
    reserve: Arc<Semaphore>,
    reserved: Shares,
    web: Arc<AppState>,
}

impl Places {
    pub fn new(count: u32, web: Arc<AppState>) -> Self {
        Self {
            all: Arc::new(Semaphore::new(count as usize)),
            count,
            reserve: Arc::new(Semaphore::new(RESERVE)),
            reserved: Shares::new(RESERVE_PER_NETWORK),
            web,
        }
    }

    /// A place for a new connection of `peer`, one of the reserve where there is no other or `crowded` says so, or none.
    pub fn give(&self, peer: IpAddr, crowded: bool) -> Option<ConnectionPermit> {
        let network = client_network(peer);
        let ordinary = if crowded { None } else { self.ordinary(peer, network) };
        let (place, share, health_only) = if let Some((place, share)) = ordinary {
            (place, share, None)
        } else {
            self.web.metrics.refused_connections.inc();
            let share = self.reserved.take(network)?;
            let place = Arc::clone(&self.reserve).try_acquire_owned().ok()?;
            (place, Some(share), Some(HealthOnly))
        };
        let connections = self.web.metrics.connections.clone();
        connections.inc();
        let counted = Counted { health_only, connections, _place: place, _share: share };
        Some(ConnectionPermit { shared: Arc::new(counted) })
    }

    fn ordinary(&self, peer: IpAddr, network: IpAddr) -> Option<(OwnedSemaphorePermit, Option<Share>)> {
        let guard = &self.web.guard;
        // A proxy's connections are those of its clients, who are counted by their requests.
        let share = if guard.proxies.is_trusted(peer) {
            None
        } else {
            guard.rates.check(Quota::NewConnectionsPerAddress, &network).ok()?;
            Some(guard.shares.take(network)?)
        };
        Some((Arc::clone(&self.all).try_acquire_owned().ok()?, share))
    }

    /// Waits until all connections but those of the reserve have ended.
    pub async fn all_free(&self) {
        let _ = self.all.acquire_many(self.count).await;
    }
}
