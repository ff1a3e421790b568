//! Limits the connections of each client network, so that none can take all of them.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Counts the connections of each network, and limits them. Its memory is bounded by the number of connections.
#[derive(Clone, Debug)]
pub struct ConnectionLimiter {
    max: u32,
    held: Arc<Mutex<HashMap<IpAddr, u32>>>,
}

/// One counted connection of a network, until it and all its clones are dropped.
#[derive(Clone, Debug)]
pub struct ConnectionSlot {
    _held: Arc<Held>,
}

#[derive(Debug)]
struct Held {
    limiter: ConnectionLimiter,
    network: IpAddr,
}

impl Default for ConnectionLimiter {
    /// No limit.
    fn default() -> Self {
        Self::new(u32::MAX)
    }
}

impl ConnectionLimiter {
    /// Allows `max` connections for each network.
    pub fn new(max: u32) -> Self {
        Self { max, held: Arc::default() }
    }

    /// Counts one more connection of a network, unless it has too many.
    pub fn take(&self, network: IpAddr) -> Option<ConnectionSlot> {
        let mut held = self.held();
        let count = held.get(&network).copied().unwrap_or(0);
        if count >= self.max {
            return None;
        }
        held.insert(network, count + 1);
        drop(held);
        Some(ConnectionSlot { _held: Arc::new(Held { limiter: self.clone(), network }) })
    }

    fn held(&self) -> MutexGuard<'_, HashMap<IpAddr, u32>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = self.limiter.held();
        let left = held.get(&self.network).map_or(0, |count| count - 1);
        if left > 0 {
            held.insert(self.network, left);
        } else {
            held.remove(&self.network);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: a network at its limit gets no more connections, others do, and dropped ones are free again.
    #[test]
    fn each_network_has_its_limit_of_connections_at_most() {
        let [ann, bob] = [1, 2].map(|last| IpAddr::from([192, 0, 2, last]));
        let limiter = ConnectionLimiter::new(2);
        let held: Vec<_> = (0..2).map(|_| limiter.take(ann).unwrap()).collect();
        assert!(limiter.take(ann).is_none());
        let other = limiter.take(bob).unwrap();
        let copy = held[0].clone();
        drop(held);
        assert!(limiter.take(ann).is_some_and(|_| limiter.take(ann).is_none()), "a clone still counts");
        drop((copy, other));
        assert!(limiter.held().is_empty(), "a network without connections is forgotten");
    }
}
