//! Permissions of users. The node that commits an event checks it once, on the state at that moment: services ask here, and
//! give commits their checks. Merging never asks.

mod messages;
pub mod rooms;

use starling_protocol::{
    ErrorCode, Refusal, RoomId, Sender, UserId,
    event::{MemberRoomCreated, Role, Stance},
    merge::contact::Relation,
    texts,
};

pub use self::messages::{may_see, no_such_message, refuse_delete, refuse_edit};
use crate::store::{Records, Rows, StoreError, Tables};

/// Refuses: no such room, or none that the user may know of.
pub fn no_such_room() -> Refusal {
    Refusal::new(ErrorCode::NotFound, texts::rooms::NO_SUCH_ROOM)
}

/// Returns why a user may not administer the service; `None` if they may.
pub fn refuse_administration<T: Rows>(
    records: &Records<T>,
    user: UserId,
) -> Result<Option<Refusal>, StoreError> {
    let account =
        records.existing_account(user)?.filter(|account| account.is_admin() && !account.is_disabled());
    let forbidden = || Refusal::new(ErrorCode::Forbidden, texts::accounts::ADMINISTRATORS_ONLY);
    Ok(account.is_none().then(forbidden))
}

/// Returns why a user may not stop being an administrator; `None` if they may, or are none.
pub fn refuse_demotion<T: Rows>(records: &Records<T>, user: UserId) -> Result<Option<Refusal>, StoreError> {
    if refuse_administration(records, user)?.is_some() || !records.is_last_administrator(user)? {
        return Ok(None);
    }
    Ok(Some(Refusal::new(ErrorCode::Forbidden, texts::accounts::LAST_ADMINISTRATOR)))
}

/// Refuses: no such account, or none that the user may know of.
pub fn no_such_user() -> Refusal {
    Refusal::new(ErrorCode::NotFound, texts::accounts::NO_SUCH_USER)
}

/// Refuses: only contacts may write to each other.
pub fn not_contacts() -> Refusal {
    Refusal::new(ErrorCode::NotContacts, texts::rooms::NOT_CONTACTS)
}

/// Checks, within a commit, whether a sender may post in a room; returns the refusal if not. A quick room needs no
/// permission but its id.
pub fn refuse_post_at_commit(
    tables: &Tables<'_>,
    room: RoomId,
    sender: &Sender,
) -> Result<Option<Refusal>, StoreError> {
    if tables.has_quick_room(room)? {
        return Ok(None);
    }
    match sender.user() {
        Some(user) => refuse_post(&tables.records, room, user),
        None => Ok(Some(no_such_room())),
    }
}

/// Returns why a user may not post in a member room; `None` if they may.
pub fn refuse_post<T: Rows>(
    records: &Records<T>,
    room: RoomId,
    user: UserId,
) -> Result<Option<Refusal>, StoreError> {
    if records.role(room, user)?.is_none() {
        return Ok(Some(no_such_room()));
    }
    if let Some(other) = other_direct_member(records, room, user)?
        && records.existing_account(other)?.is_none()
    {
        return Ok(Some(Refusal::new(ErrorCode::Forbidden, texts::rooms::OTHER_DELETED)));
    }
    Ok((!may_interact(records, room, user)?).then(not_contacts))
}

/// Whether a user has hidden a direct room: they removed the contact and have not accepted it since. Both stay members,
/// and the other user still lists the room.
pub fn has_hidden_direct_room<T: Rows>(
    records: &Records<T>,
    room: RoomId,
    user: UserId,
) -> Result<bool, StoreError> {
    let Some(other) = other_direct_member(records, room, user)? else { return Ok(false) };
    Ok(records.sides(user, other)?.mine.is_some_and(|mine| mine.stance == Stance::None))
}

/// Whether the members of a room may write to each other and see presence and typing: always, but in a direct room only
/// as long as both are contacts.
pub fn may_interact<T: Rows>(records: &Records<T>, room: RoomId, user: UserId) -> Result<bool, StoreError> {
    match other_direct_member(records, room, user)? {
        Some(other) => Ok(records.relation(user, other)? == Relation::Accepted),
        None => Ok(true),
    }
}

/// Whether `viewer` has blocked `from`, and so doesn't see their messages. `from` still sees those of `viewer`, so that
/// they don't notice the block.
pub fn has_blocked<T: Rows>(records: &Records<T>, viewer: UserId, from: UserId) -> Result<bool, StoreError> {
    Ok(records.sides(viewer, from)?.blocks())
}

/// Whether a user doesn't see another's presence and typing, because one of them blocked the other.
pub fn cannot_see_presence<T: Rows>(
    records: &Records<T>,
    viewer: UserId,
    from: UserId,
) -> Result<bool, StoreError> {
    let sides = records.sides(viewer, from)?;
    Ok(sides.blocks() || sides.is_blocked())
}

/// Returns the other member of a direct room; `None` for other rooms.
pub fn other_direct_member<T: Rows>(
    records: &Records<T>,
    room: RoomId,
    user: UserId,
) -> Result<Option<UserId>, StoreError> {
    let created = records.member_room(room)?.and_then(|room| room.created);
    Ok(match created {
        Some((_, MemberRoomCreated::Direct { one, other })) => Some(if one == user { other } else { one }),
        Some((_, MemberRoomCreated::Named { .. })) | None => None,
    })
}

/// Compares roles by power: an owner outranks a moderator, and a moderator a member.
pub trait RolePower: Copy {
    /// Whether this role is more powerful than another.
    fn outranks(self, other: Self) -> bool;
    /// Whether this role is as powerful as another, or more.
    fn is_at_least(self, other: Self) -> bool;
}

impl RolePower for Role {
    // The most powerful role comes first in the order.
    fn outranks(self, other: Self) -> bool {
        self < other
    }

    fn is_at_least(self, other: Self) -> bool {
        self <= other
    }
}

/// Whether a user with this role, if they are a member, is as powerful as `least`, or more.
pub fn at_least(role: Option<Role>, least: Role) -> bool {
    role.is_some_and(|role| role.is_at_least(least))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use starling_protocol::{GuestId, GuestName, MessageId, MessagePosted, MessageText, NodeId};

    use super::*;
    use crate::store::{Committer, Op, OpResult, Store};

    /// Nobody posts in a room that doesn't exist.
    #[test]
    fn everybody_may_post_in_a_quick_room_and_nobody_in_a_room_that_does_not_exist() {
        let store = Arc::new(Store::in_memory().unwrap());
        let mut committer = Committer::new(store, NodeId([1; 16]), 1_000).unwrap();
        let (quick, none) = (RoomId([1; 10]), RoomId([2; 10]));
        let guest = Sender::Guest { id: GuestId([1; 16]), name: GuestName::parse("x").unwrap() };
        let post = |n, room, sender: &Sender| {
            let text = MessageText::parse("hello").unwrap();
            let posted = MessagePosted::new(MessageId::from_u128(n), sender.clone(), text);
            Op::Post { room, posted, above_hlc: None, check: refuse_post_at_commit }
        };
        let user = Sender::User(UserId([1; 16]));
        let ops = [
            Op::CreateQuickRoom { room: quick, name: None },
            post(1, quick, &guest),
            post(2, quick, &user),
            post(3, none, &guest),
            post(4, none, &user),
        ];
        let results = committer.commit(2_000, 1, &ops).unwrap().results;
        assert!(results[..3].iter().all(|result| matches!(result, OpResult::Done(_))), "{results:?}");
        assert!(
            results[3..].iter().all(|result| *result == OpResult::Refused(no_such_room())),
            "{results:?}"
        );
    }
}
