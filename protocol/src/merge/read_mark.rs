//! Read marks: place and vector, each merged by maximum. What lies beyond the vector is unread wherever it sorts.

use serde::{Deserialize, Serialize};

use crate::{Pos, VersionVector, event::ReadMarked, limits::READ_MARK_ORIGINS_MAX};

/// How far somebody has read a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadMark {
    /// The greatest message that was read.
    pub pos: Pos,
    /// What the reader had been sent, of the origins that have written in the room.
    pub seen: VersionVector,
}

impl ReadMark {
    /// Whether a message has been read.
    pub fn covers(&self, pos: Pos) -> bool {
        pos <= self.pos && self.seen.contains(pos.origin, pos.seq)
    }
}

/// Applies a mark.
pub fn marked(state: Option<ReadMark>, event: &ReadMarked) -> ReadMark {
    let mut state = state.unwrap_or_else(|| ReadMark { pos: Pos::MIN, seen: VersionVector::default() });
    state.pos = state.pos.max(event.pos);
    state.seen.merge(&event.seen);
    state.seen.keep_greatest(READ_MARK_ORIGINS_MAX);
    state
}
