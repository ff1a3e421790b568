//! The frames of a quick room as `api.md` describes them, and how a handshake is refused.
//! Unknown fields are ignored, as a client should; an unknown type fails the test.

use serde::Deserialize;

/// A message as it comes over the socket and from `/room-messages`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Posted {
    pub id: String,
    #[serde(rename = "roomID")]
    pub room: String,
    pub username: String,
    pub guest: bool,
    pub body: String,
    pub at: String,
    pub pos: String,
    #[serde(default)]
    pub history: bool,
}

/// A frame from the server.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Frame {
    Welcome {
        #[serde(rename = "roomID")]
        room: String,
        username: String,
        node: String,
        cursor: String,
        users: Vec<String>,
        public_urls: Vec<String>,
    },
    Message(Posted),
    Ack {
        id: String,
        at: String,
        pos: String,
        copies: u32,
    },
    Joined {
        username: String,
    },
    Left {
        username: String,
    },
    Cursor {
        cursor: String,
    },
    Error {
        code: String,
        detail: String,
        id: Option<String>,
    },
    Resync {
        cursor: String,
    },
    /// The connection's end, with its close code; without one if it broke.
    #[serde(skip)]
    Closed(Option<u16>),
}

/// The answer to an upgrade that was not made; status 0 if the connection broke before it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub status: u16,
    pub code: String,
}

/// The frames between `welcome` and the first cursor after it.
#[derive(Debug)]
pub struct Opening {
    pub messages: Vec<Posted>,
    pub resync: bool,
}

impl Opening {
    pub fn bodies(&self) -> Vec<&str> {
        self.messages.iter().map(|message| message.body.as_str()).collect()
    }
}
