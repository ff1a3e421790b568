//! The frames of the live socket, `GET /api/v1/live`, that tell of what is logged. The writer encodes them once for all
//! who are sent them, a replay encodes them for one; nothing else writes them.

use serde::Serialize;

use crate::objects::{Contact, Message, Room};

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
}

/// What has become of a room, for one of its members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RoomChange {
    /// He is in it now: the client loads it by pages.
    Joined,
    /// It is another than before, or he is somebody else in it.
    Updated,
    /// He is not in it any more, or it is gone.
    Removed,
}

impl LiveFrame<'_> {
    /// As a frame.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings, numbers and maps with string keys always encode")
    }
}
