//! Cursors: sealed, they tell any node what a client has received.

use async_trait::async_trait;
use starling_protocol::{Cursor, CursorOwner, Hlc, VersionVector, cursor::CursorError};

use crate::lane::CommitPoint;

/// A sealed cursor, for a client.
#[derive(Debug)]
pub struct SealedCursor {
    /// The text.
    pub text: String,
    /// Whether it covers the whole commit point. If not, a later one may, once peers have confirmed more.
    pub complete: bool,
}

/// The cursors of clients.
#[async_trait]
pub trait Cursors: Send + Sync + 'static {
    /// Waits up to 2 s for the events in `vector` that this node lacks, if a reachable peer has them.
    async fn wait_for(&self, vector: &VersionVector) -> CatchUpOutcome;

    /// Seals a cursor as of a commit, with the greatest stamp that the client was shown in a quick room.
    fn seal(&self, owner: CursorOwner, point: &CommitPoint, greatest: Hlc) -> SealedCursor;

    /// Seals a cursor that covers no commit.
    fn seal_empty(&self, owner: CursorOwner) -> String;

    /// Opens a client's cursor. Waits up to 2 s for the fold that it is written over, if this node lacks that and a
    /// reachable peer has it.
    async fn open(&self, cursor: &str) -> Result<Cursor, CursorError>;
}

/// The result of [`Cursors::wait_for`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CatchUpOutcome {
    /// This node has all of the events.
    All,
    /// A reachable peer has the missing events, but they did not arrive in time.
    TooSlow,
    /// No reachable peer has all of the events that this node lacks.
    Missing,
}
