//! Paged lists of rooms, members, bans and invites. A page's token is the key of the next item; for the rooms of a user,
//! it also holds the time as of which the list is sorted.

use starling_protocol::{
    ErrorCode, Hlc, RoomId, UserId,
    event::{InviteMade, Membership, Role},
    limits::PAGE_ITEMS_MAX,
    text::fold_query,
    texts,
};
use starling_web::{
    objects::{Ban, Invite, Member, Room},
    service::{Page, PageRequest, PageToken, Refusal},
};

use crate::{
    auth::ServiceKey,
    permissions::{
        has_hidden_direct_room,
        rooms::{self as may, Denied},
    },
    services::render::{self, room_object},
    store::{Records, RecordsReader, RoomReader, Rows, StoreError},
};

/// Public rooms examined for one page, at most. A page may be shorter because of it.
const PASSED_OVER_MAX: usize = 5 * PAGE_ITEMS_MAX;

/// The rooms of a user, the most recently active first, as of the first page: new activity doesn't move a room between
/// pages, and rooms that the user joins meanwhile are not listed.
pub fn my_rooms(reader: &mut RoomReader, user: UserId, request: &PageRequest) -> Result<Page<Room>, Denied> {
    let after = request.from.as_ref().map(parse_my_rooms_token).transpose()?;
    let as_of = after.map_or(Hlc(u64::MAX), |(as_of, ..)| as_of);
    let mut rooms = Vec::new();
    for (room, member) in reader.records().rooms_of(user)? {
        let Some(state) = reader.records().member_room(room)? else { continue };
        if has_hidden_direct_room(reader.records(), room, user)? {
            continue;
        }
        let created = state.created.map_or(Hlc(0), |(pos, _)| pos.hlc);
        let last = reader.last_pos(room, as_of)?.map_or(Hlc(0), |pos| pos.hlc);
        rooms.push((member.since.max(created).max(last), room));
    }
    rooms.sort_unstable_by(|one, other| other.cmp(one));
    let as_of = after.map(|(as_of, ..)| as_of).or(rooms.first().map(|(last, _)| *last)).unwrap_or_default();
    rooms.retain(|&place| after.is_none_or(|(_, last, room)| place < (last, room)));
    let more = rooms.len() > request.limit;
    rooms.truncate(request.limit);
    let next = rooms.last().filter(|_| more).map(|&(last, room)| my_rooms_token(as_of, last, room));
    let mut items = Vec::new();
    for (_, room) in rooms {
        items.extend(room_object(reader, room, user)?);
    }
    Ok(Page { items, next })
}

fn my_rooms_token(as_of: Hlc, last: Hlc, room: RoomId) -> PageToken {
    PageToken([&as_of.0.to_be_bytes()[..], &last.0.to_be_bytes(), &room.0].concat())
}

fn parse_my_rooms_token(token: &PageToken) -> Result<(Hlc, Hlc, RoomId), Denied> {
    let parse = |bytes: &[u8]| {
        let (as_of, rest) = bytes.split_first_chunk()?;
        let (last, room) = rest.split_first_chunk()?;
        let hlc = |bytes: &[u8; 8]| Hlc(u64::from_be_bytes(*bytes));
        Some((hlc(as_of), hlc(last), RoomId(room.try_into().ok()?)))
    };
    parse(&token.0).ok_or_else(|| Refusal::new(ErrorCode::BadRequest, texts::request::FOREIGN_CURSOR).into())
}

/// Public rooms whose names begin with a text, without those that the user is in or banned from.
pub fn public_rooms(
    reader: &mut RoomReader,
    user: UserId,
    beginning: &str,
    request: &PageRequest,
) -> Result<Page<Room>, StoreError> {
    let mut found = Vec::new();
    let mut next = None;
    let rooms = reader.records().public_rooms(&fold_query(beginning), from(request))?;
    for (passed, row) in rooms.enumerate() {
        let (room, key) = row?;
        if found.len() == request.limit || passed == PASSED_OVER_MAX {
            next = Some(PageToken(key));
            break;
        }
        let member = reader.records().membership_of(room, user)?;
        let may_join = |membership| !matches!(membership, Membership::Member(_) | Membership::Banned);
        if member.is_none_or(|member| may_join(member.membership)) {
            found.push(room);
        }
    }
    let mut items = Vec::new();
    for room in found {
        items.extend(room_object(reader, room, user)?);
    }
    Ok(Page { items, next })
}

/// The members of a room, in the order in which they would inherit it.
pub fn members(
    records: &RecordsReader,
    by: UserId,
    room: RoomId,
    request: &PageRequest,
) -> Result<Page<Member>, Denied> {
    may::role_of_member(records, room, by)?;
    let keyed = |row: Result<(UserId, Vec<u8>), StoreError>| -> Result<_, StoreError> {
        let (user, key) = row?;
        Ok((key, member(records, room, user)?))
    };
    Ok(page(records.members(room, from(request))?.map(keyed), request.limit)?)
}

/// A member of a room; `None` if the user isn't one.
pub fn member<T: Rows>(
    records: &Records<T>,
    room: RoomId,
    user: UserId,
) -> Result<Option<Member>, StoreError> {
    let Some(role) = records.role(room, user)? else { return Ok(None) };
    let Some(member) = records.membership_of(room, user)? else { return Ok(None) };
    let created = records.member_room(room)?.and_then(|room| room.created).map_or(Hlc(0), |(pos, _)| pos.hlc);
    let since = render::time(member.since.max(created));
    Ok(Some(Member { user: render::user(records, user)?, role: role.into(), since }))
}

/// The users banned from a room.
pub fn bans(
    records: &RecordsReader,
    by: UserId,
    room: RoomId,
    request: &PageRequest,
) -> Result<Page<Ban>, Denied> {
    may::role_at_least(records, room, by, Role::Moderator)?;
    let keyed = |row: Result<UserId, StoreError>| -> Result<_, StoreError> {
        let user = row?;
        let banned = records.membership_of(room, user)?;
        let ban = |since| Ok::<_, StoreError>(Ban { user: render::user(records, user)?, since });
        Ok((user.0.to_vec(), banned.map(|banned| ban(render::time(banned.since))).transpose()?))
    };
    Ok(page(records.bans(room, from(request))?.map(keyed), request.limit)?)
}

/// The invites of a room, with codes made under `key`.
pub fn invites(
    records: &RecordsReader,
    by: UserId,
    room: RoomId,
    request: &PageRequest,
    key: &ServiceKey,
) -> Result<Page<Invite>, Denied> {
    may::role_at_least(records, room, by, Role::Moderator)?;
    let keyed = |row: Result<InviteMade, StoreError>| -> Result<_, StoreError> {
        let made = row?;
        let uses = records.invite_uses(room, made.id)?;
        Ok((made.id.0.to_vec(), Some(invite(&made, uses, key))))
    };
    Ok(page(records.invites(room, from(request))?.map(keyed), request.limit)?)
}

/// An invite that was used `uses` times, with a code made under `key`.
pub fn invite(made: &InviteMade, uses: u32, key: &ServiceKey) -> Invite {
    let code = key.invite_code(made.id);
    Invite {
        code: code.to_string(),
        url: format!("/invite/{code}"),
        uses,
        max_uses: made.max_uses,
        expires_at: made.expires_ms.map(render::time_ms),
    }
}

/// The key at which a page begins.
fn from(request: &PageRequest) -> &[u8] {
    request.from.as_ref().map_or(&[], |token| &token.0)
}

/// A page of a keyed list; its token is the key of the next row.
fn page<T>(
    rows: impl Iterator<Item = Result<(Vec<u8>, Option<T>), StoreError>>,
    limit: usize,
) -> Result<Page<T>, StoreError> {
    let mut items = Vec::new();
    for row in rows {
        let (key, item) = row?;
        if items.len() == limit {
            return Ok(Page { items, next: Some(PageToken(key)) });
        }
        items.extend(item);
    }
    Ok(Page { items, next: None })
}
