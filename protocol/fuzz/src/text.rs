//! Fuzzes the texts of requests: ids, positions and names.

use std::fmt::Debug;

use starling_protocol::{
    DisplayName, Emoji, GuestName, InviteCode, MessageText, NodeId, Pos, RoomId, RoomName, SessionId, Topic,
    UserId, Username,
    codec::{decode, encode},
    limits::{
        DISPLAY_NAME_CHARS_MAX, EMOJI_BYTES_MAX, GUEST_NAME_CHARS_MAX, MESSAGE_CHARS_MAX,
        ROOM_NAME_CHARS_MAX, TOPIC_CHARS_MAX, USERNAME_CHARS,
    },
};

/// Asserts the length limit of a text type.
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
        assert_round_trips(&name);
        // Folding must be idempotent, or equality of names would depend on the order of folding.
        if let Ok(folded) = GuestName::parse(&name.folded()) {
            assert_eq!(folded.folded(), name.folded());
        }
    }
    if let Ok(name) = RoomName::parse(text) {
        assert_name(name.as_str(), ROOM_NAME_CHARS_MAX);
        assert_round_trips(&name);
    }
    if let Ok(body) = MessageText::parse(text) {
        assert_chars(body.as_str(), MESSAGE_CHARS_MAX);
        assert_eq!(body.as_str(), text);
        assert_round_trips(&body);
    }
    check_accounts(text);
}

/// Fuzzes the texts of requests about accounts.
fn check_accounts(text: &str) {
    if let Ok(Some(user)) = UserId::parse(text) {
        assert_eq!(user.to_string(), text);
    }
    if let Ok(Some(session)) = SessionId::parse(text) {
        assert_eq!(session.to_string(), text);
    }
    if let Ok(Some(code)) = InviteCode::parse(text) {
        assert_eq!(code.to_string(), text);
        let (id, mac) = code.unverified();
        assert!(InviteCode::new(id, mac) == code);
    }
    if let Ok(name) = Username::parse(text) {
        assert!(USERNAME_CHARS.contains(&name.as_str().len()), "ASCII within the limits");
        // `~` and 0 are separators in `name~xxxx` and in keys.
        assert!(!name.as_str().contains(|c: char| "~\0".contains(c) || c.is_uppercase()));
        assert_eq!(Username::parse(name.as_str()).as_ref(), Ok(&name));
        assert_round_trips(&name);
    }
    if let Ok(name) = DisplayName::parse(text) {
        assert_name(name.as_str(), DISPLAY_NAME_CHARS_MAX);
        assert!(!name.folded().contains('\0'), "0 is a separator in keys");
        assert_round_trips(&name);
    }
    if let Ok(topic) = Topic::parse(text) {
        if !topic.as_str().is_empty() {
            assert_name(topic.as_str(), TOPIC_CHARS_MAX);
        }
        assert_round_trips(&topic);
    }
    if let Ok(emoji) = Emoji::parse(text) {
        assert!((1..=EMOJI_BYTES_MAX).contains(&emoji.as_str().len()));
        assert_eq!(Emoji::parse(emoji.as_str()).as_ref(), Ok(&emoji), "normalization is idempotent");
        assert_round_trips(&emoji);
    }
}

fn assert_name(name: &str, chars_max: usize) {
    assert_chars(name, chars_max);
    assert_eq!(name.trim(), name);
    assert!(!name.contains(char::is_control));
}

fn assert_round_trips<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + Debug>(value: &T) {
    let bytes = encode(value);
    assert_eq!(&decode::<T>(&bytes, bytes.len()).expect("our own encoding decodes"), value);
}
