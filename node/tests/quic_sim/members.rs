//! Nodes leave and are forgotten. Either way the machine comes back as a new node, with its old disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rand::RngExt;
use starling_node::node::StartError;
use starling_protocol::NodeId;

use crate::{
    host::Host,
    world::{Event, World},
};

impl Host {
    /// Lets the node leave, once it may. Its clients learn of it only when it has gone.
    pub fn leave(&self) {
        let Some((runtime, core)) = self.serving() else { return };
        let (membership, left) = (Arc::clone(&core.membership), Arc::clone(&self.left));
        runtime.spawn(async move {
            // Refused where too few would remain.
            let Ok(permit) = membership.prepare_leave(|_| ()).await else { return };
            left.store(permit.finish(|_| ()).await.is_ok(), Ordering::Relaxed);
        });
    }

    /// Whether the node has learnt that it is no member any more.
    fn is_forgotten(&self) -> bool {
        let Some(started) = self.run.as_ref().and_then(|run| run.core.get()) else { return false };
        match started {
            Ok(core) => core.is_forgotten() && core.membership.leaving().is_none(),
            Err(error) => matches!(error, StartError::Forgotten),
        }
    }
}

impl World {
    /// Lets a node forget another one, by force.
    pub fn forget(&mut self, host: usize, other: usize) {
        let node = self.hosts[other].id;
        let Some((runtime, core)) = self.hosts[host].serving() else { return };
        let membership = Arc::clone(&core.membership);
        runtime.spawn(async move {
            let _ = membership.forget(node, true).await;
        });
    }

    /// Ends the processes of nodes that are no members any more, and starts them again under new ids.
    pub fn renew(&mut self) {
        for number in 0..self.hosts.len() {
            let left = self.hosts[number].left.load(Ordering::Relaxed);
            if !left && !self.hosts[number].is_forgotten() {
                continue;
            }
            tracing::debug!(at = self.now, host = number, left, "is no member any more");
            self.coverage.left += u64::from(left);
            self.coverage.renewed += u64::from(!left);
            self.hosts[number].kill(&mut self.rng, &self.network);
            let id = NodeId(self.rng.random());
            self.hosts[number].renew(id);
            // As long as the program waits, so that no peer takes the old id for running.
            let after = self.rng.random_range(4_000..5_000);
            self.schedule(after, Event::Start(number));
        }
    }
}

/// Whether a leave has come to its end.
pub type HasLeft = Arc<AtomicBool>;
