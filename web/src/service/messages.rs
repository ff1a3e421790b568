//! Messages of member rooms: posting, reading, editing, deleting, reactions and read positions.

use std::{fmt, str::FromStr};

use async_trait::async_trait;
use starling_protocol::{
    Emoji, Hlc, MessageId, MessageText, Pos, Refusal, RoomId, UserId, VersionVector, id::MalformedId,
};

use super::posting::Post;
use crate::objects::Message;

/// Counts a post against the rate limits of its room, or refuses it.
pub type CountAgainstRoom<'a> = &'a (dyn Fn() -> Result<(), Refusal> + Send + Sync);

/// A message to post.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// The id, chosen by the client.
    pub id: MessageId,
    /// The text.
    pub text: MessageText,
    /// The id of the message that it replies to.
    pub reply_to: Option<MessageId>,
    /// The stamp that the message's own must exceed: that of the latest message that the author has seen in the room, as far
    /// as the caller knows.
    pub above_hlc: Hlc,
}

/// The messages to return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageQuery {
    /// The newest messages.
    Newest,
    /// The newest messages before this one.
    Before(MessageId),
    /// The oldest messages after this one.
    After(MessageId),
    /// This message, and equally many before and after it.
    Around(MessageId),
    /// The page after the one that returned this.
    Continue(PageCursor),
}

/// The point from which the next page continues. Positions are fixed, so pages don't shift when messages are posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageCursor {
    /// The next page has the newest messages before this position.
    Before(Pos),
    /// The next page has the oldest messages after this position.
    After(Pos),
}

impl fmt::Display for PageCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Before(pos) => write!(f, "b{pos}"),
            Self::After(pos) => write!(f, "a{pos}"),
        }
    }
}

impl FromStr for PageCursor {
    type Err = MalformedId;

    fn from_str(text: &str) -> Result<Self, MalformedId> {
        match text.split_at_checked(1).ok_or(MalformedId)? {
            ("b", pos) => Pos::parse(pos).map(Self::Before),
            ("a", pos) => Pos::parse(pos).map(Self::After),
            _ => Err(MalformedId),
        }
    }
}

/// Messages of a room, the newest first.
#[derive(Clone, Debug)]
pub struct MessagePage {
    /// The messages.
    pub items: Vec<Message>,
    /// The point from which the next page continues, if there may be one.
    pub next: Option<PageCursor>,
}

/// Messages of member rooms. `NotFound` means that a message does not exist, is in a room that the user is not in, or is by
/// somebody whom the user has blocked; methods catch up with the peers in sync before they return it. Writes return when
/// every peer in sync has them, or after 250 ms.
#[async_trait]
pub trait Messages: Send + Sync + 'static {
    /// Prepares a post for [`Posting::post`](super::Posting::post): resolves mentions and the reply. Refuses messages that
    /// the user may not post; this is checked again when the message is committed.
    async fn prepare(&self, user: UserId, room: RoomId, message: NewMessage) -> Result<Post, Refusal>;

    /// Posts, and waits until the message is durable on as many nodes as configured, or for the configured time. Returns
    /// whether the message existed already; `IdReused` if another message has its id. Calls `count` once the author is known
    /// to be in the room, so that strangers can't use up the room's rate limit.
    async fn post(
        &self,
        user: UserId,
        room: RoomId,
        message: NewMessage,
        count: CountAgainstRoom<'_>,
    ) -> Result<(Message, bool), Refusal>;

    /// Returns a page of a room's messages, `limit` at most.
    async fn page(
        &self,
        user: UserId,
        room: RoomId,
        query: MessageQuery,
        limit: usize,
    ) -> Result<MessagePage, Refusal>;

    /// Returns one message.
    async fn message(&self, user: UserId, id: MessageId) -> Result<Message, Refusal>;

    /// Edits a message, as its author.
    async fn edit(&self, user: UserId, id: MessageId, text: MessageText) -> Result<Message, Refusal>;

    /// Deletes a message for good, as its author or as a moderator of the room.
    async fn delete(&self, user: UserId, id: MessageId) -> Result<(), Refusal>;

    /// Adds a reaction to a message, or removes the user's own.
    async fn react(&self, user: UserId, id: MessageId, emoji: Emoji, on: bool) -> Result<(), Refusal>;

    /// Sets the position up to which a user has read a room. `seen` covers the events that the user had received then, in all
    /// rooms; `None` means all that this node holds.
    async fn mark_read(
        &self,
        user: UserId,
        room: RoomId,
        message: MessageId,
        seen: Option<VersionVector>,
    ) -> Result<(), Refusal>;
}
