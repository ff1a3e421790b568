//! Stamps: the time at which a message was due, in its body or its id, so that whoever receives it knows its latency at once.
//! Called for every frame that is received: finds a stamp where it was in the frame before, without parsing.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::ids::{self, ID_BYTES};
use crate::number::splitmix;

const MARK: &[u8; 6] = b"stamp-";
const DIGITS: usize = 16;
/// Length of a stamp, and so the least of a body.
pub(crate) const STAMP_BYTES: usize = MARK.len() + DIGITS;

/// Bodies of one length that begin with a stamp.
#[derive(Debug, Clone)]
pub(crate) struct Body(Vec<u8>);

impl Body {
    /// Bodies of `bytes` ASCII characters, but [`STAMP_BYTES`] at least.
    pub(crate) fn new(bytes: usize) -> Self {
        let filler = (b'a'..=b'z').cycle().take(bytes.max(STAMP_BYTES) - STAMP_BYTES);
        Self(MARK.iter().copied().chain([b'0'; DIGITS]).chain(filler).collect())
    }

    /// The body of a message that is due at `due_ns`.
    pub(crate) fn stamped(&mut self, due_ns: u64) -> &[u8] {
        for place in 0..DIGITS {
            let digit = due_ns >> (4 * (DIGITS - 1 - place)) & 0xf;
            self.0[MARK.len() + place] = b"0123456789abcdef"[usize::try_from(digit).expect("one digit")];
        }
        &self.0
    }
}

/// Finds stamps in frames. Frames of one server have them at the same place.
#[derive(Debug, Default)]
pub(crate) struct StampFinder {
    place: usize,
}

impl StampFinder {
    /// The time in the frame's stamp, if it has one.
    pub(crate) fn find(&mut self, frame: &[u8]) -> Option<u64> {
        if let Some(due_ns) = read(frame.get(self.place..)?) {
            return Some(due_ns);
        }
        let place = frame.windows(MARK.len()).position(|window| window == MARK)?;
        let due_ns = read(&frame[place..])?;
        self.place = place;
        Some(due_ns)
    }
}

fn read(text: &[u8]) -> Option<u64> {
    ids::hex(text.get(..STAMP_BYTES)?.strip_prefix(MARK)?)
}

/// The order of ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum IdOrder {
    /// Version 7: rising with time.
    Time,
    /// Version 4: random.
    Random,
}

/// Makes ids that hold the time at which they were made.
#[derive(Debug)]
pub(crate) struct StampedIds {
    order: IdOrder,
    state: u64,
}

impl StampedIds {
    /// Bits of a counter in the lower half, below the time: so many posts in one nanosecond have different ids.
    const COUNTER_BITS: u32 = 16;
    /// Bits of the time: 19 hours.
    const TIME_MASK: u64 = (1 << 46) - 1;
    const VARIANT: u64 = 0b10 << 62;

    /// Ids of this order. They differ from those of any other run.
    pub(crate) fn new(order: IdOrder) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { order, state: crate::number::nanos(now) ^ u64::from(std::process::id()) << 40 }
    }

    /// The id of a message of time `at_ns`.
    pub(crate) fn make(&mut self, at_ns: u64) -> [u8; ID_BYTES] {
        let random = splitmix(&mut self.state);
        let high = match self.order {
            IdOrder::Random => random & !0xf000 | 0x4000,
            IdOrder::Time => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
                // Within a millisecond they rise by the fraction, as RFC 9562 proposes.
                ms << 16 | 0x7000 | u64::from(now.subsec_nanos() % 1_000_000 / 245) & 0xfff
            }
        };
        let counter = random & ((1 << Self::COUNTER_BITS) - 1);
        ids::text(high, Self::VARIANT | (at_ns & Self::TIME_MASK) << Self::COUNTER_BITS | counter)
    }

    /// The time in an id.
    pub(crate) fn read(id: &[u8]) -> Option<u64> {
        ids::halves(id).map(|(_, low)| low >> Self::COUNTER_BITS & Self::TIME_MASK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_found_wherever_they_are() {
        let mut finder = StampFinder::default();
        let mut body = Body::new(128);
        for (before, due_ns) in
            [("{\"body\":\"", 7), ("{\"body\":\"", u64::MAX), ("", 0), ("longer than that", 1)]
        {
            let frame = [before.as_bytes(), body.stamped(due_ns), b"\"}"].concat();
            assert_eq!(finder.find(&frame), Some(due_ns));
            assert_eq!(frame.len(), before.len() + 128 + 2);
        }
        assert_eq!(finder.find(b"{\"type\":\"joined\"}"), None);
        assert_eq!(finder.find(b""), None);
        assert_eq!(finder.find(b"stamp-00000000000000"), None, "it is cut");
        assert_eq!(Body::new(1).stamped(3).len(), STAMP_BYTES);
    }

    #[test]
    fn ids_keep_their_time_and_their_order() {
        for (order, version) in [(IdOrder::Time, b'7'), (IdOrder::Random, b'4')] {
            let mut ids = StampedIds::new(order);
            let made: Vec<_> = (0..1_000).map(|at| ids.make(at * 1_000_000)).collect();
            for (at, id) in (0..).zip(&made) {
                assert_eq!(StampedIds::read(id), Some(at * 1_000_000));
                assert_eq!(id[14], version);
                assert!(b"89ab".contains(&id[19]));
            }
            // Those of one step of the clock are in the order of their times.
            assert_eq!(made.is_sorted(), order == IdOrder::Time);
        }
        assert_eq!(StampedIds::read(b"no id"), None);
    }
}
