//! The session's end of the socket: reads the client's messages, buffers and flushes frames, and closes it. Ends the session
//! of a client that doesn't read.

use std::{pin::Pin, time::Duration};

use axum::extract::ws::{CloseCode, CloseFrame, Message, Utf8Bytes};
use futures_util::{SinkExt, StreamExt};
use tokio::time::timeout;

use super::{end::End, socket::Socket};

/// A connection is dropped when the client reads nothing for this long.
const STALLED_MAX: Duration = Duration::from_secs(30);
/// The time limit for the closing handshake.
const CLOSE_MAX: Duration = Duration::from_secs(3);
/// The most frames that are read after a close frame: a flooder doesn't stop because of it.
const CLOSE_FRAMES_MAX: usize = 100;
/// Frames are flushed after this many bytes, which keeps the write buffer of a fast session small.
pub const FLUSH_BYTES: usize = 64 * 1024;

/// The session's end of the socket.
pub struct Connection<S> {
    socket: S,
    fed_bytes: usize,
}

impl<S: Socket> Connection<S> {
    pub fn new(socket: S) -> Self {
        Self { socket, fed_bytes: 0 }
    }

    /// Buffers a frame, and flushes if enough has gathered.
    pub async fn feed(&mut self, text: impl Into<Utf8Bytes>) -> Result<(), End> {
        let text = text.into();
        self.fed_bytes += text.len();
        let fed = timeout(STALLED_MAX, self.socket.feed(Message::Text(text))).await;
        fed.map_err(|_| End::Gone)?.map_err(|_| End::Gone)?;
        if self.fed_bytes >= FLUSH_BYTES { self.flush().await } else { Ok(()) }
    }

    /// Writes the buffered frames.
    pub async fn flush(&mut self) -> Result<(), End> {
        self.fed_bytes = 0;
        timeout(STALLED_MAX, self.socket.flush()).await.map_err(|_| End::Gone)?.map_err(|_| End::Gone)
    }

    /// Sends a ping, which the client's WebSocket library answers.
    pub async fn ping(&mut self) -> Result<(), End> {
        let ping = Message::Ping(bytes::Bytes::new());
        timeout(STALLED_MAX, self.socket.send(ping)).await.map_err(|_| End::Gone)?.map_err(|_| End::Gone)
    }

    /// Returns the next message from the client.
    ///
    /// Cancellation safety: no message is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Result<Message, axum::Error>> {
        Pin::new(&mut self.socket).next().await
    }

    /// Answers the client's close frame: the WebSocket has queued the answer itself, and writes it with this flush.
    pub async fn answer_close(mut self) {
        let _ = timeout(CLOSE_MAX, self.socket.flush()).await;
    }

    /// Sends a close frame and waits briefly for the client's, so that a reset of the connection doesn't lose the
    /// reason.
    pub async fn close(mut self, code: CloseCode, reason: &'static str) {
        let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
        let goodbye = async {
            if self.socket.send(Message::Close(Some(frame))).await.is_ok() {
                let mut frames = 0;
                while frames < CLOSE_FRAMES_MAX && matches!(self.socket.next().await, Some(Ok(_))) {
                    frames += 1;
                }
            }
        };
        let _ = timeout(CLOSE_MAX, goodbye).await;
    }
}
