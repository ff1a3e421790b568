//! How much a connection receives. A WebSocket may receive only so much more than what its session has been given as
//! messages: fragments without end never become one, and would cost the node time that no session sees.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use starling_protocol::limits::CLIENT_FRAME_BYTES_MAX;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes beyond those of its messages that a WebSocket may receive: the largest message while it arrives, what was read
/// ahead of it, and some 40,000 fragments without content, which cost 10 ms.
const UNSEEN_BYTES_MAX: u64 = 4 * CLIENT_FRAME_BYTES_MAX as u64;
/// Bytes of the largest header of a frame.
const FRAME_HEADER_BYTES: u64 = 14;
/// A message may come in fragments of this many bytes on average; then it does not use up what may be unseen.
const FRAGMENT_BYTES: u64 = 512;

/// The bytes that a connection has received, and how many it may. Every request carries it.
#[derive(Clone, Debug)]
pub struct Intake(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    received: AtomicU64,
    allowed: AtomicU64,
}

impl Default for Intake {
    /// Without a limit: HTTP has its own.
    fn default() -> Self {
        Self(Arc::new(Counts { received: AtomicU64::new(0), allowed: AtomicU64::new(u64::MAX) }))
    }
}

impl Intake {
    /// Limits what the connection may receive from now on: it is a WebSocket's.
    pub fn begin(&self) {
        let received = self.0.received.load(Ordering::Relaxed);
        self.0.allowed.store(received.saturating_add(UNSEEN_BYTES_MAX), Ordering::Relaxed);
    }

    /// Allows as much more as a message of this length takes, which the session has been given.
    pub fn saw(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let fragments = bytes / FRAGMENT_BYTES + 1;
        let more = bytes.saturating_add(fragments * FRAME_HEADER_BYTES);
        // Stays far below its end: nobody receives so much.
        self.0.allowed.fetch_add(more, Ordering::Relaxed);
    }

    /// Whether it has received more than it may.
    pub fn is_exceeded(&self) -> bool {
        self.0.received.load(Ordering::Relaxed) > self.0.allowed.load(Ordering::Relaxed)
    }

    fn receive(&self, bytes: usize) {
        self.0.received.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// A stream whose reads are counted, and fail once it has received more than it may.
#[derive(Debug)]
pub struct Metered<S> {
    stream: S,
    intake: Intake,
}

impl<S> Metered<S> {
    /// Counts what `stream` receives into `intake`.
    pub fn new(stream: S, intake: Intake) -> Self {
        Self { stream, intake }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.intake.is_exceeded() {
            return Poll::Ready(Err(io::Error::other("received more than belongs to messages")));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.intake.receive(buffer.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, repeat};

    use super::*;

    async fn read(stream: &mut Metered<tokio::io::Repeat>, bytes: usize) -> bool {
        stream.read_exact(&mut vec![0; bytes]).await.is_ok()
    }

    /// A socket may go on for ever as long as what it receives becomes messages, fragmented or not.
    #[tokio::test]
    async fn messages_may_come_without_end() {
        let intake = Intake::default();
        let mut stream = Metered::new(repeat(0), intake.clone());
        assert!(read(&mut stream, 2_000_000).await, "HTTP has its own limits");
        intake.begin();
        for length in [0, 125, 1_000, CLIENT_FRAME_BYTES_MAX].repeat(1_000) {
            assert!(read(&mut stream, length + length / 512 * 14 + 14).await);
            intake.saw(length);
        }
    }

    /// Fragments that never become a message end the connection soon, whatever was said before.
    #[tokio::test]
    async fn what_becomes_no_message_ends_the_connection() {
        let intake = Intake::default();
        let mut stream = Metered::new(repeat(0), intake.clone());
        intake.begin();
        for _ in 0..1_000 {
            assert!(read(&mut stream, 134).await);
            intake.saw(120);
        }
        let mut fragments = 0;
        while read(&mut stream, 6).await {
            fragments += 1;
            assert!(fragments < 100_000);
        }
        assert!(intake.is_exceeded());
    }
}
