//! Free disk space. As it shrinks, the node first refuses users' writes, so that replication has room; then it sends
//! users to other nodes; last, it refuses replication too. No acked message is at risk, and the node recovers by itself
//! once there is room.

use std::{
    io,
    path::{Path, PathBuf},
    sync::atomic::AtomicU64,
    time::Duration,
};

use prometheus_client::metrics::gauge::Gauge;
use starling_protocol::{ErrorCode, Refusal, texts};
use starling_web::drain::Serving;
use tokio::sync::watch;

use crate::supervisor::SupervisedTask;

/// The time between two looks at the disk. A node that writes 100 MiB a second uses 50 MiB meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Below the reserve divided by this, users are sent elsewhere.
const SERVING_RESERVE_DIVISOR: u64 = 2;
/// Below the reserve divided by this, nothing is written: a commit that finds the disk full ends the process.
const WRITING_RESERVE_DIVISOR: u64 = 4;

/// The free space at the last look. Cheap to read, from any thread.
#[derive(Clone, Debug)]
pub struct DiskSpace {
    /// Free bytes.
    pub free: Gauge<u64, AtomicU64>,
    reserve: u64,
}

impl DiskSpace {
    /// Assumes that there is room until the first look. `reserve` bytes are kept for replication.
    pub fn new(reserve: u64) -> Self {
        let free = Gauge::default();
        free.set(u64::MAX);
        Self { free, reserve }
    }

    /// Refuses users' writes if only the reserve is left.
    pub fn admit_users(&self) -> Result<(), Refusal> {
        if self.free.get() >= self.reserve {
            return Ok(());
        }
        Err(Refusal::new(ErrorCode::StorageFull, texts::node::DISK_FULL_NOTHING_WRITTEN))
    }

    /// Whether there is room for `bytes` in addition to the reserve.
    pub fn has_besides_reserve(&self, bytes: u64) -> bool {
        self.free.get() >= self.reserve.saturating_add(bytes)
    }

    /// Whether the reserve may be used: by events of peers, erasure, revocation and this node's internal writes.
    pub fn admits_from_reserve(&self) -> bool {
        self.free.get() >= self.reserve / WRITING_RESERVE_DIVISOR
    }

    fn serving(&self) -> Serving {
        if self.free.get() >= self.reserve / SERVING_RESERVE_DIVISOR {
            Serving::Yes
        } else {
            Serving::DiskFull
        }
    }
}

/// Reads the free bytes of the disk that holds a path.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(path)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Looks at the disk at regular intervals.
#[derive(Debug)]
pub struct DiskWatch {
    /// A directory on the disk.
    pub data_dir: PathBuf,
    /// Receives the free space.
    pub space: DiskSpace,
    /// Whether users are served.
    pub serving: watch::Sender<Serving>,
}

impl DiskWatch {
    /// Looks at the disk once.
    pub fn look(&self) {
        match free_bytes(&self.data_dir) {
            Ok(free) => {
                self.space.free.set(free);
            }
            // A commit will find out.
            Err(error) => tracing::warn!(%error, "cannot read the free space of the disk"),
        }
        let now = self.space.serving();
        let changed = self.serving.send_if_modified(|serving| {
            let changes = *serving != Serving::Stopping && *serving != now;
            if changes {
                *serving = now;
            }
            changes
        });
        let free_mib = self.space.free.get() / 1024 / 1024;
        match now {
            _ if !changed => {}
            Serving::DiskFull => tracing::error!(free_mib, "the disk is full: users are sent elsewhere"),
            _ => tracing::info!(free_mib, "the disk has room again: users are served"),
        }
    }
}

impl SupervisedTask for DiskWatch {
    fn name(&self) -> &'static str {
        "disk watch"
    }

    async fn run(&mut self) {
        let mut every = tokio::time::interval(LOOK_EVERY);
        loop {
            every.tick().await;
            self.look();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise 10: the node stops users before peers, with the exact limits.
    #[test]
    fn users_stop_before_peers() {
        let space = DiskSpace::new(1600);
        assert!(space.admit_users().is_ok(), "nothing is known yet");
        for (free, users, serving, peers) in [
            (1600, true, Serving::Yes, true),
            (1599, false, Serving::Yes, true),
            (800, false, Serving::Yes, true),
            (799, false, Serving::DiskFull, true),
            (400, false, Serving::DiskFull, true),
            (399, false, Serving::DiskFull, false),
        ] {
            space.free.set(free);
            let found = (space.admit_users().is_ok(), space.serving(), space.admits_from_reserve());
            assert_eq!(found, (users, serving, peers), "with {free} free");
        }
    }
}
