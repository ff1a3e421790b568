//! A position in a lane, which a session shares with the group that writes for it.

use std::sync::Arc;

use super::Lane;
use crate::sync::{AtomicU64, Ordering};

/// A position in a lane. Whoever has the session's progress moves it; see `session::group::reader`.
#[derive(Clone, Debug)]
pub struct Position {
    pub(super) lane: Arc<Lane>,
    next: Arc<AtomicU64>,
}

impl Position {
    /// A position that lies behind every frame.
    const NOWHERE: u64 = u64::MAX;

    pub(super) fn at_end(lane: Arc<Lane>) -> Self {
        let next = Arc::new(AtomicU64::new(lane.end()));
        Self { lane, next }
    }

    /// Returns the number of the next frame to take.
    pub fn get(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// Moves to the frame with this number.
    pub fn set(&self, next: u64) {
        self.next.store(next, Ordering::Relaxed);
    }

    /// Returns whether all frames of the lane were taken.
    pub fn is_at_end(&self) -> bool {
        self.lane.end() <= self.get()
    }

    /// Has no frame taken any more: the session has left the lane.
    pub fn leave(&self) {
        self.set(Self::NOWHERE);
    }

    /// Returns whether both are the same position of the same session.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.next, &other.next)
    }
}
