//! Who may do what. Decided once, by the node that commits it, in the light of what holds then: services and the
//! store's commit ask here, merging never does.

mod messages;
pub mod rooms;

use starling_protocol::{
    ErrorCode, Refusal, RoomId, Sender, UserId,
    event::{Role, RoomOpened, Stance},
    merge::contact::Relation,
};

pub use self::messages::{may_delete, may_edit, may_see, no_such_message};
use crate::store::{Records, Rows, StoreError, Tables};

/// There is no such room, or none that the asker may know of.
pub fn no_such_room() -> Refusal {
    Refusal::new(ErrorCode::NotFound, "there is no such room")
}

/// Why a user may not administer the service; nothing if he may.
pub fn may_administer<T: Rows>(records: &Records<T>, user: UserId) -> Result<Option<Refusal>, StoreError> {
    let account = records.user(user)?.filter(|account| account.is_admin() && !account.is_disabled());
    let forbidden = || Refusal::new(ErrorCode::Forbidden, "only administrators may do this");
    Ok(account.is_none().then(forbidden))
}

/// Why a user may not stop administering the service; nothing if he may, or does not administer it.
pub fn check_demote<T: Rows>(records: &Records<T>, user: UserId) -> Result<Option<Refusal>, StoreError> {
    if may_administer(records, user)?.is_some() || !records.is_last_administrator(user)? {
        return Ok(None);
    }
    let detail = "this is the last administrator; make another one first";
    Ok(Some(Refusal::new(ErrorCode::Forbidden, detail)))
}

/// There is no such account, or none that the asker may know of.
pub fn no_such_user() -> Refusal {
    Refusal::new(ErrorCode::NotFound, "there is no such user")
}

/// Only contacts write to each other.
pub fn not_contacts() -> Refusal {
    Refusal::new(ErrorCode::NotContacts, "you are not contacts; ask, and wait for a yes")
}

/// Checks, within a commit, whether a sender may post in a room; returns the refusal if not. A quick room needs no
/// permission but its id.
pub fn check_post(tables: &Tables<'_>, room: RoomId, sender: &Sender) -> Result<Option<Refusal>, StoreError> {
    if tables.has_quick_room(room)? {
        return Ok(None);
    }
    match sender.user() {
        Some(user) => may_post(&tables.records, room, user),
        None => Ok(Some(no_such_room())),
    }
}

/// Returns why a user may not post in a room of members; `None` if they may.
pub fn may_post<T: Rows>(
    records: &Records<T>,
    room: RoomId,
    user: UserId,
) -> Result<Option<Refusal>, StoreError> {
    if records.role(room, user)?.is_none() {
        return Ok(Some(no_such_room()));
    }
    if let Some(other) = other_side(records, room, user)?
        && records.user(other)?.is_none()
    {
        let detail = "the other account was deleted: nobody reads what is written here";
        return Ok(Some(Refusal::new(ErrorCode::Forbidden, detail)));
    }
    Ok((!are_in_touch(records, room, user)?).then(not_contacts))
}

/// Whether a user has put a direct room away: they have removed the contact, and not said yes since. Its two members
/// stay what they are, and the other keeps the room on their list.
pub fn has_put_away<T: Rows>(records: &Records<T>, room: RoomId, user: UserId) -> Result<bool, StoreError> {
    let Some(other) = other_side(records, room, user)? else { return Ok(false) };
    Ok(records.sides(user, other)?.mine.is_some_and(|mine| mine.stance == Stance::None))
}

/// Whether those in a room write to each other, and see who is there and types: in all but a direct room of two who are
/// not contacts any more.
pub fn are_in_touch<T: Rows>(records: &Records<T>, room: RoomId, user: UserId) -> Result<bool, StoreError> {
    match other_side(records, room, user)? {
        Some(other) => Ok(records.relation(user, other)? == Relation::Accepted),
        None => Ok(true),
    }
}

/// Whether messages of somebody are kept from a user: he has blocked him. The other, who is not to know, goes on
/// seeing what this one writes.
pub fn hides<T: Rows>(records: &Records<T>, viewer: UserId, from: UserId) -> Result<bool, StoreError> {
    Ok(records.sides(viewer, from)?.blocks())
}

/// Whether presence and typing of somebody are kept from a user: one of them has blocked the other.
pub fn hides_presence<T: Rows>(
    records: &Records<T>,
    viewer: UserId,
    from: UserId,
) -> Result<bool, StoreError> {
    let sides = records.sides(viewer, from)?;
    Ok(sides.blocks() || sides.is_blocked())
}

/// The other one of a direct room; nothing if it is another kind of room, or none.
pub fn other_side<T: Rows>(
    records: &Records<T>,
    room: RoomId,
    user: UserId,
) -> Result<Option<UserId>, StoreError> {
    let opened = records.member_room(room)?.and_then(|room| room.opened);
    Ok(match opened {
        Some((_, RoomOpened::Direct { one, other })) => Some(if one == user { other } else { one }),
        Some((_, RoomOpened::Named { .. })) | None => None,
    })
}

/// Whether a role suffices for an act that a role at least as powerful as `least` may do.
pub fn at_least(role: Option<Role>, least: Role) -> bool {
    role.is_some_and(|role| role <= least)
}
