//! How far somebody has read.

use starling_protocol::{MessageId, RoomId, Scope, UserId, VersionVector, event::ReadMarked};
use starling_web::service::Refusal;

use crate::{
    permissions::{no_such_message, no_such_room},
    store::{Decision, Store, StoreError, Tables},
};

/// The mark of a member who has read a room up to a message when he had been sent what `seen` covers, or all that is
/// here.
pub fn mark(
    store: &Store,
    user: UserId,
    room: RoomId,
    message: MessageId,
    seen: Option<&VersionVector>,
) -> Result<Result<ReadMarked, Refusal>, StoreError> {
    let held = if seen.is_none() { store.vector()? } else { VersionVector::default() };
    let mut reader = store.messages()?;
    if reader.records.role(room, user)?.is_none() {
        return Ok(Err(no_such_room()));
    }
    let Some((_, message)) = reader.listed_as(message)?.filter(|(listed_in, _)| *listed_in == room) else {
        return Ok(Err(no_such_message()));
    };
    let pos = message.pos;
    let mut seen = reader.written_in(room, seen.unwrap_or(&held))?;
    // He has seen this one, so what its origin wrote before it was there, too; cursors lag behind what was sent.
    seen.advance(pos.origin, pos.seq);
    Ok(Ok(ReadMarked { room, pos, seen }))
}

/// Marks are merged by maximum: one that adds nothing is not written.
pub fn decide(tables: &Tables<'_>, user: UserId, mark: &ReadMarked) -> Result<Decision, StoreError> {
    if tables.records.role(mark.room, user)?.is_none() {
        return Ok(Decision::Refuse(no_such_room()));
    }
    let known = tables.records.read_mark(user, mark.room)?;
    if known.is_some_and(|known| known.pos >= mark.pos && known.seen.covers(&mark.seen)) {
        return Ok(Decision::Nothing);
    }
    Ok(Decision::one(Scope::user(user), mark.clone()))
}
