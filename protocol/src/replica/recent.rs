//! The last pushes, kept to close the gap between a peer that has caught up by pulling and the next push.

use std::collections::VecDeque;

use bytes::Bytes;

/// Bytes kept, at most: some seconds of a busy node.
const BYTES_MAX: usize = 2 * 1024 * 1024;

/// A ring of encoded pushes of this process's own log.
#[derive(Debug, Default)]
pub(super) struct RecentPushes {
    /// `(first seq, last seq, frame)`, in order without gaps.
    frames: VecDeque<(u64, u64, Bytes)>,
    bytes: usize,
}

impl RecentPushes {
    pub(super) fn push(&mut self, first: u64, last: u64, frame: Bytes) {
        self.bytes += frame.len();
        self.frames.push_back((first, last, frame));
        while self.bytes > BYTES_MAX {
            let Some((_, _, frame)) = self.frames.pop_front() else { break };
            self.bytes -= frame.len();
        }
    }

    /// The frames that bring somebody who has everything up to `seq` to `head`; `None` if they don't reach back.
    pub(super) fn after(&self, seq: u64, head: u64) -> Option<impl Iterator<Item = Bytes> + '_> {
        let reaches = seq >= head || self.frames.front().is_some_and(|&(first, ..)| first <= seq + 1);
        let skip = self.frames.partition_point(|&(_, last, _)| last <= seq);
        reaches.then(|| self.frames.iter().skip(skip).map(|(_, _, frame)| frame.clone()))
    }
}
