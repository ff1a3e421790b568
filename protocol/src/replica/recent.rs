//! The last events of this process's own log, kept to close the gap between a peer that has caught up by pulling and
//! the next push.

use std::collections::VecDeque;

use bytes::Bytes;

/// Bytes kept, at most: some seconds of a busy node.
const BYTES_MAX: usize = 2 * 1024 * 1024;

/// A ring of encoded events. They are kept one by one, not as the pushes that they were: thousands of small pushes at
/// once, as after a split, would fill the queue of the peer's writer, and its users would be refused.
#[derive(Debug, Default)]
pub(super) struct RecentEvents {
    /// In order without gaps, up to the head of the log.
    events: VecDeque<Bytes>,
    bytes: usize,
}

impl RecentEvents {
    pub(super) fn push(&mut self, events: &[Bytes]) {
        self.bytes += events.iter().map(Bytes::len).sum::<usize>();
        self.events.extend(events.iter().cloned());
        while self.bytes > BYTES_MAX {
            let Some(event) = self.events.pop_front() else { break };
            self.bytes -= event.len();
        }
    }

    /// The last `count` events; `None` if they don't reach back so far.
    pub(super) fn last(&self, count: u64) -> Option<Vec<Bytes>> {
        let skip = self.events.len().checked_sub(usize::try_from(count).ok()?)?;
        Some(self.events.range(skip..).cloned().collect())
    }

    /// Bytes kept.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
