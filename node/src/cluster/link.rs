//! One link: the two tasks that write and read its stream of frames, and the bounded queue before the writer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use quinn::{Connection, RecvStream, SendStream};
use starling_protocol::{
    codec::DecodeError,
    frame::{
        peer::PeerFrame,
        wire::{WIRE_FRAME_BYTES_MAX, WireVersion},
    },
    replica::LinkId,
};
use thiserror::Error;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep},
};

use super::endpoint::IDLE_MS;

/// The most frames and bytes that wait for a peer; beyond it, the peer catches up by pulling.
const QUEUE_FRAMES_MAX: usize = 4_096;
const QUEUE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes read from the stream at once.
const READ_BYTES: usize = 64 * 1024;

/// How often links are checked for silence.
const LOOK_EVERY: Duration = Duration::from_millis(250);

static NEXT_LINK: AtomicU64 = AtomicU64::new(1);

/// The reason why no frame could be read.
#[derive(Debug, Error)]
pub enum FrameError {
    /// The stream or the connection is over.
    #[error("the link is over")]
    Over,
    /// The peer breaks the protocol.
    #[error("a frame of {0} bytes; at most {WIRE_FRAME_BYTES_MAX} are allowed")]
    TooLong(usize),
    /// The peer's frame is invalid.
    #[error("a frame does not decode")]
    Decode(#[from] DecodeError),
}

/// The sending side of a link, shared by all that send.
#[derive(Clone, Debug)]
pub struct LinkSender {
    id: LinkId,
    frames: mpsc::Sender<QueuedFrame>,
    queued_bytes: Arc<AtomicUsize>,
    connection: Connection,
    version: WireVersion,
    last_pong: watch::Sender<u64>,
}

/// An encoded frame in the queue.
#[derive(Debug)]
struct QueuedFrame {
    record: Bytes,
    extensions: Bytes,
}

impl QueuedFrame {
    fn bytes(&self) -> usize {
        self.record.len() + self.extensions.len()
    }
}

/// The queue is full, or the link is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotSent;

impl LinkSender {
    /// Starts the writer of a link.
    pub fn start(connection: Connection, stream: SendStream, version: WireVersion) -> Self {
        let (frames, queue) = mpsc::channel(QUEUE_FRAMES_MAX);
        let queued_bytes = Arc::new(AtomicUsize::new(0));
        tokio::spawn(write(stream, queue, Arc::clone(&queued_bytes), version));
        let id = LinkId(NEXT_LINK.fetch_add(1, Ordering::Relaxed));
        Self { id, frames, queued_bytes, connection, version, last_pong: watch::Sender::new(0) }
    }

    /// The link's id.
    pub fn id(&self) -> LinkId {
        self.id
    }

    /// Queues an encoded frame without waiting.
    pub fn try_send(&self, record: Bytes) -> Result<(), NotSent> {
        self.queue(QueuedFrame { record, extensions: Bytes::new() })
    }

    /// Queues a frame with its extensions without waiting.
    pub fn try_send_extended(&self, frame: &PeerFrame) -> Result<(), NotSent> {
        self.queue(QueuedFrame { record: frame.encode(), extensions: self.version.extensions(frame) })
    }

    fn queue(&self, frame: QueuedFrame) -> Result<(), NotSent> {
        let bytes = frame.bytes();
        if self.queued_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > QUEUE_BYTES_MAX
            || self.frames.try_send(frame).is_err()
        {
            self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(NotSent);
        }
        Ok(())
    }

    /// Sends a datagram, which may be lost.
    pub fn datagram(&self, bytes: Bytes) {
        let _ = self.connection.send_datagram(bytes);
    }

    /// The wire version of the link.
    pub fn version(&self) -> WireVersion {
        self.version
    }

    /// The QUIC connection.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Handles a pong.
    pub fn pong(&self, nonce: u64) {
        self.last_pong.send_replace(nonce);
    }

    /// Whether the process at the other end answers within the time.
    pub async fn answers(&self, nonce: u64, within: Duration) -> bool {
        let mut pongs = self.last_pong.subscribe();
        if self.try_send(PeerFrame::Ping(nonce).encode()).is_err() {
            return false;
        }
        tokio::select! {
            biased;
            // Only the last pong is kept, and nonces rise.
            pong = pongs.wait_for(|pong| *pong >= nonce) => pong.is_ok(),
            _ = self.connection.closed() => false,
            () = sleep(within) => false,
        }
    }
}

/// Returns the wire version that both ends of a connection agreed on; `None` if they have none in common.
pub fn agreed_version(connection: &Connection) -> Option<WireVersion> {
    let handshake = connection.handshake_data()?.downcast::<quinn::crypto::rustls::HandshakeData>().ok()?;
    WireVersion::from_alpn(handshake.protocol.as_deref()?)
}

/// Writes queued frames, many at a time.
async fn write(
    mut stream: SendStream,
    mut queue: mpsc::Receiver<QueuedFrame>,
    queued_bytes: Arc<AtomicUsize>,
    version: WireVersion,
) {
    let mut frames = Vec::new();
    while queue.recv_many(&mut frames, 64).await > 0 {
        let bytes: usize = frames.iter().map(QueuedFrame::bytes).sum();
        let chunks = frames.drain(..).flat_map(|QueuedFrame { record, extensions }| {
            let parts = [version.head(&record, &extensions).into(), record, extensions];
            parts.into_iter().filter(|part: &Bytes| !part.is_empty())
        });
        let mut chunks: Vec<Bytes> = chunks.collect();
        if stream.write_all_chunks(&mut chunks).await.is_err() {
            return;
        }
        queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
    let _ = stream.finish();
}

/// The receiving side of a link.
#[derive(Debug)]
pub struct LinkReceiver {
    stream: RecvStream,
    buffer: BytesMut,
    version: WireVersion,
}

impl LinkReceiver {
    /// Reads from a stream.
    pub fn new(stream: RecvStream, version: WireVersion) -> Self {
        Self { stream, buffer: BytesMut::new(), version }
    }

    /// Reads the next frame. Skips those of kinds that only a newer version knows.
    ///
    /// Cancellation safety: read bytes stay in the buffer; no frame is lost.
    pub async fn next(&mut self) -> Result<PeerFrame, FrameError> {
        loop {
            if let Some(frame) = self.next_or_part().await? {
                return Ok(frame);
            }
        }
    }

    /// As [`LinkReceiver::next`], but also returns, with `None`, after each part of a frame that is not complete.
    pub async fn next_or_part(&mut self) -> Result<Option<PeerFrame>, FrameError> {
        while let Some(length) = self.buffer.first_chunk::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            if length > WIRE_FRAME_BYTES_MAX {
                return Err(FrameError::TooLong(length));
            }
            if self.buffer.len() < 4 + length {
                break;
            }
            let frame = self.buffer.split_to(4 + length);
            if let Some(frame) = self.version.decode(&frame[4..])? {
                return Ok(Some(frame));
            }
        }
        match self.stream.read_chunk(READ_BYTES, true).await {
            Ok(Some(chunk)) => self.buffer.extend_from_slice(&chunk.bytes),
            Ok(None) | Err(_) => return Err(FrameError::Over),
        }
        Ok(None)
    }
}

/// Returns once nothing has arrived for the longest silence of a link.
pub(super) async fn silent(connection: &Connection) {
    let heard = || connection.stats().udp_rx.datagrams;
    let mut looked = Instant::now();
    let mut last = (heard(), looked);
    while last.1.elapsed() < Duration::from_millis(IDLE_MS.into()) {
        sleep(LOOK_EVERY).await;
        if heard() != last.0 {
            // A packet may have come before this process was paused: compare with the check before.
            last = (heard(), looked);
        }
        looked = Instant::now();
    }
}
