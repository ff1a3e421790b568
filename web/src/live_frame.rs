//! The frames of the live socket, `GET /api/v1/live`, besides those that it has in common with `/ws` (`ack`, `cursor`,
//! `error`, `resync`). What is logged, the writer encodes once for all who are sent it, and a replay for one.

use serde::Serialize;
pub use starling_protocol::frame::live::RoomChange;

use crate::objects::{Contact, Message, PresenceState, Room, User};

/// What has changed.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum LiveFrame<'a> {
    /// A message is listed, or listed otherwise than before: clients replace by id.
    Message {
        /// It.
        message: &'a Message,
    },
    /// A message was edited, or has other reactions.
    MessageUpdated {
        /// As it is now.
        message: &'a Message,
    },
    /// A message was deleted.
    MessageDeleted {
        /// Where it was.
        room_id: String,
        /// Which.
        id: String,
    },
    /// Somebody has read on: the client's own user, or the other side of a direct room.
    Read {
        /// Where.
        room_id: String,
        /// Who.
        user_id: String,
        /// The last message that he has read.
        message_id: String,
    },
    /// The client's user came into a room, left it, or it is another than before.
    Room {
        /// As it is now.
        room: &'a Room,
        /// What has become of it.
        change: RoomChange,
    },
    /// Somebody stands otherwise to the client's user.
    Contact {
        /// As he stands now.
        contact: &'a Contact,
    },
    /// First on every connection, and again if comings and goings were lost, or the user is called otherwise: by his own
    /// doing, or because another had his name first.
    Welcome {
        /// The client's user.
        user: &'a User,
        /// Which node serves it.
        node: &'a str,
        /// What to reconnect with until a `cursor` frame brings a better one.
        cursor: &'a str,
        /// A client that has sent nothing for so long is pinged, and given up after as long again.
        heartbeat_s: u64,
        /// Who of his contacts and room-mates is online.
        presence: Vec<Available>,
        /// Where programs may reconnect.
        public_urls: Vec<String>,
    },
    /// Somebody is typing; lapses after 5 s.
    Typing {
        /// Where.
        room_id: String,
        /// Who.
        user: &'a User,
    },
    /// A contact or room-mate has come or gone.
    Presence(Available),
    /// Answers a `ping`.
    Pong,
}

/// Whether somebody is online.
#[derive(Debug, Serialize)]
pub struct Available {
    /// Who.
    pub user_id: String,
    /// Whether he is.
    pub state: PresenceState,
}

impl LiveFrame<'_> {
    /// As a frame.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings, numbers and maps with string keys always encode")
    }
}
