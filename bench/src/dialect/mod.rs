//! The protocols of the servers that are compared: how a client connects, posts, and finds frames in what it reads.
//! Pure but for `connect`; `measure` does the reading and writing, with the same loop for all of them.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::ids::ID_BYTES;
use crate::node::NodeUrl;
use crate::ws::{ConnectError, frame};

mod mqtt;
mod nats;
mod websocket;

/// The protocol of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// The WebSocket of a quick room: `/ws`.
    Quick,
    /// The WebSocket of an account: `/api/v1/live`.
    Live,
    /// NATS, core only.
    Nats,
    /// MQTT 3.1.1 with `QoS` 0.
    Mqtt,
}

/// A frame from a server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    /// A message, or anything else that the server says in a frame of text.
    Payload(&'a [u8]),
    /// A ping; the answer is [`Dialect::pong`] with this payload.
    Ping(&'a [u8]),
    /// A frame that needs no answer.
    Other,
}

/// A violation of a protocol, or the end of a connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DialectError {
    /// The server broke the WebSocket protocol.
    #[error("{0}")]
    WebSocket(#[from] frame::FrameError),
    /// The server closed the WebSocket.
    #[error("closed with {0} {1}")]
    Closed(u16, String),
    /// The server broke the protocol, or reports an error.
    #[error("unexpected: {0}")]
    Unexpected(String),
}

/// A message to post.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Post<'a> {
    /// The room, subject or topic.
    pub(crate) room: &'a str,
    /// The id. NATS and MQTT have none.
    pub(crate) id: &'a [u8; ID_BYTES],
    /// The body: ASCII, without quotes.
    pub(crate) body: &'a [u8],
    /// The mask of a WebSocket's frame.
    pub(crate) mask: [u8; 4],
}

/// A connection that takes part in a room.
#[derive(Debug, Clone)]
pub(crate) struct Participant {
    /// The room, subject or topic.
    pub(crate) room: String,
    /// The name, different for each connection.
    pub(crate) name: String,
    /// More lines of the WebSocket's request, each with its end.
    pub(crate) headers: String,
}

impl Dialect {
    /// The first frame in `bytes` and its length; `None` until it is whole.
    pub(crate) fn next(self, bytes: &[u8]) -> Result<Option<(Event<'_>, usize)>, DialectError> {
        match self {
            Self::Quick | Self::Live => websocket::next(bytes),
            Self::Nats => nats::next(bytes),
            Self::Mqtt => mqtt::next(bytes),
        }
    }

    /// Appends a frame that posts a message.
    pub(crate) fn post(self, post: &Post<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Quick => websocket::post_quick(post, out),
            Self::Live => websocket::post_live(post, out),
            Self::Nats => nats::post(post, out),
            Self::Mqtt => mqtt::post(post, out),
        }
    }

    /// Appends the answer to a ping.
    pub(crate) fn pong(self, payload: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Quick | Self::Live => frame::write(out, frame::PONG, [0; 4], payload),
            Self::Nats => out.extend_from_slice(b"PONG\r\n"),
            // Without a keep-alive a server sends none.
            Self::Mqtt => {}
        }
    }

    /// Connects and enters the room. Returns what the server sent beyond its answer, too.
    ///
    /// Cancellation safety: dropping the future closes the connection.
    pub(crate) async fn connect(
        self,
        node: &NodeUrl,
        participant: &Participant,
    ) -> Result<(TcpStream, Vec<u8>), ConnectError> {
        match self {
            Self::Quick => websocket::connect_quick(node, participant).await,
            Self::Live => websocket::connect_live(node, participant).await,
            Self::Nats => subscribe(node, &nats::hello(participant), nats::is_subscribed).await,
            Self::Mqtt => subscribe(node, &mqtt::hello(participant), mqtt::is_subscribed).await,
        }
    }
}

/// Sends `hello` and reads until `is_done` finds the length of the server's answer.
async fn subscribe(
    node: &NodeUrl,
    hello: &[u8],
    is_done: impl Fn(&[u8]) -> Result<Option<usize>, DialectError>,
) -> Result<(TcpStream, Vec<u8>), ConnectError> {
    let answer = async {
        let mut stream = TcpStream::connect(&node.authority).await?;
        stream.set_nodelay(true)?;
        stream.write_all(hello).await?;
        let mut bytes = Vec::new();
        loop {
            if stream.read_buf(&mut bytes).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            if let Some(end) = is_done(&bytes).map_err(|_| ConnectError::Malformed)? {
                return Ok((stream, bytes.split_off(end)));
            }
        }
    };
    tokio::time::timeout(crate::http::REQUEST_TIMEOUT, answer).await.map_err(|_| ConnectError::Timeout)?
}
