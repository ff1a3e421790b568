//! Derives views from the log again: all for `starling verify --rebuild`, and those that migration steps change. It runs in
//! bounded transactions, each with the progress, so that an interrupted rebuild goes on at the next open.

use std::time::{Duration, Instant};

use bytes::Bytes;
use redb::{Database, ReadableDatabase};
use starling_protocol::Event;

use super::{
    Store, StoreError,
    apply::{self, Tables},
    digests,
    plan::{Plan, Progress, REBUILDING, Stage},
    tables,
    verify::successor,
    view_set::ViewSet,
    write_transaction,
};

/// Events applied, or rows cleared, in one transaction: limits its memory.
const BATCH: usize = if cfg!(test) { 7 } else { 5_000 };
/// Events looked at for one transaction, of which few may concern the views.
const LOOKED_AT: usize = if cfg!(test) { 11 } else { 50_000 };
/// The interval of log lines about the progress.
const LOG_EVERY: Duration = Duration::from_secs(2);

/// Events of the log that concern a stage.
struct LogPage {
    events: Vec<Event>,
    /// The number of events that were looked at.
    looked_at: u64,
    /// The key of the last one; `None` at the end of the log.
    last: Option<[u8; 32]>,
}

impl Store {
    /// Drops all views and derives them from the log again; `progress` receives the number of finished events.
    pub fn rebuild(&self, mut progress: impl FnMut(u64)) -> Result<(), StoreError> {
        write_transaction(&self.db, |transaction| Ok(Plan::new(ViewSet::ALL, &[]).write(transaction)?))?;
        self.resume_rebuild(&mut |now| progress(now.done))
    }

    /// Finishes the rebuild that a migration has planned, or that was interrupted.
    pub(super) fn resume_rebuild(&self, progress: &mut dyn FnMut(Progress)) -> Result<(), StoreError> {
        let Some(mut plan) = unfinished(&self.db)? else { return Ok(()) };
        let events = digests::vector_in(&self.db.begin_read()?)?.iter().map(|(_, seq)| seq.0).sum();
        let Progress { done, total } = plan.progress(events);
        tracing::info!(done, total, "deriving views from the log; the node starts when that is done");
        let (began, mut logged) = (Instant::now(), Instant::now());
        let mut report = |now: Progress| {
            if logged.elapsed() >= LOG_EVERY {
                logged = Instant::now();
                tracing::info!(done = now.done, total = now.total, "deriving views from the log");
            }
            progress(now);
        };
        loop {
            report(plan.progress(events));
            match plan.stage {
                Stage::Clear if plan.views != ViewSet::ALL => self.clear_views(plan.views)?,
                Stage::Clear => {}
                Stage::Derive | Stage::Learn => {
                    self.run_stage(&mut plan, |now| report(now.progress(events)))?;
                }
            }
            let ended = plan.clone();
            let next = plan.advanced();
            write_transaction(&self.db, |transaction| {
                if ended.stage == Stage::Clear && ended.views == ViewSet::ALL {
                    apply::clear_views(transaction)?;
                }
                Ok(next.as_ref().map_or_else(|| Plan::remove(transaction), |next| next.write(transaction))?)
            })?;
            match next {
                Some(next) => plan = next,
                None => break,
            }
        }
        progress(Progress { done: total, total });
        tracing::info!(seconds = began.elapsed().as_secs_f64(), "all views are derived");
        Ok(())
    }

    /// Removes the rows of some views. It begins again after an interruption, and finds what is left.
    fn clear_views(&self, views: ViewSet) -> Result<(), StoreError> {
        let mut from = Some(Vec::new());
        while self.in_tables(|tables| tables.clear_some(views, &mut from, BATCH))? {}
        Ok(())
    }

    /// Applies the events of a stage from the key on at which it stopped.
    fn run_stage(&self, plan: &mut Plan, mut progress: impl FnMut(&Plan)) -> Result<(), StoreError> {
        loop {
            let LogPage { events, looked_at, last } = self.log_page(plan)?;
            let Some(last) = last else { return Ok(()) };
            (plan.next, plan.done) = (successor(last), plan.done + looked_at);
            self.apply_page(plan, &events)?;
            progress(plan);
        }
    }

    /// Applies events together with the mark of how far the rebuild is.
    fn apply_page(&self, plan: &Plan, events: &[Event]) -> Result<(), StoreError> {
        write_transaction(&self.db, |transaction| {
            let mut tables = Tables::open(transaction)?;
            tables.write_only(plan.written_views());
            for event in events {
                let kept = tables.rewrite_as_stub_if_deleted(event)?;
                tables.apply(&kept)?;
            }
            tables.flush()?;
            drop(tables);
            Ok(plan.write(transaction)?)
        })
    }

    /// Reads on in the log, in a transaction of its own: a long one grows the file.
    fn log_page(&self, plan: &Plan) -> Result<LogPage, StoreError> {
        let log = self.db.begin_read()?.open_table(tables::LOG)?;
        let mut page = LogPage { events: Vec::new(), looked_at: 0, last: None };
        for row in log.range::<&[u8; 32]>(&plan.next..)?.take(LOOKED_AT) {
            let (key, bytes) = row?;
            (page.last, page.looked_at) = (Some(*key.value()), page.looked_at + 1);
            if plan.views == ViewSet::ALL || plan.applies(Event::kind_of(bytes.value())?) {
                page.events.push(Event::decode(Bytes::copy_from_slice(bytes.value()))?);
                if page.events.len() == BATCH {
                    break;
                }
            }
        }
        Ok(page)
    }

    /// Changes tables in one transaction.
    pub(super) fn in_tables<T>(
        &self,
        change: impl FnOnce(&mut Tables<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        write_transaction(&self.db, |transaction| {
            let mut tables = Tables::open(transaction)?;
            let changed = change(&mut tables)?;
            tables.flush()?;
            Ok(changed)
        })
    }
}

/// Reads the rebuild that is not finished.
fn unfinished(db: &Database) -> Result<Option<Plan>, StoreError> {
    let marked = db.begin_read()?.open_table(tables::META)?.get(REBUILDING)?.is_some();
    if marked { write_transaction(db, |transaction| Ok(Plan::found(transaction)?)) } else { Ok(None) }
}
