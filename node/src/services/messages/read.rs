//! Read marks: how far a user has read a room.

use starling_protocol::{
    EventDraft, MessageId, RoomId, Scope, UserId, VersionVector,
    event::ReadMarked,
    limits::{READ_MARK_EVENT_ORIGINS_MAX, READ_MARK_EVENTS_MAX},
};

use crate::{
    permissions::{no_such_message, no_such_room, rooms::Denied},
    store::{Decision, Store, StoreError, Tables},
};

/// Origins in one mark, at most: if there are more, the most recent, and the next mark holds the rest. One less than fits,
/// for the origin of the message itself.
const ORIGINS_MAX: usize = READ_MARK_EVENTS_MAX * READ_MARK_EVENT_ORIGINS_MAX - 1;

/// Returns the read mark of a member who has read the room up to `message`. `seen` covers the events they were sent;
/// `None` stands for all that this node holds.
pub fn mark(
    store: &Store,
    user: UserId,
    room: RoomId,
    message: MessageId,
    seen: Option<&VersionVector>,
) -> Result<ReadMarked, Denied> {
    let held = if seen.is_none() { store.vector()? } else { VersionVector::default() };
    let mut reader = store.messages()?;
    if reader.records.role(room, user)?.is_none() {
        return Err(no_such_room().into());
    }
    let Some((_, message)) = reader.find_by_listed_id(message)?.filter(|(listed_in, _)| *listed_in == room)
    else {
        return Err(no_such_message().into());
    };
    let pos = message.pos;
    let mut written = reader.last_events_in(room, seen.unwrap_or(&held))?;
    // Marks are merged: this one needs only what earlier ones don't have.
    if let Some(known) = reader.records.read_mark(user, room)? {
        written.retain(|last| !known.seen.contains(last.origin, last.seq));
    }
    if written.len() > ORIGINS_MAX {
        written.sort_unstable_by(|a, b| b.cmp(a));
        written.truncate(ORIGINS_MAX);
    }
    let mut seen: VersionVector = written.into_iter().map(|last| (last.origin, last.seq)).collect();
    // The user has seen this message, and so all that its origin wrote before; the cursor may lag behind.
    seen.advance(pos.origin, pos.seq);
    Ok(ReadMarked { room, pos, seen })
}

/// Writes a mark, unless it adds nothing to the present one.
pub fn decide(tables: &Tables<'_>, user: UserId, mark: &ReadMarked) -> Result<Decision, StoreError> {
    if tables.records.role(mark.room, user)?.is_none() {
        return Ok(Decision::Refuse(no_such_room()));
    }
    let known = tables.records.read_mark(user, mark.room)?;
    if known.is_some_and(|known| known.pos >= mark.pos && known.seen.covers(&mark.seen)) {
        return Ok(Decision::Nothing);
    }
    let drafts = mark.clone().split().into_iter().map(|part| EventDraft::new(Scope::user(user), part));
    Ok(Decision::Write(drafts.collect()))
}
