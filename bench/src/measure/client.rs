//! One connection of the generator, without blocking: reads what the kernel has, and keeps what does not fit it yet.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};

use super::tally::Tally;
use crate::dialect::{Dialect, Event, Post};
use crate::ids::ID_BYTES;

/// One read takes at most this much: many frames at saturation, and a core's cache holds it.
const READ_BYTES: usize = 128 * 1024;
/// The read buffer that all connections share: one read, and the largest frame before it.
pub(super) const SCRATCH_BYTES: usize = 4 * READ_BYTES;

/// A connection.
#[derive(Debug)]
pub(super) struct Client {
    stream: TcpStream,
    dialect: Dialect,
    room: String,
    /// The beginning of a frame, until the rest of it arrives.
    held: Vec<u8>,
    /// Bytes that the kernel did not take yet.
    unsent: Vec<u8>,
    /// Acks since the last look.
    pub(super) acks: u32,
    /// Whether the kernel was asked to say when it takes more.
    pub(super) waits_for_room: bool,
}

/// The result of a read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Progress {
    /// More may come.
    Open,
    /// The connection ended, for this reason.
    Ended(String),
}

impl Client {
    /// A connection after its handshake; `rest` is what came after it.
    pub(super) fn new(stream: TcpStream, dialect: Dialect, room: String, rest: Vec<u8>) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self { stream, dialect, room, held: rest, unsent: Vec::new(), acks: 0, waits_for_room: false })
    }

    /// The descriptor.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// Reads once and counts the frames where they lie. `now` gives the time after the read.
    pub(super) fn read(&mut self, scratch: &mut [u8], tally: &mut Tally, now: impl Fn() -> u64) -> Progress {
        let held = self.held.len();
        if held + READ_BYTES > scratch.len() {
            return Progress::Ended("a frame that is larger than all that we ask for".into());
        }
        let read = match self.stream.read(&mut scratch[held..held + READ_BYTES]) {
            Ok(0) => return Progress::Ended("closed without a word".into()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Progress::Open,
            Err(error) => return Progress::Ended(error.to_string()),
        };
        scratch[..held].copy_from_slice(&self.held);
        let (filled, now_ns) = (held + read, now());
        match self.count(&scratch[..filled], tally, now_ns) {
            Ok(counted) => {
                self.held.clear();
                self.held.extend_from_slice(&scratch[counted..filled]);
                Progress::Open
            }
            Err(reason) => Progress::Ended(reason),
        }
    }

    /// Counts all whole frames; returns their length.
    fn count(&mut self, bytes: &[u8], tally: &mut Tally, now_ns: u64) -> Result<usize, String> {
        let mut start = 0;
        while let Some((event, length)) =
            self.dialect.next(&bytes[start..]).map_err(|error| error.to_string())?
        {
            match event {
                Event::Payload(payload) => self.acks += u32::from(tally.take(payload, now_ns)),
                Event::Ping(payload) => self.dialect.pong(payload, &mut self.unsent),
                Event::Other => {}
            }
            start += length;
        }
        Ok(start)
    }

    /// Queues a message; [`Self::flush`] writes it.
    pub(super) fn post(&mut self, id: &[u8; ID_BYTES], body: &[u8], mask: [u8; 4]) {
        self.dialect.post(&Post { room: &self.room, id, body, mask }, &mut self.unsent);
    }

    /// Writes what the kernel takes; true if nothing is left. A broken connection counts as that: reading reports it.
    pub(super) fn flush(&mut self) -> bool {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(written) => drop(self.unsent.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(_) => self.unsent.clear(),
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::super::stamp::Body;
    use super::*;

    /// A run of frames is counted the same however the reads cut it.
    #[test]
    fn frames_are_counted_however_they_arrive() {
        let frame = |body: &[u8]| [&[0x81, u8::try_from(body.len()).unwrap()], body].concat();
        let mut body = Body::new(100);
        let run: Vec<u8> = (0..50).flat_map(|due_ns| frame(body.stamped(due_ns))).collect();
        for piece_bytes in [1, 7, 101, 102, 103, 1_000, run.len()] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (mut far, _) = listener.accept().unwrap();
            // The handshake's read may have taken the beginning.
            let (rest, run) = run.split_at(piece_bytes.min(60));
            let mut client = Client::new(near, Dialect::Quick, "room".into(), rest.to_vec()).unwrap();
            // So that each read waits for its piece.
            client.stream.set_nonblocking(false).unwrap();
            let (mut scratch, mut tally) = (vec![0; SCRATCH_BYTES], Tally::new());
            for piece in run.chunks(piece_bytes) {
                far.write_all(piece).unwrap();
                assert_eq!(client.read(&mut scratch, &mut tally, || 50), Progress::Open);
            }
            assert_eq!(tally.delivered, 50, "pieces of {piece_bytes}");
            assert!(client.held.is_empty());
            drop(far);
            assert!(matches!(client.read(&mut scratch, &mut tally, || 0), Progress::Ended(_)));
        }
    }

    #[test]
    fn pings_are_answered() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        let mut client = Client::new(near, Dialect::Nats, "room".into(), Vec::new()).unwrap();
        client.stream.set_nonblocking(false).unwrap();
        far.write_all(b"PING\r\n").unwrap();
        let progress = client.read(&mut vec![0; SCRATCH_BYTES], &mut Tally::new(), || 0);
        assert_eq!(progress, Progress::Open);
        assert!(client.flush());
        let mut answer = [0; 6];
        far.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"PONG\r\n");
    }
}
