//! The services that `web` needs, as traits that `node` implements. Handlers and sessions call these and nothing
//! else; what they hand over has been parsed, what comes back has been decided.

mod accounts;
mod administration;
mod contacts;
mod identity;
mod live;
mod member_rooms;
mod messages;
#[cfg(test)]
pub mod nobody;
mod registration;

use async_trait::async_trait;
use starling_protocol::{
    Cursor, CursorOwner, GuestId, GuestName, Hlc, MessageId, MessagePosted, Pos, RoomId, RoomName,
    VersionVector, cursor::CursorError, frame::client::ListedMessage,
};
use tokio::sync::{mpsc, oneshot};

pub use starling_protocol::Refusal;

pub use self::{
    accounts::*,
    administration::{Administration, ResetLink, UserFlags},
    contacts::{ContactAct, Contacts},
    identity::{Authentication, Credentials, Identity},
    live::{Change, LiveEvents, Online, UserContext},
    member_rooms::{MemberRooms, NewInvite, NewRoom, Page, PageRequest, PageToken, RoomChange},
    messages::{Count, MessagePage, Messages, NewMessage, PageEnd, Wanted},
    registration::{RegistrationMode, RegistrationSource},
};
use crate::lane::CommitPoint;

/// A message to be posted.
#[derive(Clone, Debug)]
pub struct Post {
    /// Where.
    pub room: RoomId,
    /// What.
    pub message: MessagePosted,
    /// It is stamped above this: the greatest that its sender has seen, and what it answers.
    pub min_hlc: Option<Hlc>,
}

/// A post that is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posted {
    /// Where it stands.
    pub pos: Pos,
    /// On how many nodes it is durable.
    pub copies: usize,
}

/// What became of a post.
#[derive(Debug)]
pub struct PostOutcome {
    /// Which.
    pub id: MessageId,
    /// Where it stands, or why not.
    pub result: Result<Posted, Refusal>,
    /// There was an outcome before: this one tells that there are more copies now.
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

/// A cursor for a client.
#[derive(Debug)]
pub struct SealedCursor {
    /// Its text.
    pub text: String,
    /// Whether it covers the whole commit point; if not, a better one can be had once peers have confirmed more.
    pub complete: bool,
}

/// Rooms and their messages.
#[async_trait]
pub trait Rooms: Send + Sync + 'static {
    /// Makes a room; returns when every peer in sync has it, or after 250 ms.
    async fn create(&self, name: Option<RoomName>) -> Result<RoomId, Refusal>;

    /// Looks a room up: its name, if it has one. `NotFound` is only said after catching up with the peers in sync.
    async fn find(&self, room: RoomId) -> Result<Option<RoomName>, Refusal>;

    /// Whether a name is an account's, so that no guest may have it.
    async fn is_account_name(&self, name: &GuestName) -> Result<bool, Refusal>;

    /// Hands a post to the writer without waiting. Its outcome follows once it is durable on as many nodes as
    /// configured, or after the configured wait; then a second one if that many hold it within 10 s. The caller bounds
    /// how many of his first outcomes are outstanding.
    fn post(&self, post: Post, outcomes: &mpsc::UnboundedSender<PostOutcome>) -> Result<(), Refusal>;

    /// A page of history before a place; only messages of commits up to `within`, if given.
    async fn history(
        &self,
        room: RoomId,
        before: Option<Pos>,
        limit: usize,
        within: Option<CommitPoint>,
    ) -> Result<HistoryPage, Refusal>;

    /// Waits (2 s at most) for what `vector` has and this node lacks, if somebody reachable reports to have it.
    async fn catch_up(&self, vector: &VersionVector) -> CaughtUp;

    /// The places of a room's events within `to` beyond `from`; `None` if they are too many to replay.
    async fn beyond(
        &self,
        room: RoomId,
        from: VersionVector,
        to: CommitPoint,
    ) -> Result<Option<Vec<Pos>>, Refusal>;

    /// The messages listed at these places.
    async fn messages_at(&self, places: Vec<Pos>) -> Result<Vec<ListedMessage>, Refusal>;

    /// The stamp above which to post for a client that has shown `after`: its own if this node holds it, otherwise
    /// one that does not run ahead of the wall clock.
    async fn floor(&self, after: Pos) -> Result<Hlc, Refusal>;

    /// Seals a cursor as of a commit, with the greatest stamp that somebody was shown in a quick room.
    fn seal(&self, owner: CursorOwner, point: &CommitPoint, greatest: Hlc) -> SealedCursor;

    /// Seals a cursor that covers nothing.
    fn seal_empty(&self, owner: CursorOwner) -> String;

    /// Opens a client's cursor.
    fn open(&self, cursor: &str) -> Result<Cursor, CursorError>;
}

/// The name is held by somebody else in the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameInUse;

/// Presence of a session: ends when this is dropped, or with the node.
pub struct Lease {
    /// Resolves when a later session of the same guest takes over.
    pub taken_over: oneshot::Receiver<()>,
    /// Runs when the lease is dropped.
    pub release: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(release) = self.release.take() {
            release();
        }
    }
}

/// What came of waiting for what a client has seen elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaughtUp {
    /// All of it is here.
    All,
    /// Somebody reachable has it, but it took too long.
    TooSlow,
    /// Nobody reachable has all of what is not here.
    NobodyHasIt,
}

/// Who is where, over all nodes that are reached.
pub trait Presence: Send + Sync + 'static {
    /// Begins presence under a name, unless somebody else in the room has it or is shown under it (compared
    /// case-folded). Guests who share a name since both sides of a split gave it away may each return under it.
    /// Somebody with an account comes under his user id and name.
    fn enter(&self, room: RoomId, guest: GuestId, name: GuestName, account: bool)
    -> Result<Lease, NameInUse>;

    /// Whether [`Presence::enter`] would succeed.
    fn is_free(&self, room: RoomId, guest: GuestId, name: &GuestName) -> bool;

    /// Under which name a guest is shown, while he is present: `name~xx` if he shares it and was not the first.
    fn shown(&self, room: RoomId, guest: GuestId) -> Option<String>;

    /// The names under which those present are shown, sorted.
    fn users(&self, room: RoomId) -> Vec<String>;
}

/// What operators ask.
pub trait Operations: Send + Sync + 'static {
    /// Why the node should get no traffic now; empty if it is ready.
    fn not_ready(&self) -> Vec<String>;

    /// What is wrong without keeping the node from serving.
    fn troubles(&self) -> Vec<String>;

    /// All figures, as Prometheus reads them.
    fn metrics(&self) -> String;

    /// Where users reach this node and those it is linked to, as far as they were told.
    fn public_urls(&self) -> Vec<String>;
}
