//! Quick rooms, which need no account: their creation, messages, and cursors for resuming.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use starling_protocol::{
    Cursor, CursorKey, CursorOwner, ErrorCode, GuestName, Hlc, OriginId, Pos, RoomId, RoomName, Scope,
    VersionVector,
    cursor::{CursorError, NONCE_BYTES},
    frame::client::ListedMessage,
    limits::REPLAY_EVENTS_MAX,
    replica::Until,
};
use starling_web::{
    lane::{CommitPoint, Lanes},
    service::{CaughtUp, HistoryPage, Post, PostOutcome, Refusal, Rooms, SealedCursor},
};
use tokio::{sync::mpsc, time::timeout};

use super::context::{METADATA_WAIT_MS, ServiceContext, catching_up};
use crate::{
    permissions,
    store::{Op, OpResult, Store},
};

/// How long a resume waits for what a reachable peer has.
pub const CATCH_UP_MS_MAX: u64 = 2_000;
const CATCH_UP_MAX: Duration = Duration::from_millis(CATCH_UP_MS_MAX);

/// Implements [`Rooms`].
pub struct QuickRoomsService {
    pub(crate) context: ServiceContext,
    /// Publishes the commit point.
    pub lanes: Arc<Lanes>,
    /// Seals cursors; the same on every node of a cluster.
    pub cursor_key: CursorKey,
}

impl QuickRoomsService {
    fn seal_vector(&self, owner: CursorOwner, vector: VersionVector, greatest: Hlc) -> String {
        let nonce = self.context.environment.random::<NONCE_BYTES>();
        let cursor = Cursor { owner, vector, greatest };
        self.cursor_key.seal(&cursor, nonce).unwrap_or_else(|_| {
            // Too many origins for 4 KB: a cursor that covers nothing leads to a replay or a resync, never a gap.
            let cursor = Cursor { vector: VersionVector::default(), ..cursor };
            self.cursor_key.seal(&cursor, nonce).expect("an empty vector fits")
        })
    }

    /// The vector of a commit point, with the entry of this process kept back to what a peer in sync has confirmed; and
    /// whether it covers the whole commit.
    fn limit_to_confirmed(&self, point: &CommitPoint) -> (VersionVector, bool) {
        let mut vector = VersionVector::clone(&point.vector);
        let limit = self.context.driver.own_limit();
        let Some((origin, seq)) = self.own_entry(point).filter(|&(_, seq)| seq > limit) else {
            return (vector, true);
        };
        vector.limit(origin, limit.min(seq));
        (vector, false)
    }

    fn own_entry(&self, point: &CommitPoint) -> Option<(OriginId, u64)> {
        let own = self.lanes.own_origin()?;
        Some((own, point.vector.get(own)))
    }
}

#[async_trait]
impl Rooms for QuickRoomsService {
    async fn create(&self, name: Option<RoomName>) -> Result<RoomId, Refusal> {
        let room = RoomId(self.context.environment.random());
        match self.context.writer.commit(Op::CreateRoom { room, name }).await? {
            OpResult::Done(pos) => {
                self.context.driver.wait(pos.origin, pos.seq, Until::InSync, METADATA_WAIT_MS).await;
                Ok(room)
            }
            _ => Err(Refusal::new(ErrorCode::Unavailable, "the room could not be created; try again")),
        }
    }

    async fn find(&self, room: RoomId) -> Result<Option<RoomName>, Refusal> {
        // Taken first: a node that becomes ready during the look has not looked at everything.
        let mut ready = self.context.driver.is_ready();
        let mut found = self.context.read(move |store| store.room(room)).await?;
        if found.is_none() {
            ready &= self.context.catch_up().await;
            found = self.context.read(move |store| store.room(room)).await?;
        }
        found
            .map(|room| room.name)
            .ok_or_else(|| if ready { permissions::no_such_room() } else { catching_up() })
    }

    async fn is_account_name(&self, name: &GuestName) -> Result<bool, Refusal> {
        let name = name.clone();
        self.context.look(move |records| records.is_account_name(name.as_str())).await
    }

    fn post(&self, post: Post, outcomes: &mpsc::UnboundedSender<PostOutcome>) -> Result<(), Refusal> {
        self.context.writer.try_post(post, outcomes.clone())
    }

    async fn history(
        &self,
        room: RoomId,
        before: Option<Pos>,
        limit: usize,
        within: Option<CommitPoint>,
    ) -> Result<HistoryPage, Refusal> {
        let page =
            move |store: &Store| store.page(room, before, limit, within.as_ref().map(|point| &*point.vector));
        let page = self.context.read(page).await?;
        Ok(HistoryPage { messages: page.messages, more: page.more })
    }

    async fn catch_up(&self, vector: &VersionVector) -> CaughtUp {
        let mut commits = self.lanes.watch_commits();
        let covered = |point: &CommitPoint| point.vector.covers(vector);
        if covered(&commits.borrow_and_update()) {
            return CaughtUp::All;
        }
        if !self.context.driver.reachable(vector.clone()).await {
            let meanwhile = covered(&commits.borrow_and_update());
            return if meanwhile { CaughtUp::All } else { CaughtUp::NobodyHasIt };
        }
        match timeout(CATCH_UP_MAX, commits.wait_for(covered)).await {
            Ok(Ok(_)) => CaughtUp::All,
            _ => CaughtUp::TooSlow,
        }
    }

    async fn beyond(
        &self,
        room: RoomId,
        from: VersionVector,
        to: CommitPoint,
    ) -> Result<Option<Vec<Pos>>, Refusal> {
        self.context
            .read(move |store| store.beyond(&Scope::room(room), &from, &to.vector, REPLAY_EVENTS_MAX))
            .await
    }

    async fn messages_at(&self, places: Vec<Pos>) -> Result<Vec<ListedMessage>, Refusal> {
        self.context.read(move |store| store.messages_at(&places)).await
    }

    async fn floor(&self, after: Pos) -> Result<Hlc, Refusal> {
        let held = self.context.read(move |store| store.holds(after)).await?;
        Ok(if held { after.hlc } else { after.hlc.capped(self.context.environment.now_ms()) })
    }

    fn seal(&self, owner: CursorOwner, point: &CommitPoint, greatest: Hlc) -> SealedCursor {
        let (vector, complete) = self.limit_to_confirmed(point);
        SealedCursor { text: self.seal_vector(owner, vector, greatest), complete }
    }

    fn seal_empty(&self, owner: CursorOwner) -> String {
        self.seal_vector(owner, VersionVector::default(), Hlc::default())
    }

    fn open(&self, cursor: &str) -> Result<Cursor, CursorError> {
        self.cursor_key.open(cursor)
    }
}
