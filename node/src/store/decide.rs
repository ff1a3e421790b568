//! Decisions that are taken within a commit, in the light of what holds then: so no other write comes between.

use std::{borrow::Cow, fmt, sync::Arc};

use starling_protocol::{ErrorCode, EventBody, EventDraft, Hlc, Refusal, RoomId, Scope, Sender};

use super::{StoreError, apply::Tables};

/// What a decision within a commit comes to.
#[derive(Clone, Debug)]
pub enum Decision {
    /// These are to be events, in this order.
    Write(Vec<EventDraft>),
    /// All is as it is wanted.
    Nothing,
    /// It may not be.
    Refuse(Refusal),
}

impl Decision {
    /// One event.
    pub fn one(scope: Scope, body: impl Into<EventBody>) -> Self {
        Self::Write(vec![EventDraft::new(scope, body)])
    }

    /// One event, stamped above what it replaces.
    pub fn one_above(min_hlc: Hlc, scope: Scope, body: impl Into<EventBody>) -> Self {
        Self::Write(vec![EventDraft::new(scope, body).above(min_hlc)])
    }

    /// A refusal.
    pub fn refuse(code: ErrorCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::Refuse(Refusal::new(code, detail))
    }
}

/// Decides, at the commit, whether a sender may post in a room; returns the refusal if not. The store asks only about a
/// message that it doesn't hold yet.
pub type PostCheck = fn(&Tables<'_>, RoomId, &Sender) -> Result<Option<Refusal>, StoreError>;

type DecideFn = dyn Fn(&Tables<'_>) -> Result<Decision, StoreError> + Send + Sync;

/// Decides, in the light of what holds at the commit, what is to be written. Called once, by the writer, which waits:
/// it looks a few records up and does nothing else.
#[derive(Clone)]
pub struct Decide(Arc<DecideFn>);

impl Decide {
    /// A decision.
    pub fn new(decide: impl Fn(&Tables<'_>) -> Result<Decision, StoreError> + Send + Sync + 'static) -> Self {
        Self(Arc::new(decide))
    }

    /// Decides.
    pub(super) fn decide(&self, tables: &Tables<'_>) -> Result<Decision, StoreError> {
        (self.0)(tables)
    }
}

impl fmt::Debug for Decide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decide")
    }
}
