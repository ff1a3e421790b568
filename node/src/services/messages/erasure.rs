//! Takes what was deleted as a whole, rooms and accounts, out of the log, a few events in each commit, so that nobody
//! waits behind it; and all that was erased out of the free pages of the store's file.

use std::{sync::Arc, time::Duration};

use starling_web::lane::Lanes;
use tokio::time::{Instant, sleep, timeout_at};

use crate::{
    disk_space::DiskSpace,
    services::context::ServiceContext,
    store::{Op, OpResult, RecordsReader, SCRUB_STEP_BYTES, Store},
    supervisor::SupervisedTask,
};

/// How often it looks whether there is something, while there are commits; after a refusal, when it tries again.
const EVERY: Duration = Duration::from_secs(1);
/// Between two steps of a scrub, so that posts have the disk most of the time.
const BETWEEN_STEPS: Duration = Duration::from_millis(20);

/// How long reads take, at most, that hold back pages of before a scrub.
const READS_END: Duration = Duration::from_secs(1);
/// When a scrub that could not go on is tried again.
const TRY_AGAIN: Duration = Duration::from_mins(1);

/// How the store's file is scrubbed.
#[derive(Debug)]
pub struct Scrubbing {
    /// What may be used of the disk.
    pub space: DiskSpace,
    /// How long what was erased may stay in free pages of a running node.
    pub after: Duration,
}

/// The part that erases.
pub struct Erasure {
    context: ServiceContext,
    lanes: Arc<Lanes>,
    scrubbing: Scrubbing,
    /// When to scrub, if something was erased.
    due: Option<Instant>,
}

impl Erasure {
    /// What a start could not finish goes on at once.
    pub fn new(context: ServiceContext, lanes: Arc<Lanes>, scrubbing: Scrubbing) -> Self {
        Self { context, lanes, scrubbing, due: Some(Instant::now()) }
    }

    /// Overwrites what is free in the file, if something was erased and it is time.
    async fn scrub(&mut self) {
        let Ok(needed) = self.context.read(Store::scrub).await else {
            self.due = Some(Instant::now() + TRY_AGAIN);
            return;
        };
        let Some(needed) = needed else {
            self.due = None;
            return;
        };
        if *self.due.get_or_insert_with(|| Instant::now() + self.scrubbing.after) > Instant::now() {
            return;
        }
        let (mut scrub, mut again) = (needed.clone(), Some(needed));
        loop {
            if !self.scrubbing.space.has_besides_reserve(SCRUB_STEP_BYTES) {
                tracing::warn!("no room on the disk to overwrite what was erased: it is tried again");
                self.due = Some(Instant::now() + self.scrubbing.after.min(TRY_AGAIN));
                return;
            }
            let step = self.context.read(move |store| store.scrub_step(&mut scrub).map(|more| (scrub, more)));
            match step.await {
                Ok((same, true)) => scrub = same,
                // A read that was slow may have held pages back: once more, when it has ended.
                Ok((_, false)) => match again.take() {
                    Some(needed) => {
                        scrub = needed;
                        sleep(READS_END).await;
                    }
                    None => break,
                },
                Err(_) => {
                    self.due = Some(Instant::now() + TRY_AGAIN);
                    return;
                }
            }
            sleep(BETWEEN_STEPS).await;
        }
        tracing::info!("what was erased is gone from the store's file, too");
        self.due = None;
    }
}

impl SupervisedTask for Erasure {
    fn name(&self) -> &'static str {
        "erasure"
    }

    async fn run(&mut self) {
        let mut commits = self.lanes.watch_commits();
        loop {
            commits.mark_unchanged();
            if self.context.look(RecordsReader::has_to_erase).await.unwrap_or(true) {
                while self.context.writer.commit_internal(Op::Erase).await
                    == Some(OpResult::Erased { more: true })
                {}
            } else {
                self.scrub().await;
                let changed = commits.changed();
                let ended = match self.due {
                    Some(due) => timeout_at(due, changed).await.is_ok_and(|changed| changed.is_err()),
                    None => changed.await.is_err(),
                };
                if ended {
                    return;
                }
            }
            sleep(EVERY).await;
        }
    }
}
