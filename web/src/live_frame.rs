//! The frames of the live socket, `GET /api/v1/live`, except those that it shares with `/ws` (`ack`, `cursor`, `error`,
//! `resync`). The writer encodes the frame of a logged change once for all sessions; a replay encodes it for one.

use serde::Serialize;

use crate::objects::{Contact, Message, PresenceState, Room, User};

/// A frame to the client.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum LiveFrame<'a> {
    /// A message is new in the list, or differs there: clients replace by id.
    Message {
        /// The message.
        message: &'a Message,
    },
    /// A message was edited, or its reactions changed.
    MessageUpdated {
        /// The message as it is now.
        message: &'a Message,
    },
    /// A message was deleted.
    MessageDeleted {
        /// The room of the message.
        room_id: String,
        /// The id of the message.
        id: String,
    },
    /// A read mark moved: that of the client's user, or of the other user in a direct room.
    Read {
        /// The room of the mark.
        room_id: String,
        /// The user whose mark it is.
        user_id: String,
        /// The last message that they have read.
        message_id: String,
    },
    /// The client's user joined or left a room, or the room changed.
    Room {
        /// The room as it is now.
        room: &'a Room,
        /// The kind of change.
        change: RoomChange,
    },
    /// The relation between the client's user and another user changed.
    Contact {
        /// The contact as it is now.
        contact: &'a Contact,
    },
    /// First on every connection. Again if presence frames were lost, or the user's name changed: they changed it, or
    /// another user had it first.
    Welcome {
        /// The client's user.
        user: &'a User,
        /// The name of the node that serves the client.
        node: &'a str,
        /// The cursor to resume from, until a `cursor` frame brings a later one.
        cursor: &'a str,
        /// The node pings a client that has sent nothing for this many seconds, and drops it after as many again.
        heartbeat_s: u64,
        /// Contacts and members of shared rooms who are online.
        presence: Vec<Available>,
        /// Addresses at which programs may reconnect.
        public_urls: Vec<String>,
    },
    /// A user is typing. Clients drop the notice after 5 s.
    Typing {
        /// The room in which they type.
        room_id: String,
        /// The user.
        user: &'a User,
    },
    /// A contact or a member of a shared room went online or offline.
    Presence(Available),
    /// The reply to a `ping`.
    Pong,
}

/// A user's presence.
#[derive(Debug, Serialize)]
pub struct Available {
    /// The id of the user.
    pub user_id: String,
    /// Whether they are online.
    pub state: PresenceState,
}

/// A change to a room, as one of its members sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RoomChange {
    /// They joined it: the client loads it by pages.
    Joined,
    /// The room changed, or their role in it.
    Updated,
    /// They are no longer in it, or it was deleted.
    Removed,
}

impl LiveFrame<'_> {
    /// Returns the JSON text of the frame.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings, numbers and maps with string keys always encode")
    }
}
