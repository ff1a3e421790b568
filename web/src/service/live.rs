//! What the live socket of somebody with an account stands on: his rooms, what he lacks, who is there.

use std::collections::HashSet;

use async_trait::async_trait;
use axum::extract::ws::Utf8Bytes;
use starling_protocol::{Hlc, MessageKey, Pos, RoomId, UserId, VersionVector};

use super::Refusal;
use crate::{lane::CommitPoint, live_frame::RoomChange, objects::User};

/// What surrounds a user, as of one moment.
#[derive(Clone, Debug)]
pub struct UserContext {
    /// He himself, as others see him.
    pub user: User,
    /// The rooms of members in which he is.
    pub rooms: HashSet<RoomId>,
    /// Those among them that are direct rooms of two who are no contacts any more: neither sees the other come, go or
    /// type there.
    pub severed_rooms: HashSet<RoomId>,
    /// His contacts.
    pub contacts: HashSet<UserId>,
    /// Whom he has blocked: nothing that they do is shown to him.
    pub blocked: HashSet<UserId>,
    /// Who has blocked him: their presence and typing are not shown to him.
    pub blocked_by: HashSet<UserId>,
}

/// Something that a client may lack. It is told as it is when it is told, however often it has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// A message.
    Message {
        /// Where.
        room: RoomId,
        /// Which.
        key: MessageKey,
        /// Whether the message itself is new, not only what was done to it.
        fresh: bool,
    },
    /// How far somebody has read.
    Read {
        /// Where.
        room: RoomId,
        /// Who.
        user: UserId,
    },
    /// A room.
    Room {
        /// Which.
        room: RoomId,
        /// What has become of it.
        change: RoomChange,
    },
    /// How somebody stands to the user.
    Contact(UserId),
}

/// That somebody has a live session here; ends when this is dropped, or with the node.
pub struct Online(pub Option<Box<dyn FnOnce() + Send + Sync>>);

impl Drop for Online {
    fn drop(&mut self) {
        if let Some(end) = self.0.take() {
            end();
        }
    }
}

/// What live sockets ask.
#[async_trait]
pub trait LiveEvents: Send + Sync + 'static {
    /// What surrounds a user.
    async fn user_context(&self, user: UserId) -> Result<UserContext, Refusal>;

    /// Who of a user's contacts and room-mates is online, besides himself; some thousand at most.
    async fn online(&self, user: UserId) -> Result<Vec<UserId>, Refusal>;

    /// Who of these is online, besides those between whom and the user there is a block.
    async fn online_among(&self, user: UserId, others: Vec<UserId>) -> Result<Vec<UserId>, Refusal>;

    /// Which of these a user knows: he shares a room with them, or has ever asked, answered or blocked them.
    async fn known(&self, user: UserId, others: Vec<UserId>) -> Result<Vec<UserId>, Refusal>;

    /// What has changed for a user within `to` beyond `from`, in the order of the last changes; `None` if it is too much
    /// to be replayed. Of a room in which he was not at `from`, only that he is in it now. How far the other sides of
    /// direct rooms have read is always among it.
    async fn beyond(
        &self,
        user: UserId,
        from: VersionVector,
        to: CommitPoint,
    ) -> Result<Option<Vec<Change>>, Refusal>;

    /// Frames that tell a user of these things, without those that he may not see (any more).
    async fn render(&self, user: UserId, due: Vec<Change>) -> Result<Vec<String>, Refusal>;

    /// The frame that tells a user of a room as it is now, and whether he is in it.
    async fn room(&self, user: UserId, room: RoomId) -> Result<(String, bool), Refusal>;

    /// The stamp above which to post for a client that has shown `after`: none if this node holds that, for a post is
    /// stamped above all that is held in its room; otherwise one that does not run ahead of the wall clock.
    async fn min_hlc(&self, after: Pos) -> Result<Hlc, Refusal>;

    /// A live session of a user begins.
    fn mark_online(&self, user: UserId) -> Online;

    /// Shows the members of a room, on all linked nodes, something of the moment that this user does. Best effort.
    fn broadcast(&self, room: RoomId, user: UserId, frame: Utf8Bytes);
}
