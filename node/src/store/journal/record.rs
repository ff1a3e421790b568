//! A record: the events of one commit, as their writers encoded them.
//!
//! ```text
//! magic        8 bytes
//! epoch        u64, little-endian, as all numbers here
//! index        u64: 0 for the first record of an epoch
//! length       u32: the bytes of the payload
//! checksum    16 bytes of BLAKE3 over the journal's key, the four fields above and the payload
//! payload      for each event its length (u32) and its bytes
//! padding      zeros, to a multiple of 64 bytes
//! ```
//!
//! Nobody outside knows the key, so no text in an event can be taken for a record.

use bytes::{Buf, Bytes};

use super::ALIGN;

const MAGIC: [u8; 8] = *b"strljrn1";
const CHECKSUM_BYTES: usize = 16;
/// The bytes before the checksum.
const FIELDS_BYTES: usize = 28;
/// The bytes before the payload.
pub const HEADER_BYTES: usize = FIELDS_BYTES + CHECKSUM_BYTES;

/// The secret part of each checksum, drawn at random for each store.
pub type Key = u64;

/// The place of a record in the order of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The epoch.
    pub epoch: u64,
    /// The number of the record in its epoch.
    pub index: u64,
}

/// A record that was read.
#[derive(Debug)]
pub struct Record {
    /// Its place in the order.
    pub header: Header,
    /// Its events.
    pub events: Vec<Bytes>,
    /// The number of bytes that it takes in the file.
    pub bytes: usize,
}

/// Encodes a record, in place of what `into` holds.
pub fn encode(into: &mut Vec<u8>, key: Key, header: Header, events: &[Bytes]) {
    let payload: usize = events.iter().map(|event| 4 + event.len()).sum();
    into.clear();
    into.reserve((HEADER_BYTES + payload).next_multiple_of(ALIGN));
    into.extend_from_slice(&MAGIC);
    into.extend_from_slice(&header.epoch.to_le_bytes());
    into.extend_from_slice(&header.index.to_le_bytes());
    into.extend_from_slice(&length(payload).to_le_bytes());
    into.extend_from_slice(&[0; CHECKSUM_BYTES]);
    for event in events {
        into.extend_from_slice(&length(event.len()).to_le_bytes());
        into.extend_from_slice(event);
    }
    let checksum = checksum(key, &into[..FIELDS_BYTES], &into[HEADER_BYTES..]);
    into[FIELDS_BYTES..HEADER_BYTES].copy_from_slice(&checksum);
    into.resize(into.len().next_multiple_of(ALIGN), 0);
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a commit is far smaller than 4 GiB")
}

fn checksum(key: Key, fields: &[u8], payload: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&key.to_le_bytes()).update(fields).update(payload);
    *hasher.finalize().as_bytes().first_chunk().expect("a hash has 32 bytes")
}

/// Reads the record that begins at a place in a file; `None` if none begins there, or it is not whole.
pub fn decode(file: &Bytes, at: usize, key: Key) -> Option<Record> {
    let bytes = file.get(at..)?;
    let mut fields = bytes.get(..HEADER_BYTES)?;
    if fields.get(..MAGIC.len())? != MAGIC {
        return None;
    }
    fields.advance(MAGIC.len());
    let header = Header { epoch: fields.get_u64_le(), index: fields.get_u64_le() };
    let end = HEADER_BYTES.checked_add(usize::try_from(fields.get_u32_le()).ok()?)?;
    let payload = bytes.get(HEADER_BYTES..end)?;
    if checksum(key, bytes.get(..FIELDS_BYTES)?, payload) != fields {
        return None;
    }
    let (mut payload, mut events) = (file.slice(at + HEADER_BYTES..at + end), Vec::new());
    while payload.has_remaining() {
        let length = usize::try_from(payload.try_get_u32_le().ok()?).ok()?;
        if length > payload.len() {
            return None;
        }
        events.push(payload.split_to(length));
    }
    Some(Record { header, events, bytes: end.next_multiple_of(ALIGN) })
}
