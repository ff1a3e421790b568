//! The JSON that nodes send, written down from the public contract alone: an independent reading of it.
//! Borrowed from the frame wherever possible; unknown fields are passed over, as any client would.

use std::borrow::Cow;

use serde::Deserialize;

/// A string that borrows from the frame unless it holds escapes.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Text<'_> {
    /// The string itself.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Any frame from a node: the union of the fields that the checks look at.
#[derive(Debug, Deserialize)]
pub(crate) struct Incoming<'a> {
    /// `welcome`, `message`, `joined`, `left`, `ack`, `cursor`, `error` or `resync`.
    #[serde(borrow, rename = "type")]
    pub(crate) kind: Text<'a>,
    /// Message id, of `message`, `ack` and some `error` frames.
    #[serde(borrow)]
    pub(crate) id: Option<Text<'a>>,
    /// Room of a `message` or `welcome`.
    #[serde(borrow, rename = "roomID")]
    pub(crate) room: Option<Text<'a>>,
    /// Text of a `message`.
    #[serde(borrow)]
    pub(crate) body: Option<Text<'a>>,
    /// Place in the room's order, of `message` and `ack`.
    #[serde(borrow)]
    pub(crate) pos: Option<Text<'a>>,
    /// Sender's name, of `message`.
    #[serde(borrow)]
    pub(crate) username: Option<Text<'a>>,
    /// Resume cursor, of `welcome`, `cursor` and `resync`.
    #[serde(borrow)]
    pub(crate) cursor: Option<Text<'a>>,
    /// Of `error`.
    #[serde(borrow)]
    pub(crate) code: Option<Text<'a>>,
    /// Of `error`.
    #[serde(borrow)]
    pub(crate) detail: Option<Text<'a>>,
    /// Time of a `message` or `ack`.
    #[serde(borrow)]
    pub(crate) at: Option<Text<'a>>,
    /// On how many nodes an acked message is durable.
    pub(crate) copies: Option<u32>,
    /// Whether a `message` is replayed rather than live.
    #[serde(default)]
    pub(crate) history: bool,
}

/// The answer of `POST /create-room`.
#[derive(Debug, Deserialize)]
pub(crate) struct CreatedRoom {
    /// The new room's id.
    #[serde(rename = "roomID")]
    pub(crate) room: String,
}

/// One page of `GET /room-messages`, newest first.
#[derive(Debug, Deserialize)]
pub(crate) struct Page {
    /// The messages.
    pub(crate) items: Vec<ListedMessage>,
    /// Absent or null when nothing earlier is left.
    pub(crate) next: Option<String>,
}

/// A message as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct ListedMessage {
    /// Its id.
    pub(crate) id: String,
    /// Its place.
    pub(crate) pos: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_borrow_and_unescape() {
        let frame = br#"{"type":"message","id":"1","roomID":"r","body":"a\"b","pos":"0a","new":[1]}"#;
        let message: Incoming<'_> = serde_json::from_slice(frame).unwrap();
        assert!(matches!(message.pos.as_ref().unwrap().0, Cow::Borrowed("0a")));
        assert_eq!(message.body.unwrap().as_str(), "a\"b");
        assert!(!message.history);
    }
}
