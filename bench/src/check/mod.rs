//! Checks what was promised: nothing lost, nothing twice, one order.
//! Pure: it gets what was sent, acked, received and listed, and uses no sockets and no clock.

use serde::Serialize;

mod bits;
mod ledger;
mod listing;
mod receipts;
mod verdict;

pub(crate) use ledger::{AckOutcome, Ledger, PosHash, State, pos_hash};
pub(crate) use listing::{Listing, compare_lists};
pub(crate) use receipts::{Delivery, Place, Receipts};
pub(crate) use verdict::{Unacked, judge};

/// Examples kept of each kind of failure.
const EXAMPLES: usize = 3;

/// A promise that a run checks. Each is a line of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Check {
    /// Every acked message came to every connection of its room.
    Received,
    /// No message came twice over one connection.
    Once,
    /// All connections of a room saw the same ids with the same `pos`.
    SameSet,
    /// Every sent message was answered by an ack or an error.
    Answered,
    /// Acks name messages of their connection, agree with the message's `pos`, and never lower `copies`.
    Acks,
    /// No `error` frames.
    NoErrors,
    /// Frames read as the contract says, bodies are what was sent, and no message comes from elsewhere.
    Intact,
    /// No connection was lost.
    Connected,
    /// All nodes list the same messages in the same order, newest first.
    ListsAgree,
    /// Every acked message is listed exactly once on every node, with the `pos` that was received.
    Listed,
    /// The 99th percentile of the delivery latency is within its limit.
    Fast,
    /// The demanded share of first acks says two copies or more.
    Copied,
}

impl Check {
    /// All of them, in the order of the report.
    pub(crate) const ALL: [Self; 12] = [
        Self::Received,
        Self::Once,
        Self::SameSet,
        Self::Answered,
        Self::Acks,
        Self::NoErrors,
        Self::Intact,
        Self::Connected,
        Self::ListsAgree,
        Self::Listed,
        Self::Fast,
        Self::Copied,
    ];

    /// The text in the report.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Received => "every acked message came to every connection of its room",
            Self::Once => "no message came twice over one connection",
            Self::SameSet => "all connections of a room saw the same (id, pos)",
            Self::Answered => "every sent message was answered",
            Self::Acks => "acks agree with messages and never lower copies",
            Self::NoErrors => "no error frames",
            Self::Intact => "frames and bodies are intact, and all were sent by this run",
            Self::Connected => "no connection was lost",
            Self::ListsAgree => "all nodes list the same messages in the same order",
            Self::Listed => "every acked message is listed once on every node",
            Self::Fast => "the 99th percentile of delivery is within its limit",
            Self::Copied => "the demanded share of first acks says 2 copies or more",
        }
    }
}

/// The failures found so far, counted by check, with the first examples of each.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    found: [Found; Check::ALL.len()],
}

/// The failures of one check.
#[derive(Debug, Default, Clone)]
pub(crate) struct Found {
    /// The number of failures.
    pub(crate) count: u64,
    /// The first few failures.
    pub(crate) examples: Vec<String>,
}

impl Findings {
    /// Notes a failure. `example` is only rendered for the first few.
    pub(crate) fn add(&mut self, check: Check, example: impl FnOnce() -> String) {
        let found = &mut self.found[check as usize];
        found.count += 1;
        if found.examples.len() < EXAMPLES {
            found.examples.push(example());
        }
    }

    /// The failures of `check`.
    pub(crate) fn of(&self, check: Check) -> &Found {
        &self.found[check as usize]
    }

    /// Adds all of `other`.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.found.iter_mut().zip(&other.found) {
            mine.count += theirs.count;
            let room = EXAMPLES.saturating_sub(mine.examples.len());
            mine.examples.extend(theirs.examples.iter().take(room).cloned());
        }
    }

    /// Whether nothing failed.
    pub(crate) fn passed(&self) -> bool {
        self.found.iter().all(|found| found.count == 0)
    }
}
