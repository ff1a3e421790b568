//! A register whose last write wins, by the writes' places: most attributes of people and rooms are one.

use serde::{Deserialize, Serialize};

use crate::Pos;

/// What was written last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register<T> {
    /// The place of the event that wrote it.
    pub place: Pos,
    /// What it wrote.
    pub value: T,
}

/// Applies a write at `place`.
pub fn written<T>(state: Option<Register<T>>, place: Pos, value: T) -> Register<T> {
    match state {
        Some(state) if state.place >= place => state,
        _ => Register { place, value },
    }
}

/// Applies a write at `place` in a register.
pub fn write<T>(register: &mut Option<Register<T>>, place: Pos, value: T) {
    *register = Some(written(register.take(), place, value));
}

/// What a register holds; nothing if nothing was ever written.
pub fn value<T: Clone>(register: Option<&Register<T>>) -> Option<T> {
    register.map(|register| register.value.clone())
}
