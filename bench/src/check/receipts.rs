//! The receipts of one receiver: a bit per message, and each `pos` that differs from the one first seen.
//! A connection resumed on another node keeps its receipts; messages repeated across the break are no duplicates.

use std::collections::HashMap;

use super::bits::Bits;
use super::ledger::PosHash;

/// The room and node of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Index of the room.
    pub(crate) room: u32,
    /// Index of the node it was first opened to.
    pub(crate) node: usize,
}

/// How an arriving message relates to earlier ones of its receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// Not seen before.
    New,
    /// Seen over an earlier connection, or in a list after `resync`: to be expected.
    Repeat,
    /// Seen over this connection, now with another `pos`: right only if the message was resent.
    Moved,
    /// Seen over this very connection: the node sent it twice.
    Duplicate,
}

/// All that one receiver has received, over all its connections.
#[derive(Debug)]
pub(crate) struct Receipts {
    /// The room and node.
    pub(crate) place: Place,
    /// Its guest name.
    pub(crate) name: String,
    seen: Bits,
    /// The messages of the present connection; `None` while these are all of `seen`.
    since_connect: Option<Bits>,
    /// The latest `pos`, where it is not the one first seen by anybody.
    moved: HashMap<u32, PosHash>,
    unique: u64,
}

impl Receipts {
    /// Nothing received yet.
    pub(crate) fn new(place: Place, name: String) -> Self {
        Self { place, name, seen: Bits::default(), since_connect: None, moved: HashMap::new(), unique: 0 }
    }

    /// A new connection begins for the same receiver.
    pub(crate) fn reconnected(&mut self) {
        self.since_connect = Some(Bits::default());
    }

    /// Takes a message; `first_pos` is the one first seen by anybody.
    pub(crate) fn deliver(&mut self, number: u32, pos: PosHash, first_pos: PosHash) -> Delivery {
        let new_here = self.since_connect.as_mut().is_none_or(|since| since.insert(number));
        let new = self.seen.insert(number);
        let moved = !new && self.pos_of(number, first_pos) != pos;
        if pos != first_pos || moved {
            self.moved.insert(number, pos);
        }
        let repeats = self.since_connect.is_some() && new_here;
        match (new, repeats, moved) {
            (true, ..) => {
                self.unique += 1;
                Delivery::New
            }
            (false, true, _) => Delivery::Repeat,
            (false, false, true) => Delivery::Moved,
            (false, false, false) => Delivery::Duplicate,
        }
    }

    /// Takes a message from a list that was loaded after `resync`.
    pub(crate) fn load(&mut self, number: u32, pos: PosHash, first_pos: PosHash) -> Delivery {
        if self.pos_of(number, first_pos) != pos {
            self.moved.insert(number, pos);
        }
        if self.seen.insert(number) {
            self.unique += 1;
            Delivery::New
        } else {
            Delivery::Repeat
        }
    }

    /// Whether the message was received.
    pub(crate) fn has(&self, number: u32) -> bool {
        self.seen.contains(number)
    }

    /// The latest `pos` of a message that was received.
    pub(crate) fn pos_of(&self, number: u32, first_pos: PosHash) -> PosHash {
        // Almost always empty: then this is one comparison.
        if self.moved.is_empty() { first_pos } else { self.moved.get(&number).copied().unwrap_or(first_pos) }
    }

    /// The number of different messages received.
    pub(crate) fn unique(&self) -> u64 {
        self.unique
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipts() -> Receipts {
        Receipts::new(Place { room: 0, node: 0 }, "r".into())
    }

    #[test]
    fn a_second_delivery_over_one_connection_is_a_duplicate() {
        let mut receipts = receipts();
        assert_eq!(receipts.deliver(5, 11, 11), Delivery::New);
        assert_eq!(receipts.deliver(5, 11, 11), Delivery::Duplicate);
        assert_eq!(receipts.unique(), 1);
    }

    #[test]
    fn a_delivery_again_after_reconnecting_is_none_unless_it_comes_twice() {
        let mut receipts = receipts();
        receipts.deliver(5, 11, 11);
        receipts.reconnected();
        assert_eq!(receipts.deliver(5, 11, 11), Delivery::Repeat);
        assert_eq!(receipts.deliver(5, 11, 11), Delivery::Duplicate);
        assert_eq!(receipts.deliver(6, 11, 11), Delivery::New);
        assert_eq!(receipts.deliver(6, 11, 11), Delivery::Duplicate);
        assert_eq!(receipts.load(7, 11, 11), Delivery::New);
        assert_eq!(receipts.deliver(7, 11, 11), Delivery::Repeat);
        assert_eq!(receipts.unique(), 3);
    }

    #[test]
    fn the_latest_pos_holds() {
        let mut receipts = receipts();
        receipts.deliver(5, 11, 11);
        assert_eq!(receipts.deliver(5, 13, 11), Delivery::Moved);
        assert_eq!(receipts.pos_of(5, 11), 13);
        assert_eq!(receipts.deliver(5, 11, 11), Delivery::Moved);
        assert_eq!(receipts.pos_of(5, 11), 11);
        assert_eq!(receipts.deliver(6, 13, 11), Delivery::New);
        assert_eq!(receipts.pos_of(6, 11), 13);
    }
}
