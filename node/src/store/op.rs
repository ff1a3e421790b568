//! The operations of a commit, and their results.

use starling_protocol::{Event, Hlc, MessagePosted, NameShared, Pos, Refusal, RoomId, RoomName};

use super::decide::{Decide, PostCheck};

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
