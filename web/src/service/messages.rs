//! Messages of rooms of members: posting, reading by pages, and what is done to them afterwards.

use std::{fmt, str::FromStr};

use async_trait::async_trait;
use starling_protocol::{
    Emoji, Hlc, MessageId, MessageText, Pos, RoomId, UserId, VersionVector, id::MalformedId,
};

use super::{Post, Refusal};
use crate::objects::Message;

/// Counts a post against the limits of its room, or refuses it.
pub type Count<'a> = &'a (dyn Fn() -> Result<(), Refusal> + Send + Sync);

/// What somebody wants to post.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// His id for it.
    pub id: MessageId,
    /// What it says.
    pub text: MessageText,
    /// The id of the message that it answers.
    pub reply_to: Option<MessageId>,
    /// It is stamped above this: the greatest that he has seen there, as far as the caller knows.
    pub after: Hlc,
}

/// Which messages of a room are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The newest.
    Newest,
    /// The newest of those before this one.
    Before(MessageId),
    /// The oldest of those after this one.
    After(MessageId),
    /// This one, and as many on either side.
    Around(MessageId),
    /// Those where a page before has ended.
    From(PageEnd),
}

/// Where a page ended. Places do not move, so what is posted meanwhile moves no page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageEnd {
    /// The next one has the newest before this place.
    Before(Pos),
    /// The next one has the oldest after it.
    After(Pos),
}

impl fmt::Display for PageEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Before(pos) => write!(f, "b{pos}"),
            Self::After(pos) => write!(f, "a{pos}"),
        }
    }
}

impl FromStr for PageEnd {
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
    /// They.
    pub items: Vec<Message>,
    /// Where to go on, if there may be more.
    pub next: Option<PageEnd>,
}

/// Messages of rooms of members. What is not there, or in a room of which the asker is no member, or by somebody whom he
/// has blocked, is `NotFound`; that is only said after catching up with the peers in sync. Writes return when every peer
/// in sync has them, or after 250 ms.
#[async_trait]
pub trait Messages: Send + Sync + 'static {
    /// A post for [`super::Rooms::post`]: finds out whom it names and what it answers. Refuses what may not be posted;
    /// that is decided again when it is committed.
    async fn prepare(&self, user: UserId, room: RoomId, message: NewMessage) -> Result<Post, Refusal>;

    /// Posts, and waits until that is durable on as many nodes as configured, or for the configured time. Says whether
    /// the message was there already; `IdReused` if it was another. `count` counts it, or refuses it, once the author is
    /// known to be in the room: strangers don't use up what a room may take.
    async fn post(
        &self,
        user: UserId,
        room: RoomId,
        message: NewMessage,
        count: Count<'_>,
    ) -> Result<(Message, bool), Refusal>;

    /// So many messages of a room.
    async fn page(
        &self,
        user: UserId,
        room: RoomId,
        wanted: Wanted,
        limit: usize,
    ) -> Result<MessagePage, Refusal>;

    /// One message.
    async fn message(&self, user: UserId, id: MessageId) -> Result<Message, Refusal>;

    /// Gives a message another text, as its author.
    async fn edit(&self, user: UserId, id: MessageId, text: MessageText) -> Result<Message, Refusal>;

    /// Deletes a message for good, as its author, or as one who moderates the room.
    async fn delete(&self, user: UserId, id: MessageId) -> Result<(), Refusal>;

    /// Puts an emoji on a message, or takes one's own away.
    async fn react(&self, user: UserId, id: MessageId, emoji: Emoji, on: bool) -> Result<(), Refusal>;

    /// Notes that somebody has read a room up to a message. `seen` is what he had been sent then, of whichever rooms;
    /// if nothing, all that this node holds.
    async fn read(
        &self,
        user: UserId,
        room: RoomId,
        message: MessageId,
        seen: Option<VersionVector>,
    ) -> Result<(), Refusal>;
}

/// A place where nobody asks.
#[cfg(test)]
#[async_trait]
impl Messages for () {
    async fn prepare(&self, _: UserId, _: RoomId, _: NewMessage) -> Result<Post, Refusal> {
        unreachable!()
    }

    async fn post(
        &self,
        _: UserId,
        _: RoomId,
        _: NewMessage,
        _: Count<'_>,
    ) -> Result<(Message, bool), Refusal> {
        unreachable!()
    }

    async fn page(&self, _: UserId, _: RoomId, _: Wanted, _: usize) -> Result<MessagePage, Refusal> {
        unreachable!()
    }

    async fn message(&self, _: UserId, _: MessageId) -> Result<Message, Refusal> {
        unreachable!()
    }

    async fn edit(&self, _: UserId, _: MessageId, _: MessageText) -> Result<Message, Refusal> {
        unreachable!()
    }

    async fn delete(&self, _: UserId, _: MessageId) -> Result<(), Refusal> {
        unreachable!()
    }

    async fn react(&self, _: UserId, _: MessageId, _: Emoji, _: bool) -> Result<(), Refusal> {
        unreachable!()
    }

    async fn read(
        &self,
        _: UserId,
        _: RoomId,
        _: MessageId,
        _: Option<VersionVector>,
    ) -> Result<(), Refusal> {
        unreachable!()
    }
}
