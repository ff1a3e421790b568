//! Fuzzes text frames from clients, of `/ws` and of the live socket.

use serde_json::{Value, json};
use starling_protocol::{
    frame::{
        client::{ServerFrame, parse_post},
        live::{self, LiveRequest},
    },
    limits::MESSAGE_CHARS_MAX,
};

use crate::text::assert_chars;

pub fn run(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    match live::parse(text) {
        Ok(LiveRequest::Send { text, .. }) => assert_chars(text.as_str(), MESSAGE_CHARS_MAX),
        Ok(_) => {}
        Err(error) => assert!(!error.detail.is_empty()),
    }
    let object = serde_json::from_str::<Value>(text).ok().filter(Value::is_object);
    match parse_post(text) {
        Ok(post) => {
            assert_chars(post.text.as_str(), MESSAGE_CHARS_MAX);
            if let Some(object) = object {
                assert_eq!(
                    object["body"],
                    post.text.as_str(),
                    "the body of an object is posted, nothing else"
                );
            }
            let again =
                json!({ "id": post.id.as_ref().map(|id| &id.text), "body": post.text.as_str() }).to_string();
            assert_eq!(parse_post(&again), Ok(post));
        }
        Err(error) => {
            let detail = error.to_string();
            let refusal = ServerFrame::Error { code: error.code(), detail: &detail, id: error.id() };
            let shown: Value = serde_json::from_str(&refusal.to_json()).expect("a frame is JSON");
            assert_eq!(shown["detail"], detail.as_str());
        }
    }
}
