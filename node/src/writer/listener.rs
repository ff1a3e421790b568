//! The writer's view of the code above it: what it calls after each commit.

use std::future::Future;

use starling_protocol::{OriginId, Seq, replica::Until};

use crate::store::Commit;

/// Receives each commit once it is durable, in order. The writer waits for each call.
pub trait CommitListener: Send + 'static {
    /// Shows the commit to the sessions of this node; the writer answers requests afterwards.
    fn publish(&mut self, commit: &Commit);

    /// Hands the commit to replication, with the posts that wait for copies on other nodes.
    fn replicate(&mut self, commit: Commit, waiting: Vec<PendingAck>) -> impl Future<Output = ()> + Send;
}

/// Receives the number of nodes that hold an event; called once, and once more if more of them hold it soon after an
/// ack that reported too few copies.
pub type OnCopies = Box<dyn FnMut(usize) + Send>;

/// A durable event, and how long to wait for copies of it on other nodes.
#[derive(Clone, Copy, Debug)]
pub struct CopiesWait {
    /// The event's origin.
    pub origin: OriginId,
    /// The event's sequence number.
    pub seq: Seq,
    /// The condition that ends the wait.
    pub until: Until,
    /// The longest wait, in milliseconds.
    pub wait_ms: u64,
    /// For how many milliseconds after an ack that reported too few copies a better one is sent; 0 for never.
    pub upgrade_ms: u64,
}

/// A durable event that waits for copies on other nodes.
pub struct PendingAck {
    /// The event, and how long to wait.
    pub wait_for: CopiesWait,
    /// Receives the answer.
    pub on_copies: OnCopies,
}
