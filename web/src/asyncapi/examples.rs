//! An example of every kind of frame. Frames of the server are encoded by the types that the sockets use; a test parses
//! frames of the client with the functions that the sockets use.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use starling_protocol::{
    ErrorCode, GuestId, GuestName, Hlc, MessageId, MessagePosted, MessageText, NodeId, OriginId, Pos, RoomId,
    Sender, Seq,
    frame::client::{ListedMessage, MessageObject, ServerFrame},
};

use crate::{
    live_frame::{LiveFrame, RoomChange, UserPresence},
    objects::{
        Contact, ContactState, Message, MessageSender, PresenceState, Role, Room, RoomKind, User, Visibility,
    },
};

const ANN: &str = "0f5c2k7m9q4t6v8x1z3b5d7f9h";
const BEN: &str = "1h3k5m7p9r2t4v6x8z0b2d4f6h";
const NODE: &str = "node-1";
const CURSOR: &str = "AQx3k9RmQ0v5uZ1pT7w";
const SENT: MessageId = MessageId::from_u128(0x0198_5d2e_7c4a_7b11_9f0e_2a6c_41d8_53b7);
const ANSWERED: MessageId = MessageId::from_u128(0x0198_5d2e_6a11_7c02_8d3b_11f4_90ab_77e1);
/// The time of the examples, as Unix milliseconds.
const AT_MS: u64 = 1_795_867_200_000;
const AT: &str = "2026-11-28T12:00:00.000Z";

fn room_id() -> RoomId {
    RoomId([0x5a; 10])
}

fn pos() -> Pos {
    let origin = OriginId { node: NodeId([0x11; 16]), incarnation: 7 };
    Pos { hlc: Hlc::from_unix_ms(AT_MS), origin, seq: Seq(42) }
}

/// Returns the frames that the server sends on `/ws`.
pub fn quick() -> Vec<Value> {
    let frames = [
        ServerFrame::Welcome {
            room: room_id().to_string(),
            username: "Ann",
            node: NODE.to_owned(),
            cursor: CURSOR,
            users: vec!["Ann".to_owned(), "Ben".to_owned()],
            public_urls: Vec::new(),
        },
        ServerFrame::Joined { username: "Ben", guest: true, at: AT.to_owned() },
        ServerFrame::Left { username: "Ben", guest: true, at: AT.to_owned() },
        ServerFrame::Ack { id: &SENT.to_string(), at: AT.to_owned(), pos: pos().to_string(), copies: 2 },
        ServerFrame::Cursor { cursor: CURSOR },
        ServerFrame::Error {
            code: ErrorCode::RateLimited,
            detail: "too many messages, try again in 1 s",
            id: Some(SENT.to_string()),
        },
        ServerFrame::Resync { cursor: CURSOR },
    ];
    let mut values: Vec<_> = frames.iter().map(|frame| value(&frame.to_json())).collect();
    values.extend(quick_message(false));
    values.extend(quick_message(true));
    values
}

fn quick_message(history: bool) -> Option<Value> {
    let name = GuestName::parse("Ben").ok()?;
    let sender = Sender::Guest { id: GuestId([1; 16]), name };
    let posted = MessagePosted::new(SENT, sender, MessageText::parse("Hello").ok()?);
    let listed = ListedMessage { listed_id: SENT, pos: pos(), shown: "Ben".to_owned(), posted };
    Some(value(&MessageObject::new(room_id(), &listed, history).to_json()))
}

fn user(id: &str, username: &str, display_name: &str) -> User {
    User {
        id: id.to_owned(),
        username: username.to_owned(),
        display_name: display_name.to_owned(),
        presence: None,
    }
}

fn message() -> Message {
    let sender = MessageSender {
        id: BEN.to_owned(),
        username: "ben".to_owned(),
        display_name: "Ben".to_owned(),
        guest: false,
        bot: false,
    };
    Message {
        id: SENT.to_string(),
        room_id: room_id().to_string(),
        sender,
        body: "Hello, @ann".to_owned(),
        at: AT.to_owned(),
        pos: pos().to_string(),
        edited_at: None,
        deleted: false,
        reply_to: Some(ANSWERED.to_string()),
        files: Vec::new(),
        reactions: BTreeMap::from([("👍".to_owned(), vec![ANN.to_owned()])]),
    }
}

fn room() -> Room {
    Room {
        id: room_id().to_string(),
        kind: RoomKind::Room,
        visibility: Visibility::Private,
        name: "Tea".to_owned(),
        topic: String::new(),
        role: Some(Role::Member),
        member_count: 2,
        unread: 1,
        mentions: 1,
        read_up_to: Some(ANSWERED.to_string()),
        last_message: Some(message()),
        peer: None,
    }
}

/// Returns the frames that the server sends only on `/api/v1/live`.
pub fn account() -> Vec<Value> {
    let (ann, ben, message, room) = (user(ANN, "ann", "Ann"), user(BEN, "ben", "Ben"), message(), room());
    let online = || UserPresence { user_id: BEN.to_owned(), state: PresenceState::Online };
    let edited = Message { body: "Hello!".to_owned(), edited_at: Some(AT.to_owned()), ..message.clone() };
    let contact = Contact { user: ben.clone(), state: ContactState::Accepted, since: AT.to_owned() };
    let room_id = || room_id().to_string();
    let frames = [
        LiveFrame::Welcome {
            user: &ann,
            node: NODE,
            cursor: CURSOR,
            heartbeat_s: 30,
            presence: vec![online()],
            public_urls: Vec::new(),
        },
        LiveFrame::Message { message: &message },
        LiveFrame::MessageUpdated { message: &edited },
        LiveFrame::MessageDeleted { room_id: room_id(), id: SENT.to_string() },
        LiveFrame::Read { room_id: room_id(), user_id: ANN.to_owned(), message_id: SENT.to_string() },
        LiveFrame::Room { room: &room, change: RoomChange::Joined },
        LiveFrame::Contact { contact: &contact },
        LiveFrame::Typing { room_id: room_id(), user: &ben },
        LiveFrame::Presence(online()),
        LiveFrame::Pong,
    ];
    frames.iter().map(|frame| value(&frame.to_json())).collect()
}

/// Returns the frames that a client sends on `/ws` as JSON.
pub fn posts() -> Vec<Value> {
    vec![json!({ "body": "Hello", "id": SENT }), json!({ "body": "Hello" })]
}

/// Returns the frames that a client sends on `/api/v1/live`.
pub fn requests() -> Vec<Value> {
    let room_id = room_id().to_string();
    vec![
        json!({ "type": "send", "id": SENT, "room_id": room_id, "body": "Hello" }),
        json!({ "type": "send", "id": SENT, "room_id": room_id, "body": "Yes", "reply_to": ANSWERED }),
        json!({ "type": "typing", "room_id": room_id }),
        json!({ "type": "read", "room_id": room_id, "message_id": SENT }),
        json!({ "type": "ping" }),
    ]
}

fn value(json: &str) -> Value {
    serde_json::from_str(json).expect("frames are JSON")
}
