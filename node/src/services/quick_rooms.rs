//! Quick rooms, which need no account: their creation and histories.

use async_trait::async_trait;
use starling_protocol::{
    ErrorCode, GuestName, Pos, RoomId, RoomName, Scope, VersionVector, frame::client::ListedMessage,
    limits::REPLAY_EVENTS_MAX, replica::Until, texts,
};
use starling_web::{
    lane::CommitPoint,
    service::{HistoryPage, QuickRooms, Refusal},
};

use super::context::{REPLICATION_WAIT_MS, ServiceContext, catching_up};
use crate::{
    permissions,
    store::{Op, OpResult, Store},
};

/// Implements [`QuickRooms`].
pub struct QuickRoomsService {
    pub(crate) context: ServiceContext,
}

#[async_trait]
impl QuickRooms for QuickRoomsService {
    async fn create(&self, name: Option<RoomName>) -> Result<RoomId, Refusal> {
        let room = RoomId(self.context.environment.random());
        match self.context.writer.commit(Op::CreateQuickRoom { room, name }).await? {
            OpResult::Done(pos) => {
                self.context.driver.wait(pos.origin, pos.seq, Until::InSync, REPLICATION_WAIT_MS).await;
                Ok(room)
            }
            _ => Err(Refusal::new(ErrorCode::Unavailable, texts::node::CREATION_UNCONFIRMED)),
        }
    }

    async fn find(&self, room: RoomId) -> Result<Option<RoomName>, Refusal> {
        // Taken first: a node that becomes ready during the look has not looked at everything.
        let mut ready = self.context.driver.is_ready();
        let mut found = self.context.read(move |store| store.quick_room(room)).await?;
        if found.is_none() {
            ready &= self.context.catch_up().await;
            found = self.context.read(move |store| store.quick_room(room)).await?;
        }
        found
            .map(|room| room.name)
            .ok_or_else(|| if ready { permissions::no_such_room() } else { catching_up() })
    }

    async fn is_account_name(&self, name: &GuestName) -> Result<bool, Refusal> {
        let name = name.clone();
        self.context.read_records(move |records| records.is_account_name(name.as_str())).await
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

    async fn positions_between(
        &self,
        room: RoomId,
        from: VersionVector,
        to: CommitPoint,
    ) -> Result<Option<Vec<Pos>>, Refusal> {
        self.context
            .read(move |store| {
                store.scope_events_after(&Scope::room(room), &from, &to.vector, REPLAY_EVENTS_MAX)
            })
            .await
    }

    async fn messages_at(&self, positions: Vec<Pos>) -> Result<Vec<ListedMessage>, Refusal> {
        self.context.read(move |store| store.messages_at(&positions)).await
    }
}
