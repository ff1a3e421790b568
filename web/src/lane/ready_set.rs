//! The set of lanes with news, for a session that follows several: each push marks its lane, so the session looks only
//! at those. A lane is marked after its frames are in, and a commit is published after its lanes were marked. So a
//! session that reads the commit point first and takes the set after that knows of every frame up to that commit.

use std::{
    collections::HashSet,
    mem,
    sync::{Arc, PoisonError},
};

use super::LaneKey;
use crate::sync::{Mutex, MutexGuard, Notify};

/// The lanes of one session that have frames beyond its positions.
#[derive(Clone, Debug, Default)]
pub struct ReadySet(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Bounded by the number of lanes that the session follows.
    keys: Mutex<HashSet<LaneKey>>,
    notify: Notify,
}

impl ReadySet {
    fn keys(&self) -> MutexGuard<'_, HashSet<LaneKey>> {
        self.0.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns an id that is unique while the set exists.
    pub(super) fn id(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// Marks a lane as ready.
    pub(super) fn mark(&self, key: LaneKey) {
        if self.keys().insert(key) {
            self.0.notify.notify_one();
        }
    }

    /// Waits until a lane is ready.
    ///
    /// Cancellation safety: nothing is lost when the future is dropped.
    pub async fn ready(&self) {
        while self.keys().is_empty() {
            self.0.notify.notified().await;
        }
    }

    /// Removes and returns the lanes that were marked since the last call.
    pub fn take(&self) -> HashSet<LaneKey> {
        mem::take(&mut *self.keys())
    }
}
