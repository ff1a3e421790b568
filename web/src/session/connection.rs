//! The session's end of the socket: reads the client's messages, gathers frames and writes them, and closes it. Ends the
//! session of a client that doesn't read.

use std::{
    future::poll_fn,
    io::{self, IoSlice},
    sync::Arc,
    time::Duration,
};

use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{self, Message};

use super::{end::End, socket::Socket, write_half::WriteHalf};
use crate::lane::{Frame, wire};

/// A connection is dropped when the client reads nothing for this long.
const STALLED_MAX: Duration = Duration::from_secs(30);
/// The time limit for the closing handshake.
const CLOSE_MAX: Duration = Duration::from_secs(3);
/// The most frames that are read after a close frame: a flooder doesn't stop because of it.
const CLOSE_FRAMES_MAX: usize = 100;
/// Frames are written after this many bytes, which keeps the buffer of a session small, and the frames few that a slow one gets
/// twice.
const FLUSH_BYTES: usize = 16 * 1024;

/// The session's end of the socket.
pub struct Connection<S> {
    socket: S,
    write_half: Arc<dyn WriteHalf>,
    /// The bytes to write next. It holds no memory while there are none.
    unsent: Vec<u8>,
}

impl<S: Socket> Connection<S> {
    pub fn new(socket: S) -> Self {
        let write_half = socket.write_half();
        Self { socket, write_half, unsent: Vec::new() }
    }

    /// Adds a text frame, and writes if enough has gathered.
    pub async fn feed(&mut self, text: impl AsRef<str>) -> Result<(), End> {
        wire::append_text(&mut self.unsent, text.as_ref());
        self.flush_if_large().await
    }

    /// Adds a frame of a lane, and writes if enough has gathered.
    pub async fn feed_frame(&mut self, frame: &Frame) -> Result<(), End> {
        self.unsent.extend_from_slice(&frame.wire);
        self.flush_if_large().await
    }

    async fn flush_if_large(&mut self) -> Result<(), End> {
        if self.unsent.len() >= FLUSH_BYTES { self.flush().await } else { Ok(()) }
    }

    /// Returns whether there are bytes to write.
    pub fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Writes all that has gathered.
    pub async fn flush(&mut self) -> Result<(), End> {
        let mut written = 0;
        while written < self.unsent.len() {
            match self.write_half.try_write(&[IoSlice::new(&self.unsent[written..])]) {
                Ok(0) => return Err(End::Gone),
                Ok(bytes) => written += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let writable = timeout(STALLED_MAX, poll_fn(|cx| self.write_half.poll_writable(cx)));
                    writable.await.map_err(|_| End::Gone)?.map_err(|_| End::Gone)?;
                }
                Err(_) => return Err(End::Gone),
            }
        }
        self.unsent = Vec::new();
        Ok(())
    }

    /// Returns the half that is written to, for the group.
    pub fn write_half(&self) -> Arc<dyn WriteHalf> {
        Arc::clone(&self.write_half)
    }

    /// Writes the rest of a frame before everything else: the group has written its first part.
    pub fn continue_frame(&mut self, mut rest: Vec<u8>) {
        rest.append(&mut self.unsent);
        self.unsent = rest;
    }

    /// Adds a ping, which the client's WebSocket library answers.
    pub fn ping(&mut self) {
        self.unsent.extend_from_slice(&wire::PING);
    }

    /// Returns the next message from the client. Adds the reply to a ping.
    ///
    /// Cancellation safety: no message is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<tungstenite::Result<Message>> {
        let message = poll_fn(|cx| self.socket.poll_next(cx)).await;
        if matches!(message, Some(Ok(Message::Ping(_)))) {
            self.socket.take_replies(&mut self.unsent);
        }
        message
    }

    /// Answers the client's close frame.
    pub async fn answer_close(mut self) {
        self.socket.take_replies(&mut self.unsent);
        let _ = timeout(CLOSE_MAX, self.flush()).await;
    }

    /// Sends a close frame and waits briefly for the client's, so that a reset of the connection doesn't lose the
    /// reason.
    pub async fn close(mut self, code: u16, reason: &'static str) {
        wire::append_close(&mut self.unsent, code, reason);
        let goodbye = async {
            if self.flush().await.is_ok() {
                let mut frames = 0;
                while frames < CLOSE_FRAMES_MAX
                    && matches!(poll_fn(|cx| self.socket.poll_next(cx)).await, Some(Ok(_)))
                {
                    frames += 1;
                }
            }
        };
        let _ = timeout(CLOSE_MAX, goodbye).await;
    }
}
