//! The latest message frames from one node to one room, each parsed and checked once.
//! Every connection of the room gets the same bytes, so all but the first only compare them.

use std::collections::HashMap;

use crate::check::PosHash;

/// A `pos`: a position in the order of a room, as sortable text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pos {
    // Unused bytes are 0 and no text holds one, so that the derived order is the order of the texts.
    bytes: [u8; Self::BYTES_MAX],
    length: u8,
}

impl Pos {
    /// Bytes in a `pos`, at most.
    const BYTES_MAX: usize = 79;
    /// Before all others.
    pub(crate) const NONE: Self = Self { bytes: [0; Self::BYTES_MAX], length: 0 };

    /// Keeps `text`; `None` if it is empty or too long.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let length = u8::try_from(text.len()).ok().filter(|&length| length > 0)?;
        let mut bytes = [0; Self::BYTES_MAX];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Some(Self { bytes, length })
    }

    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).expect("it was a text")
    }
}

/// The parsed content of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Read {
    /// The number of the message.
    pub(crate) number: u32,
    /// The `pos` of the message.
    pub(crate) pos: Pos,
    /// The hash of `pos`, for the ledger.
    pub(crate) pos_hash: PosHash,
}

/// The last frames of one room from one node.
#[derive(Debug)]
pub(crate) struct FrameRing {
    slots: Vec<(Vec<u8>, Read)>,
    /// The latest position in the ring of each message.
    places: HashMap<u32, u64>,
    /// A power of two.
    capacity: u64,
    /// The number of frames ever pushed.
    head: u64,
}

impl FrameRing {
    /// Most frames kept over all rings; at 300 bytes each, 10 MiB.
    const TOTAL: u64 = 32 * 1024;
    /// Fewest frames kept by one ring.
    const CAPACITY_MIN: u64 = 16;

    /// A ring that shares the memory with `rings` others. `wanted` frames should cover the distance between the
    /// first and the last reader of a room; frames of a reader that lags further are parsed again.
    pub(crate) fn new(rings: u64, wanted: u64) -> Self {
        let share = (Self::TOTAL / rings.max(1)).max(Self::CAPACITY_MIN);
        Self {
            slots: Vec::new(),
            places: HashMap::new(),
            capacity: wanted.min(share).next_power_of_two(),
            head: 0,
        }
    }

    /// The position at which a new connection begins: after all frames.
    pub(crate) fn head(&self) -> u64 {
        self.head
    }

    /// The content of `frame`, if it is the one at `at`.
    pub(crate) fn matches(&self, at: u64, frame: &[u8]) -> Option<&Read> {
        let (bytes, read) = self.at(at)?;
        (bytes == frame).then_some(read)
    }

    /// The position of message `number`.
    pub(crate) fn find(&self, number: u32) -> Option<u64> {
        self.places.get(&number).copied()
    }

    /// Adds a frame at the head. Reuses the memory of the one that it replaces.
    pub(crate) fn push(&mut self, frame: &[u8], read: Read) {
        let index = self.index(self.head);
        if let Some((bytes, old)) = self.slots.get_mut(index) {
            bytes.clear();
            bytes.extend_from_slice(frame);
            // The same message may have been pushed again since: its later position stays.
            if self.places.get(&old.number).is_some_and(|&at| at + self.capacity == self.head) {
                self.places.remove(&old.number);
            }
            *old = read;
        } else {
            self.slots.push((frame.to_vec(), read));
        }
        self.places.insert(read.number, self.head);
        self.head += 1;
    }

    fn at(&self, at: u64) -> Option<&(Vec<u8>, Read)> {
        let kept = at < self.head && self.head - at <= self.capacity;
        kept.then(|| self.slots.get(self.index(at))).flatten()
    }

    fn index(&self, at: u64) -> usize {
        usize::try_from(at & (self.capacity - 1)).expect("below the capacity")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(number: u32) -> Read {
        Read { number, pos: Pos::NONE, pos_hash: 1 }
    }

    #[test]
    fn only_what_is_kept_matches() {
        let mut ring = FrameRing::new(1, 16);
        for number in 0..20_u32 {
            ring.push(&number.to_le_bytes(), read(number));
        }
        assert_eq!(ring.head(), 20);
        assert_eq!(ring.matches(4, &4_u32.to_le_bytes()), Some(&read(4)));
        assert_eq!(ring.matches(4, &5_u32.to_le_bytes()), None);
        assert_eq!(ring.matches(3, &3_u32.to_le_bytes()), None, "it was overwritten");
        assert_eq!(ring.matches(20, &4_u32.to_le_bytes()), None, "nothing is there yet");
        assert_eq!((ring.find(19), ring.find(4), ring.find(3)), (Some(19), Some(4), None));
    }

    #[test]
    fn places_sort_as_their_texts() {
        let texts = ["0", "00", "0a", "0b", "1", "a"];
        let places: Vec<_> = texts.iter().map(|text| Pos::new(text).unwrap()).collect();
        assert!(places.is_sorted());
        assert!(Pos::NONE < places[0]);
        assert_eq!(places[2].as_str(), "0a");
        assert_eq!(Pos::new(""), None);
        assert_eq!(Pos::new(&"x".repeat(80)), None);
        assert!(Pos::new(&"x".repeat(79)).is_some());
    }
}
