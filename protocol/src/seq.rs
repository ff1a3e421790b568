//! Sequence numbers of events.

use std::{fmt, ops::Add};

use serde::{Deserialize, Serialize};

/// The sequence number of an event in its origin's log, from 1 without gaps; [`Seq::NONE`] is the head of an empty log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Seq(pub u64);

impl Seq {
    /// The head of an empty log.
    pub const NONE: Self = Self(0);
    /// The greatest number, for ranges of keys.
    pub const MAX: Self = Self(u64::MAX);

    /// Returns the number of the event that follows. Panics on overflow.
    #[must_use]
    pub fn next(self) -> Self {
        self + 1
    }

    /// Returns the number of events after `earlier` up to this one; 0 if that is later.
    #[must_use]
    pub fn count_after(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Returns the number `count` events later, at most [`Seq::MAX`].
    #[must_use]
    pub fn saturating_add(self, count: u64) -> Self {
        Self(self.0.saturating_add(count))
    }
}

/// Adds a number of events. Panics on overflow.
impl Add<u64> for Seq {
    type Output = Self;

    fn add(self, count: u64) -> Self {
        Self(self.0 + count)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
