//! Seals and opens the cursors of clients, and waits for the events that they cover.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use starling_protocol::{
    Cursor, CursorKey, CursorOwner, Hlc, OriginId, Seq, VersionVector,
    cursor::{CursorError, NONCE_BYTES},
    replica::COALESCE_MS,
};
use starling_web::{
    lane::{CommitPoint, Lanes},
    service::{CatchUpOutcome, Cursors, SealedCursor},
};
use tokio::time::timeout;

use super::context::ServiceContext;
use crate::key_derivation::Replaceable;

/// The time after which every peer has confirmed what it holds.
const CONFIRMED_WITHIN: Duration = Duration::from_millis(2 * COALESCE_MS);
/// How long a resume waits for events that a reachable peer has, in milliseconds.
pub const CATCH_UP_MS_MAX: u64 = 2_000;
const CATCH_UP_MAX: Duration = Duration::from_millis(CATCH_UP_MS_MAX);

/// Implements [`Cursors`].
pub struct CursorsService {
    pub(crate) context: ServiceContext,
    /// Publishes the commit point.
    pub lanes: Arc<Lanes>,
    /// The first seals cursors, and all open them; the same on every node of a cluster.
    pub cursor_keys: Replaceable<Vec<CursorKey>>,
}

impl CursorsService {
    fn seal_vector(&self, owner: CursorOwner, vector: VersionVector, greatest: Hlc) -> String {
        let nonce = self.context.environment.random::<NONCE_BYTES>();
        let cursor = Cursor { owner, vector, greatest };
        let keys = self.cursor_keys.get();
        keys[0].seal(&cursor, nonce).unwrap_or_else(|_| {
            // Too many origins for 4 KB: a cursor that covers nothing leads to a replay or a resync, never a gap.
            let cursor = Cursor { vector: VersionVector::default(), ..cursor };
            keys[0].seal(&cursor, nonce).expect("an empty vector fits")
        })
    }

    /// The vector of a commit point, with the entry of this process kept back to what a peer in sync has confirmed; and
    /// whether it covers the whole commit.
    fn limit_to_confirmed(&self, point: &CommitPoint) -> (VersionVector, bool) {
        let mut vector = VersionVector::clone(&point.vector);
        let limit = self.context.driver.cursor_limit();
        let Some((origin, seq)) = self.own_entry(point).filter(|&(_, seq)| seq > limit) else {
            return (vector, true);
        };
        vector.limit(origin, limit.min(seq));
        (vector, false)
    }

    fn own_entry(&self, point: &CommitPoint) -> Option<(OriginId, Seq)> {
        let own = self.lanes.own_origin()?;
        Some((own, point.vector.get(own)))
    }
}

#[async_trait]
impl Cursors for CursorsService {
    async fn wait_for(&self, vector: &VersionVector) -> CatchUpOutcome {
        let mut commits = self.lanes.watch_commits();
        let covered = |point: &CommitPoint| point.vector.covers(vector);
        if covered(&commits.borrow_and_update()) {
            return CatchUpOutcome::All;
        }
        // A peer may be about to confirm the events: it waits a little for more of them.
        if !self.context.driver.reachable(vector.clone()).await
            && timeout(CONFIRMED_WITHIN, commits.wait_for(covered)).await.is_err()
            && !self.context.driver.reachable(vector.clone()).await
        {
            let meanwhile = covered(&commits.borrow_and_update());
            return if meanwhile { CatchUpOutcome::All } else { CatchUpOutcome::Missing };
        }
        match timeout(CATCH_UP_MAX, commits.wait_for(covered)).await {
            Ok(Ok(_)) => CatchUpOutcome::All,
            _ => CatchUpOutcome::TooSlow,
        }
    }

    fn seal(&self, owner: CursorOwner, point: &CommitPoint, greatest: Hlc) -> SealedCursor {
        let (vector, complete) = self.limit_to_confirmed(point);
        SealedCursor { text: self.seal_vector(owner, vector, greatest), complete }
    }

    fn seal_empty(&self, owner: CursorOwner) -> String {
        self.seal_vector(owner, VersionVector::default(), Hlc::default())
    }

    fn open(&self, cursor: &str) -> Result<Cursor, CursorError> {
        let keys = self.cursor_keys.get();
        let mut opened = Err(CursorError::Unreadable);
        for key in keys.iter() {
            opened = key.open(cursor);
            // Only a cursor that was sealed under another key may open with the next one.
            if !matches!(opened, Err(CursorError::Unreadable)) {
                break;
            }
        }
        opened
    }
}
