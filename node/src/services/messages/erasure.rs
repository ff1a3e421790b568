//! Erases deleted rooms and accounts from the log, a few events in each commit so that posts don't wait, and overwrites
//! erased text in the free pages of the store's file.

use std::{sync::Arc, time::Duration};

use starling_web::lane::Lanes;
use tokio::time::{Instant, sleep, timeout_at};

use crate::{
    disk_space::DiskSpace,
    services::context::ServiceContext,
    store::{Op, OpResult, RecordsReader, SCRUB_STEP_BYTES, Store},
    supervisor::SupervisedTask,
};

/// The wait between two checks for something to erase, while there are commits; also the wait after a refusal.
const EVERY: Duration = Duration::from_secs(1);
/// The pause between two steps of a scrub, so that posts have the disk most of the time.
const BETWEEN_STEPS: Duration = Duration::from_millis(20);

/// The pause before the second pass: reads that began before the scrub have probably ended by then.
const BEFORE_SECOND_PASS: Duration = Duration::from_secs(1);
/// The wait before a failed scrub is tried again.
const TRY_AGAIN: Duration = Duration::from_mins(1);

/// Settings of scrubbing the store's file.
#[derive(Debug)]
pub struct Scrubbing {
    /// The free space of the disk, and its reserve.
    pub space: DiskSpace,
    /// How long erased text may stay in free pages while the node runs.
    pub after: Duration,
}

/// The task that erases.
pub struct Erasure {
    context: ServiceContext,
    lanes: Arc<Lanes>,
    scrubbing: Scrubbing,
    /// The time of the next scrub, if something was erased.
    scrub_at: Option<Instant>,
}

impl Erasure {
    /// Makes the task. Its first run scrubs whatever the start left.
    pub fn new(context: ServiceContext, lanes: Arc<Lanes>, scrubbing: Scrubbing) -> Self {
        Self { context, lanes, scrubbing, scrub_at: Some(Instant::now()) }
    }

    /// Overwrites the free pages of the file, if something was erased and the time has come.
    async fn scrub(&mut self) {
        let Ok(begun) = self.context.read(Store::begin_scrub).await else {
            self.scrub_at = Some(Instant::now() + TRY_AGAIN);
            return;
        };
        let Some(begun) = begun else {
            self.scrub_at = None;
            return;
        };
        if *self.scrub_at.get_or_insert_with(|| Instant::now() + self.scrubbing.after) > Instant::now() {
            return;
        }
        let (mut scrub, mut second_pass) = (begun.clone(), Some(begun));
        loop {
            if !self.scrubbing.space.has_besides_reserve(SCRUB_STEP_BYTES) {
                tracing::warn!("the disk is too full to overwrite erased text; trying again later");
                self.scrub_at = Some(Instant::now() + self.scrubbing.after.min(TRY_AGAIN));
                return;
            }
            let step = self.context.read(move |store| store.scrub_step(&mut scrub).map(|more| (scrub, more)));
            match step.await {
                Ok((same, true)) => scrub = same,
                // A slow read may have held pages back: scrub once more after a pause.
                Ok((_, false)) => match second_pass.take() {
                    Some(begun) => {
                        scrub = begun;
                        sleep(BEFORE_SECOND_PASS).await;
                    }
                    None => break,
                },
                Err(_) => {
                    self.scrub_at = Some(Instant::now() + TRY_AGAIN);
                    return;
                }
            }
            sleep(BETWEEN_STEPS).await;
        }
        tracing::info!("overwrote erased text in the store's file");
        self.scrub_at = None;
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
            if self.context.read_records(RecordsReader::has_pending_erasures).await.unwrap_or(true) {
                while self.context.writer.commit_internal(Op::Erase).await
                    == Some(OpResult::Erased { more: true })
                {}
            } else {
                self.scrub().await;
                let changed = commits.changed();
                let ended = match self.scrub_at {
                    Some(scrub_at) => {
                        timeout_at(scrub_at, changed).await.is_ok_and(|changed| changed.is_err())
                    }
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
