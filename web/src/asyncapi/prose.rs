//! The prose of the AsyncAPI document.

use serde_json::{Value, json};
use starling_protocol::limits::CLIENT_FRAME_BYTES_MAX;

use crate::session::{PING_AFTER, close::CloseReason};

/// Returns the description of the whole document.
pub fn introduction() -> String {
    format!(
        "\
The frames of the two WebSockets of Starling, a self-hosted chat server. You can use any node: all of them serve the \
same accounts, rooms and messages. The OpenAPI document, `/api/openapi.json`, describes the operations over HTTP.

The document describes the server's side: you receive the frames that it `send`s, and send the frames that it `receive`s.

**Frames.** A frame is a text message. The server sends JSON objects with a `type`. Ignore a `type` or a field that you \
don't know: later versions may add some. Your frames may have at most {} KiB.

**Resume.** Keep the last `cursor` that you received, from `welcome`, `cursor` or `resync`. After a disconnect, connect \
to any node with `?cursor=` and `?after=`, the greatest `pos` that you have shown or that was acked. The server sends what \
you missed, then a `cursor` frame, then live frames. It may send something twice: if you already have something with \
that id, replace it. Send every post that you got no `ack` for again, with the same id: it is posted once.

**Resync.** A `resync` says that the server could not continue from your cursor, because it is too old or from another \
service. Discard what you show and load it again: with the list operations of the OpenAPI document, or, in a quick room, from \
the messages that follow.

**Acks.** An `ack` says that a post is on disk, and on how many nodes. You also receive your own message as a \
`message`, before or after its `ack`. If a frame is refused, you receive an `error` with its `id`.

**Keep-alive.** The server sends a WebSocket ping after {} s without a frame from you, and closes the connection if you \
send nothing for as long again. Most libraries answer pings by themselves.

**Errors before the socket.** If the server refuses the upgrade, it responds with an ordinary HTTP status and a problem \
object, as the OpenAPI document describes for that address.",
        CLIENT_FRAME_BYTES_MAX / 1024,
        PING_AFTER.as_secs(),
    )
}

/// Returns the description of `/ws`.
pub fn quick() -> String {
    format!(
        "\
The WebSocket of one quick room. Give your name in `username`, or leave it out and authenticate to appear under the name \
of your account.

`welcome` comes first, then up to 50 earlier messages, oldest first, with `\"history\": true`, then a `cursor`, then live \
frames. If you connect with a cursor of this room, you get the messages that you missed instead of the earlier ones.

{}",
        close_list()
    )
}

/// Returns the description of `/api/v1/live`.
pub fn account() -> String {
    format!(
        "\
The WebSocket of your account: all your rooms, contacts and their presence. Authenticate with \
`Authorization: Bearer TOKEN`, or with the subprotocols `starling.v1, bearer.TOKEN` where you can't set a header. The socket \
lives as long as your session, even when the access token that opened it expires.

`welcome` comes first, then a `cursor`, then live frames. If you connect without a cursor, you get no earlier messages: load \
them with `GET /api/v1/rooms` and `GET /api/v1/rooms/{{id}}/messages`, after the `cursor` frame, so that you miss nothing in \
between. A resume sends everything that you missed, in its current state.

{}",
        close_list()
    )
}

fn close_list() -> String {
    let lines: Vec<_> = CloseReason::ALL
        .iter()
        .map(|closing| format!("- {}: {}", closing.code(), closing.meaning()))
        .collect();
    format!("**Close codes.**\n\n{}", lines.join("\n"))
}

/// Returns the close codes as JSON.
pub fn close_codes() -> Value {
    CloseReason::ALL
        .iter()
        .map(|closing| json!({ "code": closing.code(), "meaning": closing.meaning() }))
        .collect()
}
