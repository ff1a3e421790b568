//! Read marks: how far a user has read a room.

use starling_protocol::{
    EventBody, EventDraft, FoldedVector, MessageId, Pos, RoomId, Scope, UserId, VersionVector,
    event::{FoldedReadMarked, ReadMarked},
    limits::{READ_MARK_EVENT_ORIGINS_MAX, READ_MARK_EVENTS_MAX},
};

use crate::{
    permissions::{no_such_message, no_such_room, rooms::Denied},
    store::{Decision, Store, StoreError, Tables},
};

/// Origins in one plain mark, at most: if there are more, the most recent, and the next mark holds the rest. One less than
/// fits, for the origin of the message itself.
const ORIGINS_MAX: usize = READ_MARK_EVENTS_MAX * READ_MARK_EVENT_ORIGINS_MAX - 1;
/// Entries of a mark that differ from its fold, at most. With more, it is a plain one: the reader has seen little.
const DIFFERENCE_MAX: usize = 1_000;

/// A read mark that a user wants to set.
#[derive(Clone, Debug)]
pub struct Mark {
    room: RoomId,
    pos: Pos,
    /// The events that the user was sent.
    seen: VersionVector,
    /// Of each origin that has written in the room since the last mark: the last event that the user was sent.
    written: Vec<Pos>,
    /// Whether all linked peers know marks over folds.
    pub over_folds: bool,
}

/// Returns the read mark of a member who has read the room up to `message`. `seen` covers the events they were sent;
/// `None` stands for all that this node holds.
pub fn mark(
    store: &Store,
    user: UserId,
    room: RoomId,
    message: MessageId,
    seen: Option<&VersionVector>,
) -> Result<Mark, Denied> {
    let held = if seen.is_none() { store.vector()? } else { VersionVector::default() };
    let mut reader = store.room_reader()?;
    if reader.records().role(room, user)?.is_none() {
        return Err(no_such_room().into());
    }
    let found = reader.messages.find_by_listed_id(message)?.filter(|(listed_in, _)| *listed_in == room);
    let Some((_, message)) = found else { return Err(no_such_message().into()) };
    let seen = seen.cloned().unwrap_or(held);
    // Marks are merged: a plain one needs only what earlier ones don't have.
    let known = reader.read_mark(user, room)?.map(|known| known.seen).unwrap_or_default();
    let written = reader.messages.last_events_in(room, &known, &seen)?;
    Ok(Mark { room, pos: message.pos, seen, written, over_folds: true })
}

/// Writes a mark, unless it adds nothing to the present one.
pub fn decide(tables: &Tables<'_>, user: UserId, mark: &Mark) -> Result<Decision, StoreError> {
    if tables.records.role(mark.room, user)?.is_none() {
        return Ok(Decision::Refuse(no_such_room()));
    }
    let known = tables.read_mark(user, mark.room)?;
    let covers = |pos: &Pos| known.as_ref().is_some_and(|known| known.seen.contains(pos.origin, pos.seq));
    let is_known = mark.written.iter().chain([&mark.pos]).all(covers);
    if is_known && known.as_ref().is_some_and(|known| known.pos >= mark.pos) {
        return Ok(Decision::Nothing);
    }
    let scope = Scope::user(user);
    if let Some(folded) = over_fold(tables, mark, known.as_ref().map(|known| &known.seen)) {
        return Ok(Decision::one(scope, folded));
    }
    let parts = plain(mark).split().into_iter();
    Ok(Decision::Write(parts.map(|part| EventDraft::new(scope.clone(), part)).collect()))
}

/// The mark over the newest fold; `None` without folds. It covers all that the present mark does: should older folds drop
/// out of the mark, nothing that was read is unread again.
fn over_fold(tables: &Tables<'_>, mark: &Mark, known: Option<&VersionVector>) -> Option<EventBody> {
    let base = tables.log_base().filter(|_| mark.over_folds)?;
    let mut seen = mark.seen.clone();
    seen.rebase(base);
    if let Some(known) = known {
        seen.merge(known);
    }
    seen.advance(mark.pos.origin, mark.pos.seq);
    let seen = FoldedVector::new(&seen).filter(|seen| seen.difference.len() <= DIFFERENCE_MAX)?;
    Some(FoldedReadMarked { room: mark.room, pos: mark.pos, seen: vec![seen] }.into())
}

fn plain(mark: &Mark) -> ReadMarked {
    let mut written = mark.written.clone();
    if written.len() > ORIGINS_MAX {
        written.sort_unstable_by(|a, b| b.cmp(a));
        written.truncate(ORIGINS_MAX);
    }
    let mut seen: VersionVector = written.into_iter().map(|last| (last.origin, last.seq)).collect();
    // The user has seen this message, and so all that its origin wrote before; the cursor may lag behind.
    seen.advance(mark.pos.origin, mark.pos.seq);
    ReadMarked { room: mark.room, pos: mark.pos, seen }
}
