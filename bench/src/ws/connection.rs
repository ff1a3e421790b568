//! The reading side of a WebSocket: takes what the kernel has in one read and hands out the frames in place.
//! All connections share one read buffer; each keeps only the beginning of a frame that is not whole yet.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::tcp::OwnedReadHalf;

use super::frame::{self, Frame, FrameError};

/// Room for the largest frame that is read, and one read beside it.
const SCRATCH_BYTES: usize = 512 * 1024;
/// One read takes at most this much: fits a core's cache, and no reader runs far ahead of the others.
const READ_BYTES: usize = 64 * 1024;

/// The read buffer that all connections of a thread share.
pub(crate) struct Scratch(Box<[u8]>);

impl Scratch {
    /// An empty buffer.
    pub(crate) fn new() -> Self {
        Self(vec![0; SCRATCH_BYTES].into_boxed_slice())
    }
}

/// The end of a connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    /// The connection broke.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It was closed without a close frame.
    #[error("closed without a close frame")]
    Eof,
    /// The node closed it and said why.
    #[error("closed with {0} {1}")]
    Closed(u16, String),
    /// The node broke the protocol.
    #[error("protocol error: {0}")]
    Protocol(#[from] FrameError),
    /// A frame that does not fit the read buffer.
    #[error("a frame of more than 448 KiB")]
    TooLarge,
}

/// The reading side of one connection.
pub(crate) struct Reader {
    half: OwnedReadHalf,
    /// The beginning of a frame, until the rest of it arrives.
    held: Vec<u8>,
    /// `held` came with the handshake and was not looked at yet.
    unseen: bool,
}

impl Reader {
    /// Reads on where the handshake ended; `rest` is what came with it.
    pub(crate) fn new(half: OwnedReadHalf, rest: Vec<u8>) -> Self {
        Self { half, unseen: !rest.is_empty(), held: rest }
    }

    /// Hands all frames that one read brings to `take`. A close frame ends the connection.
    /// True when the read was full, so that there is probably more: then others should have their turn first.
    pub(crate) fn poll_frames(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut Scratch,
        mut take: impl FnMut(&Frame<'_>),
    ) -> Poll<Result<bool, Ended>> {
        let scratch = &mut scratch.0;
        let held = self.held.len();
        if held + READ_BYTES > scratch.len() {
            return Poll::Ready(Err(Ended::TooLarge));
        }
        let mut buffer = ReadBuf::new(&mut scratch[held..held + READ_BYTES]);
        if !std::mem::take(&mut self.unseen) {
            ready!(Pin::new(&mut self.half).poll_read(cx, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Err(Ended::Eof));
            }
        }
        let full = buffer.remaining() == 0;
        let filled = held + buffer.filled().len();
        scratch[..held].copy_from_slice(&self.held);

        let mut start = 0;
        while let Some((frame, length)) = frame::parse(&scratch[start..filled])? {
            if frame.opcode == frame::CLOSE {
                let (code, reason) = frame::close_reason(frame.payload);
                return Poll::Ready(Err(Ended::Closed(code, reason)));
            }
            take(&frame);
            start += length;
        }
        self.held.clear();
        self.held.extend_from_slice(&scratch[start..filled]);
        Poll::Ready(Ok(full))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn frames_are_put_together_however_they_arrive() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        // The first frame and half of the second came with the handshake.
        let mut reader = Reader::new(client.into_split().0, b"\x81\x01a\x81\x02b".to_vec());
        let mut scratch = Scratch::new();
        let mut seen = Vec::new();
        for piece in [&b""[..], b"b\x89", b"\x00\x81\x03cc", b"c\x88\x02\x03\xe9"] {
            server.write_all(piece).await.unwrap();
            let end = poll_fn(|cx| {
                reader
                    .poll_frames(cx, &mut scratch, |frame| seen.push((frame.opcode, frame.payload.to_vec())))
            })
            .await;
            if let Err(end) = end {
                assert!(matches!(end, Ended::Closed(1001, _)), "{end}");
            }
        }
        let expected = [(1, b"a".to_vec()), (1, b"bb".to_vec()), (9, vec![]), (1, b"ccc".to_vec())];
        assert_eq!(seen, expected);
    }
}
