//! The end of a refill: a node that lost its store has it back once a peer that holds the data sees it in sync. Until
//! then it isn't ready, even after a restart.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::Driver;
use crate::data_dir::DataDirError;

/// Records on disk that the store is refilled. May block.
pub type EndRefill = Arc<dyn Fn() -> Result<(), DataDirError> + Send + Sync>;

/// The pause before another attempt: a disk may be full for a while.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(5);

impl Driver {
    /// Records that the store is refilled, if it was lost.
    pub(super) fn end_refill(&mut self) {
        let Some(end) = self.refill.take() else { return };
        tracing::info!("the lost store is refilled");
        self.handle.shared.refilling.store(false, Ordering::Relaxed);
        let environment = Arc::clone(&self.environment);
        tokio::spawn(async move {
            // A crash before that is harmless: the next start waits for a peer once more.
            loop {
                let end = Arc::clone(&end);
                match environment.blocking(move || end()).await {
                    Some(Ok(())) => return,
                    Some(Err(error)) => tracing::warn!(%error, "cannot record that the store was refilled"),
                    None => tracing::warn!("cannot record that the store was refilled"),
                }
                tokio::time::sleep(TRY_AGAIN_AFTER).await;
            }
        });
    }
}
