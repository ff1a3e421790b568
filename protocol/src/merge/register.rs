//! Last-write-wins registers, ordered by position. Most attributes of users and rooms are registers.

use serde::{Deserialize, Serialize};

use crate::Pos;

/// The last write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register<T> {
    /// The position of the event.
    pub pos: Pos,
    /// The written value.
    pub value: T,
}

/// Applies a write at `pos` and returns the register.
pub fn apply<T>(state: Option<Register<T>>, pos: Pos, value: T) -> Register<T> {
    match state {
        Some(state) if state.pos >= pos => state,
        _ => Register { pos, value },
    }
}

/// Applies a write at `pos` to a register in place.
pub fn write<T>(register: &mut Option<Register<T>>, pos: Pos, value: T) {
    *register = Some(apply(register.take(), pos, value));
}

/// Returns the value of a register; `None` before the first write.
pub fn value<T: Clone>(register: Option<&Register<T>>) -> Option<T> {
    register.map(|register| register.value.clone())
}
