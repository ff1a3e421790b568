//! Permissions in member rooms.

use starling_protocol::{
    ErrorCode, Refusal, RoomId, UserId,
    event::{Membership, Role, Visibility},
    merge::room::MemberRoomState,
    texts,
};

use super::{RolePower, no_such_room};
use crate::store::{Records, Rows, StoreError};

/// A check that did not pass.
#[derive(Debug)]
pub enum Denied {
    /// The user may not do this.
    Refused(Refusal),
    /// The store could not be read.
    Failed(StoreError),
}

impl From<StoreError> for Denied {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

impl From<Refusal> for Denied {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Refuses an act on a thing that the user may know of.
pub fn forbidden(detail: &'static str) -> Denied {
    Refusal::new(ErrorCode::Forbidden, detail).into()
}

/// Returns a member room that a user may know of: they are a member, or it is public.
pub fn known_room<T: Rows>(
    records: &Records<T>,
    room: RoomId,
    user: UserId,
) -> Result<MemberRoomState, Denied> {
    let Some(state) = records.member_room(room)? else { return Err(no_such_room().into()) };
    if state.visibility() == Visibility::Private && records.role(room, user)?.is_none() {
        return Err(no_such_room().into());
    }
    Ok(state)
}

/// Returns the role of a member; refuses users who are none.
pub fn role_of_member<T: Rows>(records: &Records<T>, room: RoomId, user: UserId) -> Result<Role, Denied> {
    known_room(records, room, user)?;
    records.role(room, user)?.ok_or_else(|| forbidden(texts::rooms::MEMBERS_ONLY))
}

/// Returns a member's role if it is at least as powerful as `least`. Refuses direct rooms: nothing in them can be
/// changed.
pub fn role_at_least<T: Rows>(
    records: &Records<T>,
    room: RoomId,
    user: UserId,
    least: Role,
) -> Result<Role, Denied> {
    let role = role_of_member(records, room, user)?;
    if super::other_direct_member(records, room, user)?.is_some() {
        return Err(forbidden(texts::rooms::DIRECT_ROOM_FIXED));
    }
    match (role.is_at_least(least), least) {
        (true, _) => Ok(role),
        (false, Role::Owner) => Err(forbidden(texts::rooms::OWNERS_ONLY)),
        (false, _) => Err(forbidden(texts::rooms::MODERATORS_ONLY)),
    }
}

/// Checks whether a user with the role `own` may change another's role from `before` to `after` (`None`: no member).
/// Nobody gives a role above their own, and moderators have no power over owners and other moderators.
pub fn check_set_role(own: Role, before: Option<Role>, after: Option<Role>) -> Result<(), Denied> {
    if after.is_some_and(|after| after.outranks(own)) {
        return Err(forbidden(texts::rooms::ROLE_ABOVE_OWN));
    }
    if own != Role::Owner && before.is_some_and(|before| before.outranks(Role::Member)) {
        return Err(forbidden(texts::rooms::OWNERS_ONLY_FOR_MODERATORS));
    }
    Ok(())
}

/// Checks whether a user may join a public room; returns whether they are a member already.
pub fn check_join<T: Rows>(records: &Records<T>, room: RoomId, user: UserId) -> Result<bool, Denied> {
    known_room(records, room, user)?;
    let membership = records.membership_of(room, user)?.map(|member| member.membership);
    match membership {
        Some(Membership::Banned) => Err(forbidden(texts::rooms::BANNED)),
        Some(Membership::Member(_)) => Ok(true),
        Some(Membership::None | Membership::Invited) | None => Ok(false),
    }
}
