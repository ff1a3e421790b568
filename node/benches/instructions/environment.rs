//! The machine under the counted nodes: time is virtual, chance comes from a seed, and what would run on other threads runs
//! on this one.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::future::BoxFuture;
use quinn::AsyncUdpSocket;
use rand::{Rng, SeedableRng, rngs::StdRng};
use starling_node::environment::{Environment, ThisMachine};
use tokio::{task::JoinHandle, time::Instant};

/// Unix milliseconds at which a scenario begins.
const EPOCH_MS: u64 = 1_700_000_000_000;

#[derive(Debug)]
pub struct CountedMachine {
    began: Instant,
    rng: Mutex<StdRng>,
}

impl CountedMachine {
    /// Made inside the runtime.
    pub fn new(seed: u64) -> Self {
        Self { began: Instant::now(), rng: Mutex::new(StdRng::seed_from_u64(seed)) }
    }
}

impl Environment for CountedMachine {
    fn now_ms(&self) -> u64 {
        EPOCH_MS + u64::try_from(self.began.elapsed().as_millis()).unwrap_or_default()
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(bytes);
    }

    fn run_blocking(&self, work: Box<dyn FnOnce() + Send>) {
        work();
    }

    fn spawn_thread(&self, _name: &'static str, part: BoxFuture<'static, ()>) -> JoinHandle<()> {
        tokio::spawn(part)
    }

    fn resolve(&self, name: String) -> BoxFuture<'static, Vec<SocketAddr>> {
        Box::pin(async move { name.parse().into_iter().collect() })
    }

    fn bind_udp(&self, listen: SocketAddr) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        ThisMachine.bind_udp(listen)
    }
}
