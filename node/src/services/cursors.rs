//! Seals and opens the cursors of clients, and waits for the events that they cover.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use starling_protocol::{
    Cursor, CursorKey, CursorOwner, Fold, FoldRank, Hlc, OriginId, Seq, VersionVector,
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
    /// Seals a cursor over the newest fold that every peer in sync knows.
    fn seal_vector(&self, owner: CursorOwner, vector: VersionVector, greatest: Hlc) -> String {
        let keys = self.cursor_keys.get();
        let seal = |vector| {
            let nonce = self.context.environment.random::<NONCE_BYTES>();
            keys[0].seal(&Cursor { owner, vector, greatest }, nonce)
        };
        let known = vector.written_over(self.context.driver.cursor_fold().as_ref());
        // Too many origins for 4 KB, and peers that don't know the fold: at these the cursor leads to a wait or a resync.
        seal(known).or_else(|_| seal(vector)).unwrap_or_else(|_| {
            tracing::warn!("too many origins for a cursor: sessions that resume load everything afresh");
            // A cursor that covers nothing leads to a replay or a resync, never a gap.
            seal(VersionVector::default()).expect("an empty vector fits")
        })
    }

    /// Opens a cursor whose fold is here.
    async fn open_here(&self, cursor: &str) -> Result<Cursor, CursorError> {
        let in_memory = |rank| self.context.store.fold_in_memory(rank);
        let opened = self.open_over(cursor, in_memory);
        let Err(CursorError::UnknownFold { fold: rank, .. }) = opened else { return opened };
        // Unless the read fails. Then the fold is unknown, too.
        let fold = self.context.read(move |store| store.fold(rank)).await.ok().flatten();
        self.open_over(cursor, |_| fold.clone())
    }

    /// Opens a cursor with whichever key sealed it.
    fn open_over(
        &self,
        cursor: &str,
        fold: impl Fn(FoldRank) -> Option<Arc<Fold>>,
    ) -> Result<Cursor, CursorError> {
        let keys = self.cursor_keys.get();
        let mut opened = Err(CursorError::Unreadable);
        for key in keys.iter() {
            opened = key.open_over(cursor, &fold);
            // Only a cursor that was sealed under another key may open with the next one.
            if !matches!(opened, Err(CursorError::Unreadable)) {
                break;
            }
        }
        opened
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

    async fn open(&self, cursor: &str) -> Result<Cursor, CursorError> {
        let mut opened = self.open_here(cursor).await;
        if let Err(CursorError::UnknownFold { event, .. }) = opened {
            self.wait_for(&VersionVector::from_iter([event])).await;
            opened = self.open_here(cursor).await;
        }
        opened.map(|mut cursor| {
            // Comparisons with the commit point then cost what differs.
            if let Some(base) = self.lanes.commit_point().vector.base() {
                cursor.vector.rebase(base);
            }
            cursor
        })
    }
}
