//! Forgotten nodes: the earliest event that forgets a node counts, and none brings it back.

use crate::Pos;

/// Applies the event at `pos` that forgets a node; returns the earliest such event.
pub fn apply(state: Option<Pos>, pos: Pos) -> Pos {
    state.map_or(pos, |state| state.min(pos))
}
