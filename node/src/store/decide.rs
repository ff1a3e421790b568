//! The operations of a commit, and decisions made within it, on the state at that moment: no other write can come between
//! check and write.

use std::{borrow::Cow, fmt, sync::Arc};

use starling_protocol::{
    ErrorCode, Event, EventBody, EventDraft, Hlc, MessagePosted, NameShared, Pos, Refusal, RoomId, RoomName,
    Scope, Sender, limits::EVENT_BYTES_MAX, texts,
};

use super::{StoreError, apply::Tables};

/// An operation of a commit.
#[derive(Clone, Debug)]
pub enum Op {
    /// Make a quick room.
    CreateQuickRoom {
        /// The room's id, drawn at random.
        room: RoomId,
        /// The room's name.
        name: Option<RoomName>,
    },
    /// Post a message.
    Post {
        /// The room.
        room: RoomId,
        /// The message.
        posted: MessagePosted,
        /// The event's stamp must be above this one.
        above_hlc: Option<Hlc>,
        /// Whether the sender may post there.
        check: PostCheck,
    },
    /// Record that a guest of this node shares a name with another guest.
    ShareName {
        /// The room.
        room: RoomId,
        /// The guest, the name, and the start of their session.
        shared: NameShared,
        /// The event's stamp must be above this one: the start of the other guest's session.
        above_hlc: Hlc,
    },
    /// Write what a function decides at the commit.
    Decide(Decide),
    /// Replace some events of deleted messages, rooms and accounts by stubs.
    Erase,
    /// Apply events of other origins, in order per origin.
    Received(Vec<Event>),
}

/// The result of an [`Op`], once its batch is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpResult {
    /// The event is durable at this position. A message that was sent again has the position of its first post.
    Done(Pos),
    /// Nothing was written: the state already was as requested.
    Nothing,
    /// The operation is not allowed.
    Refused(Refusal),
    /// Some events were erased.
    Erased {
        /// Whether more events wait to be erased.
        more: bool,
    },
    /// The events of other origins that continue their logs are durable.
    Received,
}

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
