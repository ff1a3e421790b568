//! A socket in memory, which accepts only as many frames, or bytes, as a test allows.

use std::{
    io::{self, IoSlice},
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use serde_json::Value;
use tokio::{sync::mpsc, time::timeout};
use tokio_tungstenite::tungstenite::{
    self, Message,
    protocol::{Role, WebSocket},
};

use crate::session::{socket::Socket, write_half::WriteHalf};

/// The time limit for the next frame. Frames usually come at once, or within some 200 ms.
const PATIENCE: Duration = Duration::from_secs(20);

/// The server's end of a socket in memory.
pub struct Wire {
    pipe: Arc<Pipe>,
    incoming: mpsc::UnboundedReceiver<Message>,
}

/// The direction from the server to the client.
#[derive(Debug, Default)]
pub struct Pipe(Mutex<Flow>);

#[derive(Debug)]
struct Flow {
    /// The number of frames that the socket still accepts.
    frames: usize,
    /// The most bytes that it accepts at once.
    bytes_at_once: usize,
    /// The bytes that it has accepted and the client has not read.
    bytes: Vec<u8>,
    /// The bytes of the last frame that are missing.
    missing: usize,
    writes: usize,
    writer: Option<Waker>,
    reader: Option<Waker>,
    is_closed: bool,
}

impl Default for Flow {
    fn default() -> Self {
        Self {
            frames: usize::MAX,
            bytes_at_once: usize::MAX,
            bytes: Vec::new(),
            missing: 0,
            writes: 0,
            writer: None,
            reader: None,
            is_closed: false,
        }
    }
}

impl Flow {
    /// Returns how many of the bytes, which start where the last ones ended, the socket accepts.
    fn accept(&mut self, bytes: &[u8]) -> usize {
        let (offered, mut accepted) = (bytes.len().min(self.bytes_at_once), 0);
        while accepted < offered {
            if self.missing == 0 {
                if self.frames == 0 {
                    break;
                }
                self.frames -= 1;
                self.missing = frame_length(&bytes[accepted..]);
            }
            let part = self.missing.min(offered - accepted);
            self.missing -= part;
            accepted += part;
        }
        accepted
    }
}

/// Returns the length of a frame, of which at least the header is there.
fn frame_length(wire: &[u8]) -> usize {
    match wire[1] {
        126 => 4 + usize::from(u16::from_be_bytes([wire[2], wire[3]])),
        127 => 10 + usize::try_from(u64::from_be_bytes(wire[2..10].try_into().unwrap())).unwrap(),
        length => 2 + usize::from(length),
    }
}

impl WriteHalf for Pipe {
    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut flow = self.0.lock().unwrap();
        let all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        let accepted = flow.accept(&all);
        if accepted == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        flow.writes += 1;
        flow.bytes.extend_from_slice(&all[..accepted]);
        if let Some(reader) = flow.reader.take() {
            reader.wake();
        }
        Ok(accepted)
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut flow = self.0.lock().unwrap();
        if flow.frames > 0 || flow.missing > 0 {
            return Poll::Ready(Ok(()));
        }
        flow.writer = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Socket for Wire {
    fn write_half(&self) -> Arc<dyn WriteHalf> {
        self.pipe.clone()
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<tungstenite::Result<Message>>> {
        self.incoming.poll_recv(cx).map(|message| message.map(Ok))
    }

    fn take_replies(&mut self, _: &mut Vec<u8>) {}
}

impl Drop for Wire {
    fn drop(&mut self) {
        let mut flow = self.pipe.0.lock().unwrap();
        flow.is_closed = true;
        if let Some(reader) = flow.reader.take() {
            reader.wake();
        }
    }
}

/// The client's end of a socket in memory.
pub struct Line {
    pub to_server: mpsc::UnboundedSender<Message>,
    from_server: WebSocket<ClientEnd>,
}

/// Reads the bytes from the server.
struct ClientEnd(Arc<Pipe>);

impl io::Read for ClientEnd {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut flow = self.0.0.lock().unwrap();
        let length = buffer.len().min(flow.bytes.len());
        if length == 0 && !flow.is_closed {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        buffer[..length].copy_from_slice(&flow.bytes[..length]);
        flow.bytes.drain(..length);
        Ok(length)
    }
}

impl io::Write for ClientEnd {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Line {
    pub fn new() -> (Self, Wire) {
        let (to_server, incoming) = mpsc::unbounded_channel();
        let pipe = Arc::new(Pipe::default());
        let wire = Wire { pipe: Arc::clone(&pipe), incoming };
        let from_server = WebSocket::from_raw_socket(ClientEnd(pipe), Role::Client, None);
        (Self { to_server, from_server }, wire)
    }

    fn change(&self, change: impl FnOnce(&mut Flow)) {
        let mut flow = self.from_server.get_ref().0.0.lock().unwrap();
        change(&mut flow);
        if let Some(writer) = flow.writer.take() {
            writer.wake();
        }
    }

    /// Lets the socket accept this many frames from now on.
    pub fn allow_frames(&self, frames: usize) {
        self.change(|flow| flow.frames = frames);
    }

    /// Lets the socket accept at most this many bytes at once.
    pub fn limit_bytes_at_once(&self, bytes: usize) {
        self.change(|flow| flow.bytes_at_once = bytes);
    }

    /// Returns the number of successful writes since the last call.
    pub fn take_writes(&self) -> usize {
        std::mem::take(&mut self.from_server.get_ref().0.0.lock().unwrap().writes)
    }

    /// Returns the next frame as JSON, or the code with which the socket was closed.
    pub async fn next(&mut self) -> Result<Value, u16> {
        let message = std::future::poll_fn(|cx| match self.from_server.read() {
            Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                let mut flow = self.from_server.get_ref().0.0.lock().unwrap();
                if flow.bytes.is_empty() && !flow.is_closed {
                    flow.reader = Some(cx.waker().clone());
                } else {
                    cx.waker().wake_by_ref();
                }
                Poll::Pending
            }
            message => Poll::Ready(message),
        });
        match timeout(PATIENCE, message).await.expect("a frame comes") {
            Ok(Message::Text(text)) => Ok(serde_json::from_str(&text).unwrap()),
            Ok(Message::Close(Some(close))) => Err(close.code.into()),
            other => panic!("{other:?}"),
        }
    }
}
