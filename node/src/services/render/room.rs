//! Makes the room object, as one user sees the room.

use starling_protocol::{
    RoomId, UserId,
    event::{MemberRoomCreated, Visibility},
    merge::room::MemberRoomState,
};
use starling_web::objects::{Room, RoomKind};

use super::{message_object, room_kind, user};
use crate::store::{RoomReader, StoreError, Unread};

/// A room as a user sees it; `None` if it doesn't exist. The caller checks whether the user may know of it
/// (`permissions::rooms::known_room`). Users who aren't members see no messages and no counts of unread ones.
pub fn room_object(
    reader: &mut RoomReader,
    room: RoomId,
    viewer: UserId,
) -> Result<Option<Room>, StoreError> {
    match reader.records().member_room(room)? {
        Some(state) => member_room(reader, room, &state, viewer).map(Some),
        None => quick_room(reader, room, viewer),
    }
}

fn member_room(
    reader: &mut RoomReader,
    id: RoomId,
    state: &MemberRoomState,
    viewer: UserId,
) -> Result<Room, StoreError> {
    let records = reader.records();
    let created = state.created.as_ref().map(|(_, created)| created);
    let peer = match created {
        Some(MemberRoomCreated::Direct { one, other }) => Some(if *one == viewer { *other } else { *one }),
        Some(MemberRoomCreated::Named { .. }) | None => None,
    };
    let mut room = Room {
        id: id.to_string(),
        kind: created.map_or(RoomKind::Room, room_kind),
        visibility: state.visibility().into(),
        name: state.name().map(ToString::to_string).unwrap_or_default(),
        topic: state.topic().as_str().to_owned(),
        role: records.role(id, viewer)?.map(Into::into),
        member_count: records.room_counts(id)?.members.into(),
        unread: 0,
        mentions: 0,
        read_up_to: None,
        last_message: None,
        peer: peer.map(|peer| user(records, peer)).transpose()?,
    };
    let Some(member) = records.membership_of(id, viewer)?.filter(|_| room.role.is_some()) else {
        return Ok(room);
    };
    let mark = records.read_mark_pos(viewer, id)?;
    let Unread { messages, mentions } = reader.unread(id, viewer, &member)?;
    (room.unread, room.mentions) = (messages as u64, mentions as u64);
    if let Some(mark) = mark {
        room.read_up_to = reader.message_at_or_before(id, mark)?.map(|id| id.to_string());
    }
    add_last_message(reader, id, viewer, &mut room)?;
    Ok(room)
}

/// A room that was deleted: nothing is left but its id.
pub fn gone_room(id: RoomId) -> Room {
    empty_room(id, RoomKind::Room)
}

fn empty_room(id: RoomId, kind: RoomKind) -> Room {
    Room {
        id: id.to_string(),
        kind,
        visibility: Visibility::Private.into(),
        name: String::new(),
        topic: String::new(),
        role: None,
        member_count: 0,
        unread: 0,
        mentions: 0,
        read_up_to: None,
        last_message: None,
        peer: None,
    }
}

/// A quick room, which anybody may enter who knows its id.
fn quick_room(reader: &mut RoomReader, id: RoomId, viewer: UserId) -> Result<Option<Room>, StoreError> {
    let Some(name) = reader.quick_room(id)? else { return Ok(None) };
    let mut room = empty_room(id, RoomKind::Quick);
    room.name = name.map(|name| name.to_string()).unwrap_or_default();
    add_last_message(reader, id, viewer, &mut room)?;
    Ok(Some(room))
}

fn add_last_message(
    reader: &mut RoomReader,
    id: RoomId,
    viewer: UserId,
    room: &mut Room,
) -> Result<(), StoreError> {
    if let Some(message) = reader.last_message(id, viewer)? {
        room.last_message = Some(message_object(&reader.messages, id, &message)?);
    }
    Ok(())
}
