//! Takes what was deleted as a whole, rooms and accounts, out of the log, a few events in each commit, so that nobody
//! waits behind it.

use std::{sync::Arc, time::Duration};

use starling_web::lane::Lanes;
use tokio::time::sleep;

use crate::{
    services::base::Base,
    store::{Op, OpResult, RecordsReader},
    supervisor::Part,
};

/// How often it looks whether there is something, while there are commits; after a refusal, when it tries again.
const EVERY: Duration = Duration::from_secs(1);

/// The part that erases.
pub struct Erasure {
    /// What it stands on.
    pub base: Base,
    /// Whether there was a commit.
    pub lanes: Arc<Lanes>,
}

impl Part for Erasure {
    fn name(&self) -> &'static str {
        "erasure"
    }

    async fn run(&mut self) {
        let mut commits = self.lanes.watch_commits();
        loop {
            commits.mark_unchanged();
            if self.base.look(RecordsReader::has_to_erase).await.unwrap_or(true) {
                while self.base.writer.commit_for_nobody(Op::Erase).await
                    == Some(OpResult::Erased { more: true })
                {}
            } else if commits.changed().await.is_err() {
                return;
            }
            sleep(EVERY).await;
        }
    }
}
