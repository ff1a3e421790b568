//! Events for the live sockets of users: their rooms, missed changes, and presence.

use std::collections::HashSet;

use async_trait::async_trait;
use starling_protocol::{Hlc, MessageKey, Pos, Refusal, RoomId, UserId, VersionVector};

use crate::{lane::CommitPoint, live_frame::RoomChange, objects::User};

/// The rooms and relations of a user, at one moment.
#[derive(Clone, Debug)]
pub struct UserContext {
    /// The user, as others see them.
    pub user: User,
    /// The member rooms and direct rooms that they are in.
    pub rooms: HashSet<RoomId>,
    /// The direct rooms among them with a user who is not a contact any more. There, neither sees the other's presence and
    /// typing.
    pub severed_rooms: HashSet<RoomId>,
    /// Their contacts.
    pub contacts: HashSet<UserId>,
    /// People they have blocked, who are not shown to them at all.
    pub blocked: HashSet<UserId>,
    /// People who have blocked them, whose presence and typing are not shown to them.
    pub blocked_by: HashSet<UserId>,
}

/// Something that has changed. It is rendered in its latest state, however often it has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LiveChange {
    /// A message.
    Message {
        /// Its room.
        room: RoomId,
        /// Its key.
        key: MessageKey,
        /// Whether the message is new; otherwise it was edited, deleted or reacted to.
        fresh: bool,
    },
    /// The position up to which somebody has read.
    Read {
        /// Its room.
        room: RoomId,
        /// The reader.
        user: UserId,
    },
    /// A room.
    Room {
        /// The room.
        room: RoomId,
        /// The kind of change.
        change: RoomChange,
    },
    /// A contact.
    Contact(UserId),
}

/// The online presence of a user by one session. It ends when this is dropped, or when the node stops.
pub struct Online(pub Option<Box<dyn FnOnce() + Send + Sync>>);

impl Drop for Online {
    fn drop(&mut self) {
        if let Some(end) = self.0.take() {
            end();
        }
    }
}

/// Events and presence for live sockets.
#[async_trait]
pub trait LiveEvents: Send + Sync + 'static {
    /// Returns the rooms and relations of a user.
    async fn user_context(&self, user: UserId) -> Result<UserContext, Refusal>;

    /// Returns the contacts and fellow members of a user who are online; some thousand at most.
    async fn online(&self, user: UserId) -> Result<Vec<UserId>, Refusal>;

    /// Returns those of `others` who are online, except where either has blocked the other.
    async fn online_among(&self, user: UserId, others: Vec<UserId>) -> Result<Vec<UserId>, Refusal>;

    /// Returns those of `others` whom the user knows: they share a room, or there was ever a contact request or block between
    /// them.
    async fn known(&self, user: UserId, others: Vec<UserId>) -> Result<Vec<UserId>, Refusal>;

    /// Returns the changes for a user after `from` up to `to`, in the order of the last changes; `None` if there are too
    /// many to replay. A room that the user has entered since `from` is one change, without its messages. The read
    /// positions of the others in direct rooms are always included.
    async fn changes_between(
        &self,
        user: UserId,
        from: VersionVector,
        to: CommitPoint,
    ) -> Result<Option<Vec<LiveChange>>, Refusal>;

    /// Renders changes as frames, without those that the user may not see, or not any more.
    async fn render(&self, user: UserId, changes: Vec<LiveChange>) -> Result<Vec<String>, Refusal>;

    /// Returns the frame for the present state of a room, and whether the user is in it.
    async fn room(&self, user: UserId, room: RoomId) -> Result<(String, bool), Refusal>;

    /// For a session of an account: returns the stamp that the client's posts must exceed, if the client has already
    /// received the message at `after`: zero if this node holds that message, because a post is stamped above
    /// everything in its room; otherwise a stamp that does not run ahead of the wall clock.
    async fn above_hlc_unless_held(&self, after: Pos) -> Result<Hlc, Refusal>;

    /// Marks a user as online until the result is dropped.
    fn mark_online(&self, user: UserId) -> Online;

    /// Sends a transient frame of a user, such as typing, to the members of a room on all linked nodes. Best effort.
    fn broadcast(&self, room: RoomId, user: UserId, frame: String);
}
