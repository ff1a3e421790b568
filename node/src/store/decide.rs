//! Decisions made within a commit, on the state at that moment: no other write can come between check and write.

use std::{borrow::Cow, fmt, sync::Arc};

use starling_protocol::{
    ErrorCode, EventBody, EventDraft, Hlc, Refusal, RoomId, Scope, Sender, limits::EVENT_BYTES_MAX, texts,
};

use super::{StoreError, apply::Tables};

/// The outcome of a decision within a commit.
#[derive(Clone, Debug)]
pub enum Decision {
    /// Write these events, in this order.
    Write(Vec<EventDraft>),
    /// Write nothing: the state is already as requested.
    Nothing,
    /// Refuse the request.
    Refuse(Refusal),
}

impl Decision {
    /// Writes one event.
    pub fn one(scope: Scope, body: impl Into<EventBody>) -> Self {
        Self::Write(vec![EventDraft::new(scope, body)])
    }

    /// Writes one event with a stamp above `above_hlc`, that of the event that it replaces.
    pub fn one_above(above_hlc: Hlc, scope: Scope, body: impl Into<EventBody>) -> Self {
        Self::Write(vec![EventDraft::new(scope, body).above(above_hlc)])
    }

    /// Refuses with a code and a text for the user.
    pub fn refuse(code: ErrorCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::Refuse(Refusal::new(code, detail))
    }
}

/// Decides, at the commit, whether a sender may post in a room; returns the refusal if not. The store asks only about a
/// message that it doesn't hold yet.
pub type PostCheck = fn(&Tables<'_>, RoomId, &Sender) -> Result<Option<Refusal>, StoreError>;

type DecideFn = dyn Fn(&Tables<'_>) -> Result<Decision, StoreError> + Send + Sync;

/// A function that decides at the commit what to write. The writer calls it once and waits for it, so it must only look
/// up a few records.
#[derive(Clone)]
pub struct Decide(Arc<DecideFn>);

impl Decide {
    /// Wraps the function.
    pub fn new(decide: impl Fn(&Tables<'_>) -> Result<Decision, StoreError> + Send + Sync + 'static) -> Self {
        Self(Arc::new(decide))
    }

    /// Calls the function.
    pub(super) fn decide(&self, tables: &Tables<'_>) -> Result<Decision, StoreError> {
        (self.0)(tables)
    }
}

impl fmt::Debug for Decide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decide")
    }
}

/// An event is too long: neither peers nor the next start of this node would accept it.
pub(super) fn too_long() -> Refusal {
    Refusal::new(ErrorCode::TooLarge, texts::request::too_long_to_store(EVENT_BYTES_MAX))
}

/// The id of a message was used for another one.
pub(super) fn id_reused() -> Refusal {
    Refusal::new(ErrorCode::IdReused, texts::rooms::ID_REUSED)
}
