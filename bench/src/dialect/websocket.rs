//! WebSockets of quick rooms and of accounts. The floor and the broadcast server speak as quick rooms do.

use std::time::Instant;

use tokio::net::TcpStream;

use super::{DialectError, Event, Participant, Post};
use crate::http::{THROTTLE_TOTAL, query_escaped};
use crate::node::NodeUrl;
use crate::ws::{self, ConnectError, frame};

/// See [`super::Dialect::next`].
pub(super) fn next(bytes: &[u8]) -> Result<Option<(Event<'_>, usize)>, DialectError> {
    let Some((found, length)) = frame::parse(bytes)? else { return Ok(None) };
    let event = match found.opcode {
        frame::TEXT => Event::Payload(found.payload),
        frame::PING => Event::Ping(found.payload),
        frame::CLOSE => {
            let (code, reason) = frame::close_reason(found.payload);
            return Err(DialectError::Closed(code, reason));
        }
        _ => Event::Other,
    };
    Ok(Some((event, length)))
}

/// Appends a message to a quick room.
pub(super) fn post_quick(post: &Post<'_>, out: &mut Vec<u8>) {
    write(out, post.mask, &[b"{\"id\":\"", post.id, b"\",\"body\":\"", post.body, b"\"}"]);
}

/// Appends a message to a room of accounts.
pub(super) fn post_live(post: &Post<'_>, out: &mut Vec<u8>) {
    let room = post.room.as_bytes();
    let begin: &[u8] = b"{\"type\":\"send\",\"id\":\"";
    write(
        out,
        post.mask,
        &[begin, post.id, b"\",\"room_id\":\"", room, b"\",\"body\":\"", post.body, b"\"}"],
    );
}

fn write(out: &mut Vec<u8>, mask: [u8; 4], parts: &[&[u8]]) {
    frame::write(out, frame::TEXT, mask, &parts.concat());
}

/// Opens the WebSocket of a quick room.
pub(super) async fn connect_quick(
    node: &NodeUrl,
    participant: &Participant,
) -> Result<(TcpStream, Vec<u8>), ConnectError> {
    let Participant { room, name, headers } = participant;
    let path = format!("/ws?roomID={}&username={}", query_escaped(room), query_escaped(name));
    patiently(node, &path, headers).await
}

/// Opens the WebSocket of an account, which the headers name.
pub(super) async fn connect_live(
    node: &NodeUrl,
    participant: &Participant,
) -> Result<(TcpStream, Vec<u8>), ConnectError> {
    patiently(node, "/api/v1/live", &participant.headers).await
}

/// Waits as long as a node that limits connections asks.
async fn patiently(node: &NodeUrl, path: &str, headers: &str) -> Result<(TcpStream, Vec<u8>), ConnectError> {
    let began = Instant::now();
    loop {
        match ws::open(node, path, headers).await {
            Err(ConnectError::Refused { retry_after: Some(pause), .. })
                if began.elapsed() + pause < THROTTLE_TOTAL =>
            {
                tokio::time::sleep(pause).await;
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn posts_are_json_in_a_masked_frame() {
        let post = Post { room: "r", id: &[b'0'; 36], body: b"text", mask: [0; 4] };
        for (write, room) in [(post_quick as fn(&Post<'_>, &mut Vec<u8>), None), (post_live, Some("r"))] {
            let mut out = Vec::new();
            write(&post, &mut out);
            let start = if out[1] & 0x7f == 126 { 8 } else { 6 };
            let json: serde_json::Value = serde_json::from_slice(&out[start..]).unwrap();
            assert_eq!((json["body"].as_str(), json["room_id"].as_str()), (Some("text"), room));
        }
    }

    #[test]
    fn frames_are_told_apart() {
        assert_eq!(next(b"\x81\x01a\x89\x00"), Ok(Some((Event::Payload(b"a"), 3))));
        assert_eq!(next(b"\x89\x01p"), Ok(Some((Event::Ping(b"p"), 3))));
        assert_eq!(next(b"\x88\x02\x03\xe9"), Err(DialectError::Closed(1001, String::new())));
        assert_eq!(next(b"\x81\x05a"), Ok(None));
    }
}
