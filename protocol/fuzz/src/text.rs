//! Ids, places and names as texts from requests.

use std::fmt::Debug;

use starling_protocol::{
    GuestName, MessageText, NodeId, Pos, RoomId, RoomName,
    codec::{decode, encode},
    limits::{GUEST_NAME_CHARS_MAX, MESSAGE_CHARS_MAX, ROOM_NAME_CHARS_MAX},
};

/// The limit that text types keep, however they came to be.
#[track_caller]
pub fn assert_chars(text: &str, chars_max: usize) {
    let chars = text.chars().count();
    assert!((1..=chars_max).contains(&chars), "{chars} characters where 1 to {chars_max} are allowed");
}

pub fn run(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Ok(node) = NodeId::parse(text) {
        assert_eq!(node.to_string(), text);
    }
    if let Ok(Some(room)) = RoomId::parse(text) {
        assert_eq!(room.to_string(), text);
    }
    if let Ok(pos) = Pos::parse(text) {
        assert_eq!(pos.to_string(), text);
        assert_eq!(Pos::from_bytes(pos.to_bytes()), pos);
    }
    if let Ok(name) = GuestName::parse(text) {
        assert_name(name.as_str(), GUEST_NAME_CHARS_MAX);
        assert_eq!(GuestName::parse(name.as_str()).as_ref(), Ok(&name));
        assert_survives(&name);
        // A name that is compared equal to another must be so whichever of the two was folded first.
        if let Ok(folded) = GuestName::parse(&name.folded()) {
            assert_eq!(folded.folded(), name.folded());
        }
    }
    if let Ok(name) = RoomName::parse(text) {
        assert_name(name.as_str(), ROOM_NAME_CHARS_MAX);
        assert_survives(&name);
    }
    if let Ok(body) = MessageText::parse(text) {
        assert_chars(body.as_str(), MESSAGE_CHARS_MAX);
        assert_eq!(body.as_str(), text);
        assert_survives(&body);
    }
}

fn assert_name(name: &str, chars_max: usize) {
    assert_chars(name, chars_max);
    assert_eq!(name.trim(), name);
    assert!(!name.contains(char::is_control));
}

fn assert_survives<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + Debug>(value: &T) {
    let bytes = encode(value);
    assert_eq!(&decode::<T>(&bytes, bytes.len()).expect("our own encoding decodes"), value);
}
