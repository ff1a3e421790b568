//! When the writer makes a checkpoint: a while after the first commit since the last one, so that many commits share it.

use std::{future::Future, time::Duration};

use tokio::time::{Instant, timeout_at};

/// The most time from a commit to its checkpoint. A longer one writes fewer pages for each commit; after a crash more commits
/// are applied again.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(2);

/// The time of the next checkpoint, if anything was committed since the last one.
#[derive(Debug, Default)]
pub struct CheckpointTimer(Option<Instant>);

impl CheckpointTimer {
    /// Notes a commit.
    pub fn note_commit(&mut self) {
        self.0.get_or_insert_with(|| Instant::now() + CHECKPOINT_EVERY);
    }

    /// Notes a checkpoint.
    pub fn note_checkpoint(&mut self) {
        self.0 = None;
    }

    /// Whether it is time.
    pub fn is_due(&self) -> bool {
        self.0.is_some_and(|due| due <= Instant::now())
    }

    /// Waits for something; `None` if it is time for a checkpoint before that.
    pub async fn wait_for<T>(&self, event: impl Future<Output = T>) -> Option<T> {
        match self.0 {
            Some(due) => timeout_at(due, event).await.ok(),
            None => Some(event.await),
        }
    }
}
