//! What a session that follows many lanes sleeps on: each of them rings it, so that the session need not look at all.
//! A lane rings after its frames are there, and a commit is published after its lanes have ready: whoever reads the
//! commit point first and then takes the keys knows of every frame up to that commit.

use std::{
    collections::HashSet,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::LaneKey;

/// Rung by the lanes that one session follows.
#[derive(Clone, Debug, Default)]
pub struct ReadySet(Arc<Rung>);

#[derive(Debug, Default)]
struct Rung {
    /// The lanes that have ready: each once, however often, so no more than are followed.
    keys: Mutex<HashSet<LaneKey>>,
    notify: Notify,
}

impl ReadySet {
    fn keys(&self) -> MutexGuard<'_, HashSet<LaneKey>> {
        self.0.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells it from others while it exists.
    pub(super) fn id(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    pub(super) fn ring(&self, key: LaneKey) {
        if self.keys().insert(key) {
            self.0.notify.notify_one();
        }
    }

    /// Waits until a lane has ready.
    ///
    /// Cancellation safety: nothing is lost when the future is dropped.
    pub async fn ready(&self) {
        while self.keys().is_empty() {
            self.0.notify.notified().await;
        }
    }

    /// The lanes that have ready since they were taken last.
    pub fn take(&self) -> HashSet<LaneKey> {
        mem::take(&mut *self.keys())
    }
}
