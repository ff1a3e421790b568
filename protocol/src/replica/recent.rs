//! The last events of this process's log. They close the gap between the last pull of a peer and the next push.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::limits::EVENTS_CHUNK_BYTES_MAX;

/// Bytes kept, at most: enough for some seconds of a busy node.
const BYTES_MAX: usize = 2 * 1024 * 1024;

/// A queue of encoded events. They are kept one by one and sent in large pushes: after a partition, thousands of small
/// pushes at once would fill the queue of the peer's writer, and it would refuse its users' posts.
#[derive(Debug, Default)]
pub(super) struct RecentEvents {
    /// In order and without gaps, up to the head of the log.
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

    /// Returns the last `count` events; `None` if fewer are kept.
    pub(super) fn last(&self, count: u64) -> Option<Vec<Bytes>> {
        let skip = self.events.len().checked_sub(usize::try_from(count).ok()?)?;
        Some(self.events.range(skip..).cloned().collect())
    }

    /// Returns the number of bytes kept.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Splits events into chunks within the limit in bytes.
pub(super) fn chunks(events: &[Bytes]) -> impl Iterator<Item = &[Bytes]> {
    let mut rest = events;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = rest.iter().take_while(|event| {
            bytes += event.len();
            bytes <= EVENTS_CHUNK_BYTES_MAX
        });
        // A single event always fits in a frame.
        let count = fits.count().max(1).min(rest.len());
        let (chunk, after) = rest.split_at(count);
        rest = after;
        (!chunk.is_empty()).then_some(chunk)
    })
}
