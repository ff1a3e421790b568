//! Limits the bytes that a WebSocket receives beyond its complete messages. Endless fragments never become a message, so
//! the session would not notice the time that they cost.

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

/// The most bytes that a WebSocket may receive without completing a message: the largest message, data read ahead, and
/// some 40,000 empty fragments, which cost 10 ms.
const INCOMPLETE_BYTES_MAX: u64 = 4 * CLIENT_FRAME_BYTES_MAX as u64;
/// The largest header of a frame, in bytes.
const FRAME_HEADER_BYTES: u64 = 14;
/// Messages may arrive in fragments of this average size, in bytes; smaller ones use up [`INCOMPLETE_BYTES_MAX`].
const FRAGMENT_BYTES: u64 = 512;

/// The bytes that a connection has received, and its limit. An extension of every request.
#[derive(Clone, Debug)]
pub struct ReceiveBudget(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    received: AtomicU64,
    allowed: AtomicU64,
}

impl Default for ReceiveBudget {
    /// No limit: HTTP has its own.
    fn default() -> Self {
        Self(Arc::new(Counts { received: AtomicU64::new(0), allowed: AtomicU64::new(u64::MAX) }))
    }
}

impl ReceiveBudget {
    /// Starts to limit the connection, which is a WebSocket from now on.
    pub fn start_limit(&self) {
        let received = self.0.received.load(Ordering::Relaxed);
        self.0.allowed.store(received.saturating_add(INCOMPLETE_BYTES_MAX), Ordering::Relaxed);
    }

    /// Raises the limit by the size of a complete message of this length.
    pub fn allow_message(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let fragments = bytes / FRAGMENT_BYTES + 1;
        let more = bytes.saturating_add(fragments * FRAME_HEADER_BYTES);
        // Cannot overflow: no connection receives that much.
        self.0.allowed.fetch_add(more, Ordering::Relaxed);
    }

    /// Returns whether the connection has received too much.
    pub fn is_exceeded(&self) -> bool {
        self.0.received.load(Ordering::Relaxed) > self.0.allowed.load(Ordering::Relaxed)
    }

    /// Counts received bytes.
    pub(crate) fn receive(&self, bytes: usize) {
        self.0.received.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// A stream that counts its reads, and fails once it has received too much.
#[derive(Debug)]
pub struct Metered<S> {
    stream: S,
    receive_budget: ReceiveBudget,
}

impl<S> Metered<S> {
    /// Counts the bytes read from `stream` into `receive_budget`.
    pub fn new(stream: S, receive_budget: ReceiveBudget) -> Self {
        Self { stream, receive_budget }
    }

    /// Returns the stream, which is no longer counted.
    pub fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.receive_budget.is_exceeded() {
            return Poll::Ready(Err(io::Error::other("received too many bytes outside of messages")));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.receive_budget.receive(buffer.filled().len() - before);
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

    /// Promise: a socket has no limit as long as its bytes become messages, fragmented or not.
    #[tokio::test]
    async fn complete_messages_have_no_limit() {
        let receive_budget = ReceiveBudget::default();
        let mut stream = Metered::new(repeat(0), receive_budget.clone());
        assert!(read(&mut stream, 2_000_000).await, "HTTP has its own limits");
        receive_budget.start_limit();
        for length in [0, 125, 1_000, CLIENT_FRAME_BYTES_MAX].repeat(1_000) {
            assert!(read(&mut stream, length + length / 512 * 14 + 14).await);
            receive_budget.allow_message(length);
        }
    }

    /// Promise: fragments that never become a message soon end the connection, even after many messages.
    #[tokio::test]
    async fn endless_fragments_end_the_connection() {
        let receive_budget = ReceiveBudget::default();
        let mut stream = Metered::new(repeat(0), receive_budget.clone());
        receive_budget.start_limit();
        for _ in 0..1_000 {
            assert!(read(&mut stream, 134).await);
            receive_budget.allow_message(120);
        }
        let mut fragments = 0;
        while read(&mut stream, 6).await {
            fragments += 1;
            assert!(fragments < 100_000);
        }
        assert!(receive_budget.is_exceeded());
    }
}
