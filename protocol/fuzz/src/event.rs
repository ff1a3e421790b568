//! Fuzzes events, as peers send them and as the log holds them.

use bytes::Bytes;
use serde_json::Value;
use starling_protocol::{
    Event, EventBody, EventDraft, Pos,
    frame::client::{ListedMessage, MessageObject},
    limits::{EVENT_BYTES_MAX, MESSAGE_CHARS_MAX, ROOM_NAME_CHARS_MAX},
};

use crate::text::assert_chars;

pub fn run(bytes: &[u8]) {
    let received = Bytes::copy_from_slice(bytes);
    let Ok(event) = Event::decode(received.clone()) else { return };
    assert!(bytes.len() <= EVENT_BYTES_MAX, "decoded beyond the limit");
    assert_eq!(event.encoded(), &received, "the received bytes are kept");
    let draft = EventDraft { scope: event.scope.clone(), body: event.body.clone(), above_hlc: None };
    let ours = Event::new(event.origin, event.seq, event.hlc, draft);
    assert!(ours.encoded().len() <= bytes.len(), "our own encoding is the shortest");
    let again = Event::decode(ours.encoded().clone()).expect("our own encoding decodes");
    assert_eq!((again.pos(), &again.scope, &again.body), (event.pos(), &event.scope, &event.body));
    assert_eq!(Pos::parse(&event.pos().to_string()), Ok(event.pos()));
    let stub = Event::decode(event.erased().encoded().clone()).expect("a stub decodes");
    assert_eq!((stub.pos(), &stub.scope), (event.pos(), &event.scope));
    assert_eq!(stub.erased().encoded(), stub.encoded(), "erasing a stub changes nothing");
    // Those of mentioned users it no longer touches.
    assert!(stub.body.other_scopes().is_subset(&event.body.other_scopes()), "a stub touches no other scopes");
    match event.body {
        EventBody::QuickRoomCreated(created) => {
            if let Some(name) = created.name {
                assert_chars(name.as_str(), ROOM_NAME_CHARS_MAX);
            }
        }
        EventBody::MessagePosted(posted) => {
            // An erased message has none.
            if let Some(text) = &posted.text {
                assert_chars(text.as_str(), MESSAGE_CHARS_MAX);
            }
            let Some(room) = event.scope.as_room() else { return };
            let message =
                ListedMessage { listed_id: posted.id, pos: again.pos(), shown: String::new(), posted };
            let frame = MessageObject::new(room, &message, false).to_json();
            let shown: Value = serde_json::from_str(&frame).expect("a frame is JSON");
            assert_eq!(shown["body"], message.posted.body());
        }
        _ => {}
    }
}
