//! The ledger of all messages of a run: when each was due, and how it was answered.
//! Messages are numbers from 0; their ids exist only on the wire.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// A `pos` as the check keeps it: a 64-bit hash, never 0.
pub(crate) type PosHash = u64;

/// The state of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Its time has come, but its sender has no connection.
    Due,
    /// Sent, and not answered yet.
    Sent,
    /// It was acknowledged.
    Acked,
    /// Answered by an error.
    Refused,
}

/// One message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message {
    /// The intended send time, in ns since the run began.
    pub(crate) due_ns: u64,
    /// The first `pos` that any receiver saw; 0 before.
    pub(crate) pos: PosHash,
    /// The `pos` of its latest ack; 0 without.
    pub(crate) ack_pos: PosHash,
    /// Index of its room.
    pub(crate) room: u32,
    /// Index of its sender.
    pub(crate) sender: u32,
    /// Its state.
    pub(crate) state: State,
    /// Whether it was sent more than once, under the same id.
    pub(crate) resent: bool,
    /// Acks received.
    pub(crate) acks: u8,
    /// `copies` of the first ack.
    pub(crate) copies_first: u8,
    /// `copies` of the latest ack.
    pub(crate) copies_last: u8,
}

/// The meaning of an ack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AckOutcome {
    /// The first for its message.
    First,
    /// A later one that confirms or raises `copies`.
    Later,
    /// More than the contract allows: a second later ack for a message that was sent once.
    TooMany,
    /// A later one with fewer copies than before, or with none at all.
    Lowered,
}

/// All messages of a run.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    messages: Vec<Message>,
    /// Messages acked, by room.
    acked: Vec<u64>,
    open: u64,
    refused: u64,
}

impl Ledger {
    /// An empty ledger over `rooms` rooms.
    pub(crate) fn new(rooms: usize) -> Self {
        Self { acked: vec![0; rooms], ..Self::default() }
    }

    /// Enters the next message and returns its number.
    pub(crate) fn enter(&mut self, sender: u32, room: u32, due_ns: u64, state: State) -> u32 {
        let number = u32::try_from(self.messages.len()).expect("a run has fewer than 2^32 messages");
        self.messages.push(Message {
            due_ns,
            pos: 0,
            ack_pos: 0,
            room,
            sender,
            state,
            resent: false,
            acks: 0,
            copies_first: 0,
            copies_last: 0,
        });
        self.open += 1;
        number
    }

    /// The message with this number, if it was entered.
    pub(crate) fn get(&self, number: u32) -> Option<&Message> {
        self.messages.get(index(number))
    }

    /// As [`Self::get`], for changing it.
    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut Message> {
        self.messages.get_mut(index(number))
    }

    /// Notes an ack of a message that was entered.
    pub(crate) fn ack(&mut self, number: u32, pos: PosHash, copies: u8) -> AckOutcome {
        let message = &mut self.messages[index(number)];
        message.ack_pos = pos;
        message.acks = message.acks.saturating_add(1);
        let outcome = match message.state {
            State::Acked if copies < message.copies_last => AckOutcome::Lowered,
            State::Acked if message.acks > 2 && !message.resent => AckOutcome::TooMany,
            State::Acked => AckOutcome::Later,
            before => {
                self.acked[usize::try_from(message.room).expect("32 bits fit an address")] += 1;
                if before == State::Refused {
                    self.refused -= 1;
                } else {
                    self.open -= 1;
                }
                message.state = State::Acked;
                message.copies_first = copies;
                AckOutcome::First
            }
        };
        message.copies_last = copies;
        outcome
    }

    /// Notes an error that answers a message; one that was acked stays so.
    pub(crate) fn refuse(&mut self, number: u32) {
        let message = &mut self.messages[index(number)];
        if matches!(message.state, State::Due | State::Sent) {
            message.state = State::Refused;
            self.open -= 1;
            self.refused += 1;
        }
    }

    /// Numbers of all messages of `sender` that wait for an answer.
    pub(crate) fn open_of(&self, sender: u32) -> Vec<u32> {
        let open =
            |message: &Message| message.sender == sender && matches!(message.state, State::Due | State::Sent);
        self.numbered().filter(|(_, message)| open(message)).map(|(number, _)| number).collect()
    }

    /// All messages with their numbers.
    pub(crate) fn numbered(&self) -> impl Iterator<Item = (u32, &Message)> {
        (0..).zip(&self.messages)
    }

    /// The number of messages.
    pub(crate) fn len(&self) -> u64 {
        crate::number::count(&self.messages)
    }

    /// The number of messages without an answer.
    pub(crate) fn open(&self) -> u64 {
        self.open
    }

    /// The number of messages answered by an error.
    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }

    /// The number of acked messages in `room`.
    pub(crate) fn acked_in(&self, room: u32) -> u64 {
        self.acked[usize::try_from(room).expect("32 bits fit an address")]
    }

    /// The number of acked messages.
    pub(crate) fn acked(&self) -> u64 {
        self.acked.iter().sum()
    }
}

/// A `pos` as the check keeps it.
pub(crate) fn pos_hash(pos: &str) -> PosHash {
    let mut hasher = DefaultHasher::new();
    pos.hash(&mut hasher);
    hasher.finish() | 1
}

fn index(number: u32) -> usize {
    usize::try_from(number).expect("32 bits fit an address")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_once() {
        let mut ledger = Ledger::new(2);
        for sender in 0..3 {
            ledger.enter(sender, sender % 2, 0, State::Sent);
        }
        assert_eq!(ledger.open(), 3);
        assert_eq!(ledger.ack(0, 7, 1), AckOutcome::First);
        assert_eq!(ledger.ack(0, 7, 2), AckOutcome::Later);
        ledger.refuse(0);
        ledger.refuse(1);
        assert_eq!((ledger.open(), ledger.refused(), ledger.acked()), (1, 1, 1));
        assert_eq!((ledger.acked_in(0), ledger.acked_in(1)), (1, 0));
        assert_eq!(ledger.open_of(2), [2]);
        assert_eq!(ledger.ack(1, 7, 2), AckOutcome::First);
        assert_eq!((ledger.open(), ledger.refused(), ledger.acked()), (1, 0, 2));
    }

    #[test]
    fn acks_must_not_lower_copies_or_go_on() {
        let mut ledger = Ledger::new(1);
        ledger.enter(0, 0, 0, State::Sent);
        assert_eq!(ledger.ack(0, 7, 2), AckOutcome::First);
        assert_eq!(ledger.ack(0, 7, 1), AckOutcome::Lowered);
        assert_eq!(ledger.ack(0, 7, 2), AckOutcome::TooMany);
        ledger.get_mut(0).unwrap().resent = true;
        assert_eq!(ledger.ack(0, 7, 2), AckOutcome::Later);
    }
}
