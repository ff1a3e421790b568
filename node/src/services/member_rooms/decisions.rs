//! Decisions on member rooms. Each function runs within the commit and returns the events to be written; none, if there
//! is nothing to change.

use starling_protocol::{
    ErrorCode, EventDraft, InviteId, RoomId, Scope, UserId,
    event::{
        InviteMade, InviteRevoked, MemberRoomChanged, MemberRoomCreated, MemberRoomDeleted, Membership,
        MembershipChanged, NotifyLevel, NotifyLevelChanged, Role,
    },
    limits::{ROOM_BANS_MAX, ROOM_INVITES_MAX, ROOM_MEMBERS_MAX, ROOMS_PER_USER_MAX},
    merge::contact::Relation,
    texts,
};
use starling_web::service::{NewRoom, Refusal, RoomUpdate};

use crate::{
    permissions::{
        RolePower, no_such_room,
        rooms::{self as room_permissions, Denied, forbidden},
    },
    store::{Decision, Records, Rows, StoreError},
};

/// The events to be written, or why they are denied.
pub type Drafts = Result<Vec<EventDraft>, Denied>;

/// Turns drafts into the decision of a commit.
pub fn decision(drafts: Drafts) -> Result<Decision, StoreError> {
    match drafts {
        Ok(drafts) if drafts.is_empty() => Ok(Decision::Nothing),
        Ok(drafts) => Ok(Decision::Write(drafts)),
        Err(Denied::Refused(refusal)) => Ok(Decision::Refuse(refusal)),
        Err(Denied::Failed(error)) => Err(error),
    }
}

/// Creates a room under a fresh id.
pub fn create<T: Rows>(records: &Records<T>, room: RoomId, by: UserId, new: &NewRoom) -> Drafts {
    check_rooms_of_user(records, by, texts::rooms::IN_TOO_MANY_ROOMS)?;
    let NewRoom { name, topic, visibility } = new.clone();
    let created = MemberRoomCreated::Named { name, topic, visibility };
    let created = EventDraft::new(Scope::room(room), created);
    Ok(vec![created, set_membership(records, room, by, Membership::Member(Role::Owner), by)?])
}

/// Changes attributes of a room. Only an owner may change the visibility, which exposes all earlier messages.
pub fn change<T: Rows>(records: &Records<T>, room: RoomId, by: UserId, change: &RoomUpdate) -> Drafts {
    let role = room_permissions::role_at_least(records, room, by, Role::Moderator)?;
    let state = records.member_room(room)?.ok_or_else(no_such_room)?;
    let changed = MemberRoomChanged {
        name: change.name.clone().filter(|name| state.name() != Some(name)),
        topic: change.topic.clone().filter(|topic| state.topic() != *topic),
        visibility: change.visibility.filter(|visibility| state.visibility() != *visibility),
    };
    if changed.visibility.is_some() && role != Role::Owner {
        return Err(forbidden(texts::rooms::VISIBILITY_BY_OWNER));
    }
    if changed == MemberRoomChanged::default() {
        return Ok(Vec::new());
    }
    Ok(vec![EventDraft::new(Scope::room(room), changed).above(state.changed_at())])
}

/// Deletes a room, as its owner.
pub fn delete<T: Rows>(records: &Records<T>, room: RoomId, by: UserId) -> Drafts {
    room_permissions::role_at_least(records, room, by, Role::Owner)?;
    Ok(vec![EventDraft::new(Scope::room(room), MemberRoomDeleted { by })])
}

/// Joins a public room.
pub fn join<T: Rows>(records: &Records<T>, room: RoomId, user: UserId) -> Drafts {
    if room_permissions::check_join(records, room, user)? {
        return Ok(Vec::new());
    }
    Ok(vec![enter(records, room, user, None)?])
}

/// Joins a room by an invite. Nothing changes for a member, even if the invite is used up: they may have been the last
/// to use it. A banned user gets the same answer as for an unknown invite.
pub fn join_with<T: Rows>(records: &Records<T>, invite: InviteId, user: UserId, now_ms: u64) -> Drafts {
    let (room, _) = records.invite(invite)?.ok_or_else(no_such_invite)?;
    if records.role(room, user)?.is_some() {
        return Ok(Vec::new());
    }
    let banned =
        records.membership_of(room, user)?.is_some_and(|member| member.membership == Membership::Banned);
    if banned || records.open_invite(invite, now_ms)?.is_none() {
        return Err(no_such_invite().into());
    }
    Ok(vec![enter(records, room, user, Some(invite))?])
}

/// Leaves a room.
pub fn leave<T: Rows>(records: &Records<T>, room: RoomId, user: UserId) -> Drafts {
    room_permissions::role_at_least(records, room, user, Role::Member)?;
    Ok(leave_drafts(records, room, user)?)
}

/// The events of a departure. If nobody else is left, the room is deleted: nobody could delete it later.
pub fn leave_drafts<T: Rows>(
    records: &Records<T>,
    room: RoomId,
    user: UserId,
) -> Result<Vec<EventDraft>, StoreError> {
    let mut drafts = vec![set_membership(records, room, user, Membership::None, user)?];
    if records.first_member(room, Some(user))?.is_none() {
        drafts.push(EventDraft::new(Scope::room(room), MemberRoomDeleted { by: user }));
    }
    Ok(drafts)
}

/// Adds a contact of the acting user as a member.
pub fn add<T: Rows>(records: &Records<T>, room: RoomId, by: UserId, user: UserId, role: Role) -> Drafts {
    let own = room_permissions::role_at_least(records, room, by, Role::Moderator)?;
    let before = records.membership_of(room, user)?.map(|member| member.membership);
    if let Some(Membership::Member(_)) = before {
        return Err(Refusal::new(ErrorCode::AlreadyExists, texts::rooms::ALREADY_MEMBER).into());
    }
    // Unknown accounts get the same answer: it must not tell which accounts exist.
    if records.existing_account(user)?.is_none() || records.relation(by, user)? != Relation::Accepted {
        return Err(Refusal::new(ErrorCode::NotContacts, texts::rooms::ADD_CONTACTS_ONLY).into());
    }
    if before == Some(Membership::Banned) {
        return Err(forbidden(texts::rooms::MEMBER_BANNED));
    }
    room_permissions::check_set_role(own, None, Some(role))?;
    check_members_of_room(records, room)?;
    check_rooms_of_user(records, user, texts::rooms::MEMBER_IN_TOO_MANY_ROOMS)?;
    let mut drafts = write_inherited_role(records, room, by, role)?;
    drafts.push(set_membership(records, room, user, Membership::Member(role), by)?);
    Ok(drafts)
}

/// Changes the role of a member.
pub fn set_role<T: Rows>(records: &Records<T>, room: RoomId, by: UserId, user: UserId, role: Role) -> Drafts {
    let own = room_permissions::role_at_least(records, room, by, Role::Member)?;
    let before = records.role(room, user)?.ok_or_else(no_such_member)?;
    // Members may lower their own role themselves.
    if by != user || role.outranks(own) {
        room_permissions::role_at_least(records, room, by, Role::Moderator)?;
        room_permissions::check_set_role(own, Some(before), Some(role))?;
    }
    if before == role {
        return Ok(Vec::new());
    }
    let mut drafts = if by == user { Vec::new() } else { write_inherited_role(records, room, by, role)? };
    drafts.push(set_membership(records, room, user, Membership::Member(role), by)?);
    Ok(drafts)
}

/// Makes a member an owner. For administrators of the service, who need not be members.
pub fn add_owner<T: Rows>(records: &Records<T>, room: RoomId, by: UserId, user: UserId) -> Drafts {
    let state = records.member_room(room)?.ok_or_else(no_such_room)?;
    // A direct room has no owner.
    state.name().ok_or_else(no_such_room)?;
    records.role(room, user)?.ok_or_else(no_such_member)?;
    let member = records.membership_of(room, user)?.ok_or_else(no_such_member)?;
    if member.role() == Some(Role::Owner) {
        return Ok(Vec::new());
    }
    Ok(vec![set_membership(records, room, user, Membership::Member(Role::Owner), by)?])
}

/// Removes a member; with `ban`, keeps the user from joining again. A user may be banned before they join.
pub fn remove<T: Rows>(records: &Records<T>, room: RoomId, by: UserId, user: UserId, ban: bool) -> Drafts {
    if by == user {
        let drafts = leave(records, room, user)?;
        return if ban { Err(forbidden(texts::rooms::NO_SELF_BAN)) } else { Ok(drafts) };
    }
    let own = room_permissions::role_at_least(records, room, by, Role::Moderator)?;
    let before = records.role(room, user)?;
    room_permissions::check_set_role(own, before, None)?;
    if !ban {
        before.ok_or_else(no_such_member)?;
        return Ok(vec![set_membership(records, room, user, Membership::None, by)?]);
    }
    records.existing_account(user)?.ok_or_else(no_such_member)?;
    if records.membership_of(room, user)?.is_some_and(|member| member.membership == Membership::Banned) {
        return Ok(Vec::new());
    }
    if records.room_counts(room)?.banned >= ROOM_BANS_MAX {
        return Err(forbidden(texts::rooms::TOO_MANY_BANS));
    }
    Ok(vec![set_membership(records, room, user, Membership::Banned, by)?])
}

/// Lifts a ban.
pub fn lift_ban<T: Rows>(records: &Records<T>, room: RoomId, by: UserId, user: UserId) -> Drafts {
    room_permissions::role_at_least(records, room, by, Role::Moderator)?;
    let banned =
        records.membership_of(room, user)?.is_some_and(|member| member.membership == Membership::Banned);
    if !banned {
        return Err(Refusal::new(ErrorCode::NotFound, texts::rooms::NOT_BANNED).into());
    }
    Ok(vec![set_membership(records, room, user, Membership::None, by)?])
}

/// Creates an invite at `now_ms` (Unix milliseconds). If there are too many, revokes those that are used up or expired.
pub fn make_invite<T: Rows>(records: &Records<T>, room: RoomId, made: &InviteMade, now_ms: u64) -> Drafts {
    room_permissions::role_at_least(records, room, made.by, Role::Moderator)?;
    let scope = Scope::room(room);
    let mut drafts = Vec::new();
    let invites = records.invites(room, &[])?.collect::<Result<Vec<_>, _>>()?;
    if invites.len() >= ROOM_INVITES_MAX {
        for InviteMade { id, .. } in invites {
            if records.open_invite(id, now_ms)?.is_none() {
                drafts.push(EventDraft::new(scope.clone(), InviteRevoked { id }));
            }
        }
        if drafts.is_empty() {
            return Err(forbidden(texts::rooms::TOO_MANY_INVITES));
        }
    }
    drafts.push(EventDraft::new(scope, made.clone()));
    Ok(drafts)
}

/// Revokes an invite; `None` stands for an invalid code.
pub fn revoke_invite<T: Rows>(
    records: &Records<T>,
    room: RoomId,
    by: UserId,
    invite: Option<InviteId>,
) -> Drafts {
    room_permissions::role_at_least(records, room, by, Role::Moderator)?;
    let Some(id) = invite else { return Err(no_such_invite().into()) };
    match records.invite(id)? {
        Some((of, invite)) if of == room && !invite.revoked => {
            Ok(vec![EventDraft::new(Scope::room(room), InviteRevoked { id })])
        }
        _ => Err(no_such_invite().into()),
    }
}

/// Sets the notification level of a member in a room.
pub fn set_notify_level<T: Rows>(
    records: &Records<T>,
    room: RoomId,
    user: UserId,
    level: NotifyLevel,
) -> Drafts {
    room_permissions::role_of_member(records, room, user)?;
    let before = records.notify_register(user, room)?;
    if before.as_ref().is_some_and(|before| before.value == level) {
        return Ok(Vec::new());
    }
    let draft = EventDraft::new(Scope::user(user), NotifyLevelChanged { room, level });
    Ok(vec![draft.above(before.map(|before| before.pos.hlc))])
}

/// The event that sets a membership, stamped above the present one. A member who changes roles keeps their joining time.
fn set_membership<T: Rows>(
    records: &Records<T>,
    room: RoomId,
    user: UserId,
    membership: Membership,
    by: UserId,
) -> Result<EventDraft, StoreError> {
    let before = records.member_register(room, user)?;
    let is_member = matches!(membership, Membership::Member(_));
    let since = before
        .as_ref()
        .filter(|before| is_member && before.value.role().is_some())
        .map(|before| before.value.since);
    let set = MembershipChanged { user, membership, since, invite: None, by };
    Ok(EventDraft::new(Scope::room(room), set).above(before.map(|before| before.pos.hlc)))
}

fn enter<T: Rows>(
    records: &Records<T>,
    room: RoomId,
    user: UserId,
    invite: Option<InviteId>,
) -> Result<EventDraft, Denied> {
    check_members_of_room(records, room)?;
    check_rooms_of_user(records, user, texts::rooms::IN_TOO_MANY_ROOMS)?;
    let before = records.member_register(room, user)?;
    let set = MembershipChanged {
        user,
        membership: Membership::Member(Role::Member),
        since: None,
        invite,
        by: user,
    };
    Ok(EventDraft::new(Scope::room(room), set).above(before.map(|before| before.pos.hlc)))
}

/// Writes the ownership of a user who owns a room only as its heir, so that they keep it when they add another owner.
fn write_inherited_role<T: Rows>(records: &Records<T>, room: RoomId, by: UserId, given: Role) -> Drafts {
    let written = records.membership_of(room, by)?.and_then(|member| member.role());
    if given != Role::Owner || written == Some(Role::Owner) {
        return Ok(Vec::new());
    }
    Ok(vec![set_membership(records, room, by, Membership::Member(Role::Owner), by)?])
}

fn check_members_of_room<T: Rows>(records: &Records<T>, room: RoomId) -> Result<(), Denied> {
    if records.room_counts(room)?.members < ROOM_MEMBERS_MAX {
        return Ok(());
    }
    Err(forbidden(texts::rooms::FULL))
}

fn check_rooms_of_user<T: Rows>(
    records: &Records<T>,
    user: UserId,
    detail: &'static str,
) -> Result<(), Denied> {
    // Direct rooms don't count; their members joined at time 0.
    let named = records.rooms_of(user)?.into_iter().filter(|(_, member)| member.since.0 > 0);
    if named.count() < ROOMS_PER_USER_MAX {
        return Ok(());
    }
    Err(forbidden(detail))
}

fn no_such_member() -> Refusal {
    Refusal::new(ErrorCode::NotFound, texts::rooms::NO_SUCH_MEMBER)
}

/// The refusal of an invite that is unknown, used up or expired, or that a banned user follows.
pub fn no_such_invite() -> Refusal {
    Refusal::new(ErrorCode::NotFound, texts::rooms::INVITE_INVALID)
}
