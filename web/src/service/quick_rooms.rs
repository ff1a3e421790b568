//! Quick rooms: rooms without accounts, and their histories.

use async_trait::async_trait;
use starling_protocol::{
    GuestName, Pos, Refusal, RoomId, RoomName, VersionVector, frame::client::ListedMessage,
};

use crate::lane::CommitPoint;

/// A page of a room's history, newest first.
#[derive(Debug)]
pub struct HistoryPage {
    /// The messages.
    pub messages: Vec<ListedMessage>,
    /// Whether there are earlier ones.
    pub more: bool,
}

/// Quick rooms and their histories.
#[async_trait]
pub trait QuickRooms: Send + Sync + 'static {
    /// Creates a room. Returns when every peer in sync has it, or after 250 ms.
    async fn create(&self, name: Option<RoomName>) -> Result<RoomId, Refusal>;

    /// Returns the name of a room, if it has one. Catches up with the peers in sync before it returns `NotFound`.
    async fn find(&self, room: RoomId) -> Result<Option<RoomName>, Refusal>;

    /// Returns whether a name belongs to an account, so that no guest may have it.
    async fn is_account_name(&self, name: &GuestName) -> Result<bool, Refusal>;

    /// Returns a page of history before a position; only messages of commits up to `within`, if given.
    async fn history(
        &self,
        room: RoomId,
        before: Option<Pos>,
        limit: usize,
        within: Option<CommitPoint>,
    ) -> Result<HistoryPage, Refusal>;

    /// Returns the positions of a room's events after `from` up to `to`; `None` if there are too many to replay.
    async fn positions_between(
        &self,
        room: RoomId,
        from: VersionVector,
        to: CommitPoint,
    ) -> Result<Option<Vec<Pos>>, Refusal>;

    /// Returns the messages at these positions.
    async fn messages_at(&self, positions: Vec<Pos>) -> Result<Vec<ListedMessage>, Refusal>;
}
