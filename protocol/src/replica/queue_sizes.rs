//! The sizes of a replica's queues, for tests of its limits. See also [`Replica::waiting`].

use super::Replica;

/// The sizes of a [`Replica`]'s queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueSizes {
    /// The number of links.
    pub links: usize,
    /// The number of origins of which a peer has events that are missing here.
    pub missing_origins: usize,
    /// The number of waiters for a barrier.
    pub barrier: usize,
    /// The bytes of own events kept for peers that have just caught up.
    pub recent_bytes: usize,
}

impl Replica {
    /// Returns the current sizes.
    pub fn queue_sizes(&self) -> QueueSizes {
        QueueSizes {
            links: self.links.len(),
            missing_origins: self.pulls.missing_origins().count(),
            barrier: self.barrier.len(),
            recent_bytes: self.recent.bytes(),
        }
    }
}
