//! Read marks: a position and a vector, each merged by maximum. Messages beyond the vector are unread, wherever they
//! sort.

use serde::{Deserialize, Serialize};

use crate::{Pos, VersionVector, event::ReadMarked, limits::READ_MARK_ORIGINS_MAX};

/// A user's read mark of a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadMark {
    /// The position of the last message that was read.
    pub pos: Pos,
    /// The events that the reader had been sent, of the origins that have written in the room.
    pub seen: VersionVector,
}

impl ReadMark {
    /// Whether the message at `pos` has been read.
    pub fn covers(&self, pos: Pos) -> bool {
        pos <= self.pos && self.seen.contains(pos.origin, pos.seq)
    }
}

/// Applies a read mark event.
pub fn apply(state: Option<ReadMark>, event: &ReadMarked) -> ReadMark {
    let mut state = state.unwrap_or_else(|| ReadMark { pos: Pos::MIN, seen: VersionVector::default() });
    state.pos = state.pos.max(event.pos);
    state.seen.merge(&event.seen);
    state.seen.keep_greatest(READ_MARK_ORIGINS_MAX);
    state
}
