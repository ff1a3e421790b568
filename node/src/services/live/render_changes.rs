//! Renders changes as frames for a user, with the present state of what has changed.

use starling_protocol::{RoomId, UserId, event::MessageKey, merge::contact::Relation};
use starling_web::{
    live_frame::{LiveFrame, RoomChange},
    service::LiveChange,
};

use crate::{
    permissions::{
        self,
        rooms::{Denied, known_room},
    },
    services::render,
    store::{RoomReader, Store, StoreError},
};

/// The frames of the changes that the user may see.
pub fn frames(store: &Store, user: UserId, changes: &[LiveChange]) -> Result<Vec<String>, StoreError> {
    let mut reader = store.room_reader()?;
    let mut frames = Vec::with_capacity(changes.len());
    for change in changes {
        frames.extend(match *change {
            LiveChange::Message { room, key, fresh } => message(&mut reader, user, room, key, fresh)?,
            LiveChange::Read { room, user: who } => read(&mut reader, user, room, who)?,
            LiveChange::Room { room, change } => Some(self::room(&mut reader, user, room, change)?.0),
            LiveChange::Contact(other) => {
                let contact = render::contact(reader.records(), user, other)?;
                Some(LiveFrame::Contact { contact: &contact }.to_json())
            }
        });
    }
    Ok(frames)
}

fn message(
    reader: &mut RoomReader,
    user: UserId,
    room: RoomId,
    key: MessageKey,
    fresh: bool,
) -> Result<Option<String>, StoreError> {
    let Some((_, message)) = reader.messages.message(key)?.filter(|(listed_in, _)| *listed_in == room) else {
        return Ok(None);
    };
    if !permissions::may_see(reader.records(), room, user, &message.posted.sender)? {
        return Ok(None);
    }
    if message.posted.is_erased() {
        let (room_id, id) = (room.to_string(), message.listed_id.to_string());
        return Ok(Some(LiveFrame::MessageDeleted { room_id, id }.to_json()));
    }
    let message = &render::message_object(&reader.messages, room, &message)?;
    let frame = if fresh { LiveFrame::Message { message } } else { LiveFrame::MessageUpdated { message } };
    Ok(Some(frame.to_json()))
}

/// The frame of a read mark. The mark of the other user of a direct room is shown only while they are contacts.
fn read(
    reader: &mut RoomReader,
    user: UserId,
    room: RoomId,
    who: UserId,
) -> Result<Option<String>, StoreError> {
    let records = reader.records();
    let may_see = who == user || records.relation(user, who)? == Relation::Accepted;
    if !may_see || records.role(room, user)?.is_none() {
        return Ok(None);
    }
    let Some(mark) = records.read_mark(who, room)? else { return Ok(None) };
    let Some(message) = reader.messages.find_at(mark.pos)? else { return Ok(None) };
    let (room_id, user_id) = (room.to_string(), who.to_string());
    let message_id = message.listed_id.to_string();
    Ok(Some(LiveFrame::Read { room_id, user_id, message_id }.to_json()))
}

/// The frame of a room, as the user sees it, and whether they are a member.
pub fn room(
    reader: &mut RoomReader,
    user: UserId,
    room: RoomId,
    change: RoomChange,
) -> Result<(String, bool), StoreError> {
    // A user who may no longer know of the room gets only its id.
    let is_known = match known_room(reader.records(), room, user) {
        Ok(_) => true,
        Err(Denied::Refused(_)) => false,
        Err(Denied::Failed(error)) => return Err(error),
    };
    let known = if is_known { render::room_object(reader, room, user)? } else { None };
    let room = known.unwrap_or_else(|| render::gone_room(room));
    let change = match (&room.role, change) {
        (None, _) => RoomChange::Removed,
        (Some(_), RoomChange::Removed) => RoomChange::Updated,
        (Some(_), change) => change,
    };
    Ok((LiveFrame::Room { room: &room, change }.to_json(), room.role.is_some()))
}
