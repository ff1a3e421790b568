//! Quick rooms: rooms without accounts, their messages, and the cursors of their clients.

use async_trait::async_trait;
use starling_protocol::{
    Cursor, CursorOwner, GuestName, Hlc, MessageId, MessagePosted, Pos, RoomId, RoomName, VersionVector,
    cursor::CursorError, frame::client::ListedMessage,
};
use tokio::sync::mpsc;

use super::Refusal;
use crate::lane::CommitPoint;

/// A message to post.
#[derive(Clone, Debug)]
pub struct Post {
    /// The room.
    pub room: RoomId,
    /// The message.
    pub message: MessagePosted,
    /// The message gets a greater stamp than this: the latest that its sender has seen, or that of the message it answers.
    pub min_hlc: Option<Hlc>,
}

/// A durable post.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posted {
    /// Its position in the room.
    pub pos: Pos,
    /// The number of nodes on which it is durable.
    pub copies: usize,
}

/// The outcome of a post.
#[derive(Debug)]
pub struct PostOutcome {
    /// The message.
    pub id: MessageId,
    /// The post, or why it was refused.
    pub result: Result<Posted, Refusal>,
    /// Whether this is the second outcome, after more nodes have stored the message.
    pub again: bool,
}

/// A page of a room's history, newest first.
#[derive(Debug)]
pub struct HistoryPage {
    /// The messages.
    pub messages: Vec<ListedMessage>,
    /// Whether there are earlier ones.
    pub more: bool,
}

/// A sealed cursor, for a client.
#[derive(Debug)]
pub struct SealedCursor {
    /// The text.
    pub text: String,
    /// Whether the cursor covers the whole commit point. If not, a later one may, once peers have confirmed more.
    pub complete: bool,
}

/// Quick rooms and their messages.
#[async_trait]
pub trait QuickRooms: Send + Sync + 'static {
    /// Creates a room. Returns when every peer in sync has it, or after 250 ms.
    async fn create(&self, name: Option<RoomName>) -> Result<RoomId, Refusal>;

    /// Returns the name of a room, if it has one. Catches up with the peers in sync before it returns `NotFound`.
    async fn find(&self, room: RoomId) -> Result<Option<RoomName>, Refusal>;

    /// Returns whether a name belongs to an account, so that no guest may have it.
    async fn is_account_name(&self, name: &GuestName) -> Result<bool, Refusal>;

    /// Hands a post to the writer without waiting. The outcome follows when the message is durable on as many nodes as
    /// configured, or after the configured wait; in the latter case a second outcome follows if that many nodes have it
    /// within 10 s. Callers must bound the number of first outcomes that they wait for.
    fn post(&self, post: Post, outcomes: &mpsc::UnboundedSender<PostOutcome>) -> Result<(), Refusal>;

    /// Returns a page of history before a position; only messages of commits up to `within`, if given.
    async fn history(
        &self,
        room: RoomId,
        before: Option<Pos>,
        limit: usize,
        within: Option<CommitPoint>,
    ) -> Result<HistoryPage, Refusal>;

    /// Waits up to 2 s for the events in `vector` that this node lacks, if a reachable peer has them.
    async fn catch_up(&self, vector: &VersionVector) -> CaughtUp;

    /// Returns the positions of a room's events after `from` up to `to`; `None` if there are too many to replay.
    async fn beyond(
        &self,
        room: RoomId,
        from: VersionVector,
        to: CommitPoint,
    ) -> Result<Option<Vec<Pos>>, Refusal>;

    /// Returns the messages at these positions.
    async fn messages_at(&self, positions: Vec<Pos>) -> Result<Vec<ListedMessage>, Refusal>;

    /// Returns the minimum stamp for posts of a client that has shown `after`: the stamp of `after` if this node holds
    /// it, otherwise one that does not run ahead of the wall clock.
    async fn min_hlc(&self, after: Pos) -> Result<Hlc, Refusal>;

    /// Seals a cursor as of a commit, with the greatest stamp that the client was shown in a quick room.
    fn seal(&self, owner: CursorOwner, point: &CommitPoint, greatest: Hlc) -> SealedCursor;

    /// Seals a cursor that covers no commit.
    fn seal_empty(&self, owner: CursorOwner) -> String;

    /// Opens a client's cursor.
    fn open(&self, cursor: &str) -> Result<Cursor, CursorError>;
}

/// The result of [`QuickRooms::catch_up`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaughtUp {
    /// This node has all of the events.
    All,
    /// A reachable peer has the missing events, but they did not arrive in time.
    TooSlow,
    /// No reachable peer has all of the missing events.
    NobodyHasIt,
}
