//! The socket under a session, in two halves: any thread may write complete frames to one, and the session reads the other.
//! Tests run sessions over channels.

use std::{
    io::{self, IoSlice, Read, Write},
    sync::Arc,
    task::{Context, Poll, ready},
};

use starling_protocol::limits::CLIENT_FRAME_BYTES_MAX;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{
    self, Message,
    protocol::{Role, WebSocketConfig, WebSocketContext},
};

use super::write_half::WriteHalf;
use crate::server::ReceiveBudget;

/// The read buffer of a WebSocket, in bytes. The default of 128 KiB would make idle sessions expensive.
const READ_BUFFER_BYTES: usize = 512;

/// The socket under a session.
pub trait Socket: Send {
    /// Returns the half that is written to.
    fn write_half(&self) -> Arc<dyn WriteHalf>;

    /// Reads the client's next message; `None` at the end of the connection.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<tungstenite::Result<Message>>>;

    /// Moves the replies to the client's control frames that have to be written to `wire`.
    fn take_replies(&mut self, wire: &mut Vec<u8>);
}

impl WriteHalf for TcpStream {
    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match slices {
            [slice] => Self::try_write(self, slice),
            slices => self.try_write_vectored(slices),
        }
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_write_ready(cx)
    }
}

/// The server's end of a WebSocket over TCP. It reads with tungstenite, which never gets to write: its replies are collected
/// for the session.
#[derive(Debug)]
pub struct WebSocket {
    context: WebSocketContext,
    stream: Stream,
}

/// The stream that tungstenite reads from and writes to.
#[derive(Debug)]
struct Stream {
    tcp: Arc<TcpStream>,
    receive_budget: ReceiveBudget,
    replies: Vec<u8>,
}

impl WebSocket {
    /// Takes over a connection after the handshake. `read_ahead` are bytes that were received with it.
    pub fn new(tcp: TcpStream, read_ahead: &[u8], receive_budget: ReceiveBudget) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(CLIENT_FRAME_BYTES_MAX))
            .max_frame_size(Some(CLIENT_FRAME_BYTES_MAX));
        let context = WebSocketContext::from_partially_read(read_ahead.to_vec(), Role::Server, Some(config));
        Self { context, stream: Stream { tcp: Arc::new(tcp), receive_budget, replies: Vec::new() } }
    }
}

/// Sessions hold their socket in a box: a future has a copy of each value that was moved into it on the way.
impl<S: Socket> Socket for Box<S> {
    fn write_half(&self) -> Arc<dyn WriteHalf> {
        S::write_half(self)
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<tungstenite::Result<Message>>> {
        S::poll_next(self, cx)
    }

    fn take_replies(&mut self, wire: &mut Vec<u8>) {
        S::take_replies(self, wire);
    }
}

impl Socket for WebSocket {
    fn write_half(&self) -> Arc<dyn WriteHalf> {
        self.stream.tcp.clone()
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<tungstenite::Result<Message>>> {
        loop {
            return Poll::Ready(match self.context.read(&mut self.stream) {
                Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    match ready!(self.stream.tcp.poll_read_ready(cx)) {
                        Ok(()) => continue,
                        Err(error) => Some(Err(error.into())),
                    }
                }
                Err(tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed) => None,
                read => Some(read),
            });
        }
    }

    fn take_replies(&mut self, wire: &mut Vec<u8>) {
        // It fails once the client has closed the WebSocket, but writes the reply to that first.
        let _ = self.context.flush(&mut self.stream);
        wire.append(&mut self.stream.replies);
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.receive_budget.is_exceeded() {
            return Err(io::Error::other("received too many bytes outside of messages"));
        }
        let read = self.tcp.try_read(buffer)?;
        self.receive_budget.receive(read);
        Ok(read)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.replies.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
