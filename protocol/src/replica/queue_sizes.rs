//! How much a replica keeps, for those who watch that it is bounded (and [`Replica::waiting`]).

use super::Replica;

/// What a [`Replica`] keeps at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueSizes {
    /// Links.
    pub links: usize,
    /// Origins of which something is missing here that a peer has.
    pub wants: usize,
    /// Waits for a barrier.
    pub barrier: usize,
    /// Bytes of pushes that are kept for peers which have just caught up.
    pub recent_bytes: usize,
}

impl Replica {
    /// Counts it.
    pub fn kept(&self) -> QueueSizes {
        QueueSizes {
            links: self.links.len(),
            wants: self.wants.iter().count(),
            barrier: self.barrier.len(),
            recent_bytes: self.recent.bytes(),
        }
    }
}
