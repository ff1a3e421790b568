//! Derives views from the log again: all for `starling verify --rebuild`, and those that migration steps change. It runs in
//! bounded transactions, each with the progress, so that an interrupted rebuild goes on at the next open.

use std::time::{Duration, Instant};

use bytes::Bytes;
use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, WriteTransaction};
use serde::{Deserialize, Serialize};
use starling_protocol::{Event, codec, limits::VIEW_ROW_BYTES_MAX};

use super::{
    Store, StoreError,
    apply::{self, Tables},
    digests,
    tables::{self, REBUILD},
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

/// In `META` while views are being derived again. Earlier versions wrote 1, and derived all of them from the beginning.
const REBUILDING: &str = "rebuilding";
/// Its value if [`REBUILD`] says what is left to do.
const WITH_PLAN: u64 = 2;
const PLAN: &str = "plan";

/// How far a rebuild is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Events that are done.
    pub done: u64,
    /// Events to be done.
    pub total: u64,
}

/// The stages of a rebuild.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Stage {
    /// The views are being cleared.
    Clear,
    /// They are derived from the events that concern them.
    Derive,
    /// Events of kinds that an earlier version did not know are applied, as if they arrived now.
    Learn,
}

/// A rebuild, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The views to derive again.
    views: ViewSet,
    /// The kinds that became known.
    kinds: Vec<u16>,
    stage: Stage,
    /// The key in the log at which the stage goes on.
    next: [u8; 32],
    /// Events of the stage that are done.
    done: u64,
}

impl Plan {
    /// Derives some views again, and applies the events of some kinds that were unknown until now.
    pub fn new(views: ViewSet, kinds: &[u16]) -> Self {
        // Deriving all views applies them, too.
        let kinds = if views == ViewSet::ALL { Vec::new() } else { kinds.to_vec() };
        let stage = if views.is_empty() { Stage::Learn } else { Stage::Clear };
        Self { views, kinds, stage, next: [0; 32], done: 0 }
    }

    fn is_empty(&self) -> bool {
        self.views.is_empty() && self.kinds.is_empty()
    }

    /// One rebuild for both. One that has begun can't grow: an event that it has applied must not be applied again.
    fn and(self, other: &Self) -> Self {
        let has_begun = self.next != [0; 32] || self.stage == Stage::Derive;
        if has_begun && !other.is_empty() {
            return Self::new(ViewSet::ALL, &[]);
        }
        Self::new(self.views | other.views, &[&self.kinds[..], &other.kinds].concat())
    }

    /// Whether the stage applies events of a kind.
    fn applies(&self, kind: u16) -> bool {
        match self.stage {
            Stage::Clear => false,
            Stage::Derive => self.views.is_changed_by(kind) && !self.kinds.contains(&kind),
            Stage::Learn => self.kinds.contains(&kind),
        }
    }

    fn written_views(&self) -> ViewSet {
        if self.stage == Stage::Learn { ViewSet::ALL } else { self.views }
    }

    /// The next stage; `None` at the end.
    fn advanced(self) -> Option<Self> {
        let stage = match self.stage {
            Stage::Clear => Stage::Derive,
            Stage::Derive if !self.kinds.is_empty() => Stage::Learn,
            Stage::Derive | Stage::Learn => return None,
        };
        Some(Self { stage, next: [0; 32], done: 0, ..self })
    }

    fn progress(&self, events: u64) -> Progress {
        let stages = u64::from(!self.views.is_empty()) + u64::from(!self.kinds.is_empty());
        let before = if self.stage == Stage::Learn && !self.views.is_empty() { events } else { 0 };
        Progress { done: before + self.done, total: stages * events }
    }

    /// Reads the rebuild that a transaction finds unfinished.
    fn found(transaction: &WriteTransaction) -> Result<Option<Self>, StoreError> {
        let mark = transaction.open_table(tables::META)?.get(REBUILDING)?.map(|mark| mark.value());
        let stored = transaction.open_table(REBUILD)?;
        let plan = stored.get(PLAN)?.map(|plan| plan.value().to_vec());
        Ok(match mark {
            None => None,
            Some(WITH_PLAN) if let Some(plan) = plan => Some(codec::decode(&plan, VIEW_ROW_BYTES_MAX)?),
            Some(_) => Some(Self::new(ViewSet::ALL, &[])),
        })
    }

    fn write(&self, transaction: &WriteTransaction) -> Result<(), StoreError> {
        transaction.open_table(tables::META)?.insert(REBUILDING, WITH_PLAN)?;
        transaction.open_table(REBUILD)?.insert(PLAN, &codec::encode(self)[..])?;
        Ok(())
    }

    fn remove(transaction: &WriteTransaction) -> Result<(), StoreError> {
        transaction.open_table(tables::META)?.remove(REBUILDING)?;
        transaction.open_table(REBUILD)?.remove(PLAN)?;
        Ok(())
    }
}

/// Adds to the rebuild that the next open runs; an empty log needs none.
pub(super) fn plan_rebuild(transaction: &WriteTransaction, plan: &Plan) -> Result<(), StoreError> {
    let is_empty = transaction.open_table(tables::LOG)?.is_empty()?;
    if is_empty || plan.is_empty() {
        return Ok(());
    }
    match Plan::found(transaction)? {
        Some(unfinished) => unfinished.and(plan),
        None => plan.clone(),
    }
    .write(transaction)
}

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
        write_transaction(&self.db, |transaction| Plan::new(ViewSet::ALL, &[]).write(transaction))?;
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
                    self.run_stage(&mut plan, |now| report(now.progress(events)))?
                }
            }
            let ended = plan.clone();
            let next = plan.advanced();
            write_transaction(&self.db, |transaction| {
                if ended.stage == Stage::Clear && ended.views == ViewSet::ALL {
                    apply::clear_views(transaction)?;
                }
                next.as_ref().map_or_else(|| Plan::remove(transaction), |next| next.write(transaction))
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
            plan.write(transaction)
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
    if marked { write_transaction(db, Plan::found) } else { Ok(None) }
}
