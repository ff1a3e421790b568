//! What the AsyncAPI document says in sentences.

use serde_json::{Value, json};
use starling_protocol::limits::CLIENT_FRAME_BYTES_MAX;

use crate::session::{PING_AFTER, close::Closing};

pub fn introduction() -> String {
    format!(
        "\
The frames of the two WebSockets of Starling, a self-hosted chat server. Every node answers alike. The operations over HTTP \
are in the OpenAPI document, `/api/openapi.json`.

The server's side is described: what it `send`s you receive, what it `receive`s you send.

**Frames.** A frame is a text message. The server sends JSON objects with a `type`. Ignore a `type` and a field that you \
don't know: later versions add some. A frame of yours has at most {} KiB.

**Resume.** Keep the last `cursor` that you received, from `welcome`, `cursor` or `resync`. After a disconnect, connect \
to any node with `?cursor=` and `?after=`, the greatest `pos` that you have shown or that was acked. The server sends what \
you missed, then a `cursor` frame, then goes on live. It may send something twice: replace by id. Send every post that was \
not acked again with the same id: it is posted once.

**Resync.** A `resync` says that the server could not continue from your cursor, because it is too old or from another service: drop what you \
show and load it again: with the list operations of the OpenAPI document, or, in a quick room, from the messages that \
follow.

**Acks.** An `ack` says that a post is on disk, and on how many nodes. Your own message comes to you as a `message` too, \
before or after its `ack`. A refused frame is answered with an `error` that carries its `id`.

**Keep-alive.** The server sends a WebSocket ping after {} s without a frame from you, and gives you up after as long again \
without an answer. Most libraries answer pings by themselves.

**Errors before the socket.** The server answers a request that it refuses with an ordinary HTTP status and a problem \
object, as the OpenAPI document says of the address.",
        CLIENT_FRAME_BYTES_MAX / 1024,
        PING_AFTER.as_secs(),
    )
}

pub fn quick() -> String {
    format!(
        "\
The WebSocket of one quick room. Give your name in `username`, or leave it out and authenticate to appear under the name \
of your account.

`welcome` comes first, then up to 50 earlier messages, oldest first, with `\"history\": true`, then a `cursor`, then what \
happens live. With a cursor of this room, what you missed comes instead of the history.

{}",
        close_list()
    )
}

pub fn account() -> String {
    format!(
        "\
The WebSocket of your account: all your rooms, contacts and their presence. Authenticate with \
`Authorization: Bearer TOKEN`, or with the subprotocols `starling.v1, bearer.TOKEN` where you can't set a header. The socket \
lives as long as your session, even when the access token that opened it expires.

`welcome` comes first, then a `cursor`, then what happens live. Without a cursor no earlier messages come: load them with \
`GET /api/v1/rooms` and `GET /api/v1/rooms/{{id}}/messages`, after the `cursor` frame, so that nothing falls in between. A \
resume sends everything that you missed, each thing as it is now.

{}",
        close_list()
    )
}

fn close_list() -> String {
    let lines: Vec<_> =
        Closing::ALL.iter().map(|closing| format!("- {}: {}", closing.code(), closing.meaning())).collect();
    format!("**Close codes.**\n\n{}", lines.join("\n"))
}

/// The close codes, for programs.
pub fn close_codes() -> Value {
    Closing::ALL
        .iter()
        .map(|closing| json!({ "code": closing.code(), "meaning": closing.meaning() }))
        .collect()
}
