//! A virtual machine under a node: its clock, chance and threads are functions of the seed.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use quinn::AsyncUdpSocket;
use rand::{Rng, RngExt as _, SeedableRng, rngs::StdRng};
use starling_node::environment::Environment;
use starling_protocol::frame::wire::WireVersion;
use tokio::{task::JoinHandle, time::Instant};

use crate::network::{self, Network};

/// Unix milliseconds at which every history begins.
const EPOCH_MS: u64 = 1_700_000_000_000;
/// The DNS name of all machines.
pub const ALL_MACHINES: &str = "starling.example:7946";

/// The chance that a build is one from before wire version 2.
const OLD_BUILD_CHANCE: f64 = 0.3;

/// Translates between the world's time and that of a node's runtime.
#[derive(Clone, Copy, Debug)]
pub struct VirtualClock {
    started_ms: u64,
    started: Instant,
}

impl VirtualClock {
    /// Created inside the runtime.
    pub fn new(started_ms: u64) -> Self {
        Self { started_ms, started: Instant::now() }
    }

    /// The world's time, in milliseconds.
    pub fn now_ms(&self) -> u64 {
        self.started_ms + u64::try_from(self.started.elapsed().as_millis()).expect("short histories")
    }

    /// Returns the instant at which the runtime's clock shows a time of the world.
    pub fn instant(&self, world_ms: u64) -> Instant {
        self.started + Duration::from_millis(world_ms.saturating_sub(self.started_ms))
    }
}

#[derive(Debug)]
pub struct SimMachine {
    number: usize,
    start: u32,
    machines: usize,
    clock: VirtualClock,
    /// The error of its wall clock.
    skew_ms: Arc<AtomicI64>,
    rng: Mutex<StdRng>,
    network: Network,
    /// The wire versions of the build that was started: each start may be an upgrade, or one taken back.
    wire_offers: Vec<&'static str>,
}

impl SimMachine {
    pub fn new(
        (number, start): (usize, u32),
        machines: usize,
        clock: VirtualClock,
        skew_ms: Arc<AtomicI64>,
        seed: u64,
        network: Network,
    ) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let wire_offers = if rng.random_bool(OLD_BUILD_CHANCE) {
            vec![WireVersion::V1.alpn()]
        } else {
            WireVersion::offers().collect()
        };
        Self { number, start, machines, clock, skew_ms, rng: Mutex::new(rng), network, wire_offers }
    }
}

impl Environment for SimMachine {
    fn now_ms(&self) -> u64 {
        (EPOCH_MS + self.clock.now_ms()).saturating_add_signed(self.skew_ms.load(Ordering::Relaxed))
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        self.rng.lock().unwrap().fill_bytes(bytes);
    }

    /// Runs the work at once: it takes no virtual time.
    fn run_blocking(&self, work: Box<dyn FnOnce() + Send>) {
        work();
    }

    fn spawn_thread(&self, _name: &'static str, part: BoxFuture<'static, ()>) -> JoinHandle<()> {
        tokio::spawn(part)
    }

    fn resolve(&self, name: String) -> BoxFuture<'static, Vec<SocketAddr>> {
        let all = (0..self.machines).map(network::address).collect();
        Box::pin(async move { if name == ALL_MACHINES { all } else { Vec::new() } })
    }

    fn wire_offers(&self) -> Vec<&'static str> {
        self.wire_offers.clone()
    }

    fn bind_udp(&self, _listen: SocketAddr) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        Ok(self.network.open(self.number, self.start, self.clock))
    }
}
