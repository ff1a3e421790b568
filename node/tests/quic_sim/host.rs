//! A machine and the node on it. Each node runs in a runtime of its own on paused time: the world lets it run up to
//! a moment, leaves it standing (a pause), or drops it with everything in it (a kill).

use std::{
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use clap::Parser;
use harness::disk::Disk;
use rand::{RngExt, rngs::StdRng};
use starling_node::{
    config::{Config, Flags},
    data_dir::Identity,
    disk_space::DiskSpace,
    environment::Environment,
    node::{ClusterHandle, Core, CoreStart, StartError},
    store::Store,
};
use starling_protocol::{NodeId, VersionVector, frame::peer::Member};
use tokio::runtime::Runtime;

use crate::{
    machine::{ALL_MACHINES, SimMachine, VirtualClock},
    members::HasLeft,
    mutants::{ForgetfulFile, Mutant},
    network::{self, Network},
};

/// Below this free space, users are refused.
pub const DISK_RESERVE_BYTES: u64 = 1 << 20;
const SECRET: &str = "92f1c07ae86b435dd9a01e6f72c4b853";

/// A running process.
pub struct Run {
    /// First, so that tasks are gone before what they use.
    pub runtime: Runtime,
    pub core: Arc<OnceLock<Result<Core, StartError>>>,
    clock: VirtualClock,
    /// The end of a pause.
    pub paused_until: Option<u64>,
}

/// A machine.
pub struct Host {
    pub number: usize,
    pub id: NodeId,
    identity: Identity,
    machines: usize,
    disk: Disk,
    /// The free space on the disk.
    pub space: DiskSpace,
    members: Arc<Mutex<Vec<Member>>>,
    pub skew_ms: Arc<AtomicI64>,
    pub starts: u32,
    pub run: Option<Run>,
    /// The events that it has ever made durable.
    pub durable: VersionVector,
    /// Whether this process has left the cluster.
    pub left: HasLeft,
    mutant: Option<Mutant>,
}

impl Host {
    pub fn new(number: usize, machines: usize, rng: &mut StdRng, mutant: Option<Mutant>) -> Self {
        let id = NodeId(rng.random());
        Self {
            number,
            id,
            identity: Identity::new(id, rng.random()),
            machines,
            disk: Disk::default(),
            space: DiskSpace::new(DISK_RESERVE_BYTES),
            members: Arc::default(),
            skew_ms: Arc::default(),
            starts: 0,
            run: None,
            durable: VersionVector::default(),
            left: HasLeft::default(),
            mutant,
        }
    }

    /// Returns the node, once its start has succeeded.
    pub fn core(&self) -> Option<&Core> {
        self.run.as_ref()?.core.get()?.as_ref().ok()
    }

    pub fn cluster(&self) -> Option<&ClusterHandle> {
        self.core()?.cluster.as_ref()
    }

    /// Returns the node, if users reach it now.
    pub fn serving(&self) -> Option<(&Runtime, &Core)> {
        let run = self.run.as_ref().filter(|run| run.paused_until.is_none())?;
        Some((&run.runtime, self.core()?))
    }

    pub fn refused(&self) -> Option<String> {
        Some(self.run.as_ref()?.core.get()?.as_ref().err()?.to_string())
    }

    pub fn start(&mut self, now: u64, seed: u64, network: &Network) {
        self.starts += 1;
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        let inside = runtime.enter();
        let clock = VirtualClock::new(now);
        let (name, skew) = ((self.number, self.starts), Arc::clone(&self.skew_ms));
        let machine = SimMachine::new(name, self.machines, clock, skew, seed, network.clone());
        let environment: Arc<dyn Environment> = Arc::new(machine);
        let core = Arc::new(OnceLock::new());
        let (slot, identity, members) = (Arc::clone(&core), self.identity.clone(), Arc::clone(&self.members));
        let (disk, space, config, mutant) =
            (self.disk.clone(), self.space.clone(), self.config(), self.mutant);
        let open = move || {
            let journal = disk.journal();
            if mutant == Some(Mutant::DiskForgets) {
                Store::open_backend(ForgetfulFile(disk), ForgetfulFile(journal))
            } else {
                Store::open_backend(disk, journal)
            }
        };
        runtime.spawn(async move {
            let known = members.lock().unwrap().clone();
            let started = Core::start(CoreStart {
                environment,
                config: &config,
                identity: &identity,
                known,
                space,
                refill: None,
                open_store: Box::new(|_| open().map_err(|error| StartError::store(&config.data_dir, error))),
                save_members: Box::new(move |known| {
                    *members.lock().unwrap() = known.to_vec();
                    Ok(())
                }),
                save_secret: Arc::new(|_| Ok(())),
            });
            let _ = slot.set(started.await);
        });
        drop(inside);
        self.run = Some(Run { runtime, core, clock, paused_until: None });
    }

    /// Returns the configuration that an operator would write: join addresses by name for even machines, the address of the
    /// first machine for odd ones.
    fn config(&self) -> Config {
        let own = network::address(self.number).to_string();
        let first = network::address(0).to_string();
        let join = if self.number.is_multiple_of(2) { ALL_MACHINES } else { &first };
        let flags = ["starling", "--cluster-secret", SECRET, "--cluster-listen", &own, "--join", join];
        // Hashing takes no virtual time, but real time.
        let cheap = [
            "--auth-weak-hashes",
            "true",
            "--auth-memory-kib",
            "8",
            "--auth-passes",
            "1",
            "--auth-workers",
            "1",
        ];
        Config::resolve(Flags::try_parse_from(flags.iter().chain(&cheap)).unwrap().serve).unwrap()
    }

    /// Lets the node run up to a moment of the world's time.
    pub fn run_to(&mut self, now: u64) {
        let Some(run) = &mut self.run else { return };
        if run.paused_until.is_some_and(|until| now < until) {
            return;
        }
        let _span = tracing::info_span!("node", number = self.number, at = now).entered();
        if run.paused_until.take().is_some() {
            let missed = {
                let _inside = run.runtime.enter();
                now.saturating_sub(run.clock.now_ms())
            };
            // As after SIGSTOP and SIGCONT: the clock has jumped, and everything is due at once.
            run.runtime.block_on(tokio::time::advance(Duration::from_millis(missed)));
        }
        let clock = run.clock;
        run.runtime.block_on(async move { tokio::time::sleep_until(clock.instant(now)).await });
        if let Some(core) = self.core() {
            let point = core.web.lanes.commit_point();
            self.durable.merge(&point.vector);
        }
    }

    /// Kills the process, or cuts the power: unsynced writes may be lost.
    pub fn kill(&mut self, rng: &mut StdRng, network: &Network) {
        network.close(self.number);
        self.left = HasLeft::default();
        if self.run.take().is_some() {
            self.disk = self.disk.crash(rng);
        }
    }

    /// Gives the node a new id for its next start.
    pub fn renew(&mut self, id: NodeId) {
        (self.id, self.identity) = (id, self.identity.renewed(id));
    }

    pub fn free_disk(&self) {
        self.space.free.set(u64::MAX);
    }

    pub fn set_skew(&self, skew_ms: i64) {
        self.skew_ms.store(skew_ms, Ordering::Relaxed);
    }
}
