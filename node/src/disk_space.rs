//! How much room is left on the disk. Users' writes stop first, so that there is room for what other nodes send;
//! then users are sent elsewhere; last, what other nodes send is not taken either. Nothing acked is ever at stake,
//! and all of it goes back by itself when there is room again.

use std::{
    io,
    path::{Path, PathBuf},
    sync::atomic::AtomicU64,
    time::Duration,
};

use prometheus_client::metrics::gauge::Gauge;
use starling_protocol::ErrorCode;
use starling_web::{drain::Serving, service::Refusal};
use tokio::sync::watch;

use crate::supervisor::SupervisedTask;

/// How often the disk is looked at. A node that writes 100 MiB a second uses 50 MiB meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Below this part of the reserve users are sent elsewhere.
const SERVES_PART: u64 = 2;
/// Below this part of the reserve nothing is written at all: a commit that finds the disk full ends the process.
const WRITES_PART: u64 = 4;

/// Free room, as it was when last looked at. Cheap to ask, from any thread.
#[derive(Clone, Debug)]
pub struct DiskSpace {
    /// Free bytes.
    pub free: Gauge<u64, AtomicU64>,
    reserve: u64,
}

impl DiskSpace {
    /// Nothing is known yet: there is room. `reserve` bytes are kept for replication.
    pub fn new(reserve: u64) -> Self {
        let free = Gauge::default();
        free.set(u64::MAX);
        Self { free, reserve }
    }

    /// Refuses what users write once there is no more room than is kept for replication.
    pub fn admit_users(&self) -> Result<(), Refusal> {
        if self.free.get() >= self.reserve {
            return Ok(());
        }
        let detail = "the disk of this node is full: nothing was written; try another node, or later";
        Err(Refusal::new(ErrorCode::StorageFull, detail))
    }

    /// Whether there is so much room besides what is kept for replication.
    pub fn has_besides_reserve(&self, bytes: u64) -> bool {
        self.free.get() >= self.reserve.saturating_add(bytes)
    }

    /// Whether events of other nodes are taken.
    pub fn admits_peers(&self) -> bool {
        self.free.get() >= self.reserve / WRITES_PART
    }

    fn serving(&self) -> Serving {
        if self.free.get() >= self.reserve / SERVES_PART { Serving::Yes } else { Serving::DiskFull }
    }
}

/// Free bytes of the disk on which a file or directory is.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(path)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Looks at the disk again and again.
#[derive(Debug)]
pub struct DiskWatch {
    /// What is on that disk.
    pub data_dir: PathBuf,
    /// Where the outcome is kept.
    pub space: DiskSpace,
    /// Whether users are served.
    pub serving: watch::Sender<Serving>,
}

impl DiskWatch {
    /// Looks once.
    pub fn look(&self) {
        match free_bytes(&self.data_dir) {
            Ok(free) => {
                self.space.free.set(free);
            }
            // The commits will tell.
            Err(error) => tracing::warn!(%error, "cannot see how much room the disk has"),
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
            _ => tracing::info!(free_mib, "there is room on the disk again: users are served"),
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

    /// Promise 10: what stops at which amount of room, at, below and above each bound.
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
            let found = (space.admit_users().is_ok(), space.serving(), space.admits_peers());
            assert_eq!(found, (users, serving, peers), "with {free} free");
        }
    }
}
