//! The rest of a rebuild of views. It is kept in the store, so that an interrupted rebuild goes on at the next open.

use redb::{ReadableTable, ReadableTableMetadata, WriteTransaction};
use serde::{Deserialize, Serialize};
use starling_protocol::{codec, limits::VIEW_ROW_BYTES_MAX};

use super::{
    tables::{self, REBUILD},
    view_set::ViewSet,
};

/// In `META` while views are being derived again. Earlier versions wrote 1, and derived all of them from the beginning.
pub const REBUILDING: &str = "rebuilding";
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
pub enum Stage {
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
    pub views: ViewSet,
    /// The kinds that became known.
    kinds: Vec<u16>,
    /// The stage that it has reached.
    pub stage: Stage,
    /// The key in the log at which the stage goes on.
    pub next: [u8; 32],
    /// Events of the stage that are done.
    pub done: u64,
}

impl Plan {
    /// Derives some views again, and applies the events of some kinds that were unknown until now.
    pub fn new(views: ViewSet, kinds: &[u16]) -> Self {
        // Deriving all views applies them, too.
        let kinds = if views == ViewSet::ALL { Vec::new() } else { kinds.to_vec() };
        let stage = if views.is_empty() { Stage::Learn } else { Stage::Clear };
        Self { views, kinds, stage, next: [0; 32], done: 0 }
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
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
    pub fn applies(&self, kind: u16) -> bool {
        match self.stage {
            Stage::Clear => false,
            Stage::Derive => self.views.is_changed_by(kind) && !self.kinds.contains(&kind),
            Stage::Learn => self.kinds.contains(&kind),
        }
    }

    /// The views that the stage writes.
    pub fn written_views(&self) -> ViewSet {
        if self.stage == Stage::Learn { ViewSet::ALL } else { self.views }
    }

    /// The next stage; `None` at the end.
    pub fn advanced(self) -> Option<Self> {
        let stage = match self.stage {
            Stage::Clear => Stage::Derive,
            Stage::Derive if !self.kinds.is_empty() => Stage::Learn,
            Stage::Derive | Stage::Learn => return None,
        };
        Some(Self { stage, next: [0; 32], done: 0, ..self })
    }

    /// How far it is in a log of so many events.
    pub fn progress(&self, events: u64) -> Progress {
        let stages = u64::from(!self.views.is_empty()) + u64::from(!self.kinds.is_empty());
        let before = if self.stage == Stage::Learn && !self.views.is_empty() { events } else { 0 };
        Progress { done: before + self.done, total: stages * events }
    }

    /// Reads the rebuild that a transaction finds unfinished.
    pub fn found(transaction: &WriteTransaction) -> Result<Option<Self>, redb::Error> {
        let mark = transaction.open_table(tables::META)?.get(REBUILDING)?.map(|mark| mark.value());
        let stored = transaction.open_table(REBUILD)?;
        let plan = stored.get(PLAN)?.map(|plan| plan.value().to_vec());
        Ok(match mark {
            None => None,
            Some(WITH_PLAN)
                if let Some(Ok(plan)) = plan.map(|plan| codec::decode(&plan, VIEW_ROW_BYTES_MAX)) =>
            {
                Some(plan)
            }
            Some(_) => Some(Self::new(ViewSet::ALL, &[])),
        })
    }

    /// Keeps how far it is.
    pub fn write(&self, transaction: &WriteTransaction) -> Result<(), redb::Error> {
        transaction.open_table(tables::META)?.insert(REBUILDING, WITH_PLAN)?;
        transaction.open_table(REBUILD)?.insert(PLAN, &codec::encode(self)[..])?;
        Ok(())
    }

    /// Ends it.
    pub fn remove(transaction: &WriteTransaction) -> Result<(), redb::Error> {
        transaction.open_table(tables::META)?.remove(REBUILDING)?;
        transaction.open_table(REBUILD)?.remove(PLAN)?;
        Ok(())
    }
}

/// Adds to the rebuild that the next open runs; an empty log needs none.
pub fn plan_rebuild(transaction: &WriteTransaction, plan: &Plan) -> Result<(), redb::Error> {
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
