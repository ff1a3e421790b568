//! The frames of the live socket, `GET /api/v1/live`, except those that it shares with `/ws` (`ack`, `cursor`, `error`,
//! `resync`). The frame of a logged change is encoded once for all sessions; a replay encodes it for one.

use serde::Serialize;
pub use starling_protocol::frame::live::RoomChange;
use utoipa::ToSchema;

use crate::objects::{Contact, Message, PresenceState, Room, User};

/// A frame from the server to the client.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum LiveFrame<'a> {
    /// A message was posted. A resume may send it again: if you already have a message with this id, replace it.
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
        /// The id of its room.
        #[schema(format = "id")]
        room_id: String,
        /// The message's id.
        #[schema(format = "uuid")]
        id: String,
    },
    /// Your read position moved in another session, or that of the other person in a direct room.
    Read {
        /// The room's id.
        #[schema(format = "id")]
        room_id: String,
        /// The id of the user who read.
        #[schema(format = "id")]
        user_id: String,
        /// The id of the last message that they have read.
        #[schema(format = "uuid")]
        message_id: String,
    },
    /// You joined or left a room, or the room changed.
    Room {
        /// The room as it is now.
        room: &'a Room,
        /// The kind of change.
        change: RoomChange,
    },
    /// A contact, a request or a block changed.
    Contact {
        /// The contact as it is now.
        contact: &'a Contact,
    },
    /// The first frame of every connection. The server sends it again when you may have missed changes of presence, and
    /// when your name changed: replace what you know.
    Welcome {
        /// Your user.
        user: &'a User,
        /// The name of the node that serves you.
        node: &'a str,
        /// The cursor to reconnect with until you receive a `cursor` frame.
        cursor: &'a str,
        /// The seconds without a frame from you after which the server sends a ping. If you send nothing for as many
        /// seconds again, it closes the connection.
        heartbeat_s: u64,
        /// The contacts and fellow members who are online.
        presence: Vec<UserPresence>,
        /// Addresses where programs may reconnect.
        public_urls: Vec<String>,
    },
    /// Somebody is typing. Stop showing it after 5 s.
    Typing {
        /// The room's id.
        #[schema(format = "id")]
        room_id: String,
        /// The user who is typing.
        user: &'a User,
    },
    /// A contact or fellow member came online or went offline.
    Presence(UserPresence),
    /// The reply to a `ping`.
    Pong,
}

/// Whether a user is online.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserPresence {
    /// The user's id.
    #[schema(format = "id")]
    pub user_id: String,
    /// Whether they are online.
    pub state: PresenceState,
}

impl LiveFrame<'_> {
    /// Encodes the frame.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings, numbers and maps with string keys always encode")
    }
}
