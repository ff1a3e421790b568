//! Who may do what in rooms of members.

use starling_protocol::{
    ErrorCode, Refusal, RoomId, UserId,
    event::{Membership, Role, Visibility},
    merge::room::MemberRoom,
};

use super::no_such_room;
use crate::store::{Records, Rows, StoreError};

/// Why something is not done.
#[derive(Debug)]
pub enum Denied {
    /// It may not be.
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

/// The asker may know of the thing, but not do that.
pub fn forbidden(detail: &'static str) -> Denied {
    Refusal::new(ErrorCode::Forbidden, detail).into()
}

/// A room of members, if a user may know of it: he is in it, or it is public.
pub fn known_room<T: Rows>(records: &Records<T>, room: RoomId, user: UserId) -> Result<MemberRoom, Denied> {
    let Some(state) = records.member_room(room)? else { return Err(no_such_room().into()) };
    if state.visibility() == Visibility::Private && records.role(room, user)?.is_none() {
        return Err(no_such_room().into());
    }
    Ok(state)
}

/// What a member of a room may do in it.
pub fn role_of_member<T: Rows>(records: &Records<T>, room: RoomId, user: UserId) -> Result<Role, Denied> {
    known_room(records, room, user)?;
    records.role(room, user)?.ok_or_else(|| forbidden("only members of the room may do that: join it first"))
}

/// A member's role, if it is at least as powerful as `least` and the room is no direct one: there, all is as it is.
pub fn role_at_least<T: Rows>(
    records: &Records<T>,
    room: RoomId,
    user: UserId,
    least: Role,
) -> Result<Role, Denied> {
    let role = role_of_member(records, room, user)?;
    if super::other_side(records, room, user)?.is_some() {
        return Err(forbidden("the room of two people stays as it is"));
    }
    match (role <= least, least) {
        (true, _) => Ok(role),
        (false, Role::Owner) => Err(forbidden("only an owner of the room may do that")),
        (false, _) => Err(forbidden("only an owner or a moderator of the room may do that")),
    }
}

/// Refuses unless somebody with the role `own` may make of one who is `before` (nothing: no member) one who is `after`.
/// Nobody gives more than he has, and moderators have no power over owners and other moderators.
pub fn may_set_role(own: Role, before: Option<Role>, after: Option<Role>) -> Result<(), Denied> {
    if after.is_some_and(|after| after < own) {
        return Err(forbidden("nobody may give a role above his own"));
    }
    if own != Role::Owner && before.is_some_and(|before| before < Role::Member) {
        return Err(forbidden("only an owner may do that to an owner or a moderator"));
    }
    Ok(())
}

/// Whether somebody who wants to join a public room is a member already; refuses if he may not join.
pub fn check_join<T: Rows>(records: &Records<T>, room: RoomId, user: UserId) -> Result<bool, Denied> {
    known_room(records, room, user)?;
    let membership = records.standing_in(room, user)?.map(|member| member.membership);
    match membership {
        Some(Membership::Banned) => Err(forbidden("you were banned from this room")),
        Some(Membership::Member(_)) => Ok(true),
        Some(Membership::None | Membership::Invited) | None => Ok(false),
    }
}
