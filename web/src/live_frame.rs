//! The frames of the live socket, `GET /api/v1/live`, except those that it shares with `/ws` (`ack`, `cursor`, `error`,
//! `resync`). The writer encodes the frame of a logged change once for all sessions; a replay encodes it for one.

use serde::Serialize;
pub use starling_protocol::frame::live::RoomChange;
use utoipa::ToSchema;

use crate::objects::{Contact, Message, PresenceState, Room, User};

/// A frame from the server to the client.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum LiveFrame<'a> {
    /// A message was posted. A resume sends it again: replace by id.
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
    /// You have read on in another session, or the other person in a direct room has read on.
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
    /// You joined a room or left it, or the room changed.
    Room {
        /// The room as it is now.
        room: &'a Room,
        /// What happened to it.
        change: RoomChange,
    },
    /// A contact, a request or a block changed.
    Contact {
        /// The contact as it is now.
        contact: &'a Contact,
    },
    /// The first frame of every connection. It comes again if the server lost track of who is online, and when your name
    /// changed: replace what you know.
    Welcome {
        /// Your user.
        user: &'a User,
        /// The name of the node that serves you.
        node: &'a str,
        /// The cursor to reconnect with until a `cursor` frame brings the next one.
        cursor: &'a str,
        /// The seconds of silence after which the server pings you. After as many seconds again without a frame or a pong
        /// it gives the connection up.
        heartbeat_s: u64,
        /// The contacts and room-mates who are online.
        presence: Vec<Available>,
        /// Addresses where programs may reconnect.
        public_urls: Vec<String>,
    },
    /// Somebody is typing. It lapses after 5 s.
    Typing {
        /// The room's id.
        #[schema(format = "id")]
        room_id: String,
        /// The user who is typing.
        user: &'a User,
    },
    /// A contact or room-mate came online or went offline.
    Presence(Available),
    /// The reply to a `ping`.
    Pong,
}

/// Whether a user is online.
#[derive(Debug, Serialize, ToSchema)]
pub struct Available {
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
