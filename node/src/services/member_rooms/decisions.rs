//! What becomes of what people do with rooms of members: functions of what holds at the commit, that give the events
//! which are to be written. None, if all is as it is wanted.

use starling_protocol::{
    ErrorCode, EventDraft, InviteId, RoomId, Scope, UserId,
    event::{
        InviteMade, InviteRevoked, MemberSet, Membership, NotifyLevel, NotifySet, Role, RoomChanged,
        RoomDeleted, RoomOpened,
    },
    limits::{ROOM_BANS_MAX, ROOM_INVITES_MAX, ROOM_MEMBERS_MAX, ROOMS_PER_USER_MAX},
    merge::contact::Relation,
};
use starling_web::service::{NewRoom, Refusal, RoomChange};

use crate::{
    permissions::{
        no_such_room,
        rooms::{self as may, Denied, forbidden},
    },
    store::{Decision, Records, Rows, StoreError},
};

/// Events to be written, or why not.
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

/// Makes a room under a fresh id.
pub fn open<T: Rows>(records: &Records<T>, room: RoomId, by: UserId, new: &NewRoom) -> Drafts {
    check_rooms_of_user(records, by, "you are in too many rooms; leave one first")?;
    let NewRoom { name, topic, visibility } = new.clone();
    let opened = RoomOpened::Named { name, topic, visibility };
    let opened = EventDraft::new(Scope::room(room), opened);
    Ok(vec![opened, set_membership(records, room, by, Membership::Member(Role::Owner), by)?])
}

/// Changes attributes of a room. Who may find it, and with it all that was said there, is the owner's to decide.
pub fn change<T: Rows>(records: &Records<T>, room: RoomId, by: UserId, change: &RoomChange) -> Drafts {
    let role = may::role_at_least(records, room, by, Role::Moderator)?;
    let state = records.member_room(room)?.ok_or_else(no_such_room)?;
    let changed = RoomChanged {
        name: change.name.clone().filter(|name| state.name() != Some(name)),
        topic: change.topic.clone().filter(|topic| state.topic() != *topic),
        visibility: change.visibility.filter(|visibility| state.visibility() != *visibility),
    };
    if changed.visibility.is_some() && role != Role::Owner {
        return Err(forbidden("only an owner of the room decides who may find it"));
    }
    if changed == RoomChanged::default() {
        return Ok(Vec::new());
    }
    Ok(vec![EventDraft::new(Scope::room(room), changed).above(state.changed_at())])
}

/// Deletes a room.
pub fn delete<T: Rows>(records: &Records<T>, room: RoomId, by: UserId) -> Drafts {
    may::role_at_least(records, room, by, Role::Owner)?;
    Ok(vec![EventDraft::new(Scope::room(room), RoomDeleted { by })])
}

/// Becomes a member of a public room.
pub fn join<T: Rows>(records: &Records<T>, room: RoomId, user: UserId) -> Drafts {
    if may::check_join(records, room, user)? {
        return Ok(Vec::new());
    }
    Ok(vec![enter(records, room, user, None)?])
}

/// Becomes a member of a room by an invite to it: nothing changes for who is one, also if the invite is good no more,
/// for it may have been he who used it up. Who is banned learns no more than of an invite that never was.
pub fn join_with<T: Rows>(records: &Records<T>, invite: InviteId, user: UserId, now_ms: u64) -> Drafts {
    let (room, _) = records.invite(invite)?.ok_or_else(no_such_invite)?;
    if records.role(room, user)?.is_some() {
        return Ok(Vec::new());
    }
    let banned =
        records.standing_in(room, user)?.is_some_and(|member| member.membership == Membership::Banned);
    if banned || records.open_invite(invite, now_ms)?.is_none() {
        return Err(no_such_invite().into());
    }
    Ok(vec![enter(records, room, user, Some(invite))?])
}

/// Leaves a room.
pub fn leave<T: Rows>(records: &Records<T>, room: RoomId, user: UserId) -> Drafts {
    may::role_at_least(records, room, user, Role::Member)?;
    Ok(leave_drafts(records, room, user)?)
}

/// What becomes of a room when a member leave_drafts it. One that nobody is in could not be deleted by anybody: it goes with
/// its last member.
pub fn leave_drafts<T: Rows>(
    records: &Records<T>,
    room: RoomId,
    user: UserId,
) -> Result<Vec<EventDraft>, StoreError> {
    let mut drafts = vec![set_membership(records, room, user, Membership::None, user)?];
    if records.first_member(room, Some(user))?.is_none() {
        drafts.push(EventDraft::new(Scope::room(room), RoomDeleted { by: user }));
    }
    Ok(drafts)
}

/// Makes a contact of one's own a member.
pub fn add<T: Rows>(records: &Records<T>, room: RoomId, by: UserId, user: UserId, role: Role) -> Drafts {
    let own = may::role_at_least(records, room, by, Role::Moderator)?;
    let before = records.standing_in(room, user)?.map(|member| member.membership);
    if let Some(Membership::Member(_)) = before {
        return Err(Refusal::new(ErrorCode::AlreadyExists, "he is a member already").into());
    }
    // Who is not there is no contact either: of strangers one learns nothing.
    if records.user(user)?.is_none() || records.relation(by, user)? != Relation::Accepted {
        let detail = "only contacts are added directly; send others an invite";
        return Err(Refusal::new(ErrorCode::NotContacts, detail).into());
    }
    if before == Some(Membership::Banned) {
        return Err(forbidden("he is banned from this room; lift the ban first"));
    }
    may::may_set_role(own, None, Some(role))?;
    check_members_of_room(records, room)?;
    check_rooms_of_user(records, user, "he is in too many rooms")?;
    let mut drafts = keep_own_role(records, room, by, role)?;
    drafts.push(set_membership(records, room, user, Membership::Member(role), by)?);
    Ok(drafts)
}

/// Gives a member another role.
pub fn set_role<T: Rows>(records: &Records<T>, room: RoomId, by: UserId, user: UserId, role: Role) -> Drafts {
    let own = may::role_at_least(records, room, by, Role::Member)?;
    let before = records.role(room, user)?.ok_or_else(no_such_member)?;
    // Everybody may step down.
    if by != user || role < own {
        may::role_at_least(records, room, by, Role::Moderator)?;
        may::may_set_role(own, Some(before), Some(role))?;
    }
    if before == role {
        return Ok(Vec::new());
    }
    let mut drafts = if by == user { Vec::new() } else { keep_own_role(records, room, by, role)? };
    drafts.push(set_membership(records, room, user, Membership::Member(role), by)?);
    Ok(drafts)
}

/// Makes a member an owner, as administrators of the service may whose room it is not.
pub fn make_owner<T: Rows>(records: &Records<T>, room: RoomId, by: UserId, user: UserId) -> Drafts {
    let state = records.member_room(room)?.ok_or_else(no_such_room)?;
    // A direct room has no owner.
    state.name().ok_or_else(no_such_room)?;
    records.role(room, user)?.ok_or_else(no_such_member)?;
    let member = records.standing_in(room, user)?.ok_or_else(no_such_member)?;
    if member.role() == Some(Role::Owner) {
        return Ok(Vec::new());
    }
    Ok(vec![set_membership(records, room, user, Membership::Member(Role::Owner), by)?])
}

/// Removes a member; with `ban` also whoever may become one.
pub fn remove<T: Rows>(records: &Records<T>, room: RoomId, by: UserId, user: UserId, ban: bool) -> Drafts {
    if by == user {
        let drafts = leave(records, room, user)?;
        return if ban { Err(forbidden("nobody bans himself; leave the room")) } else { Ok(drafts) };
    }
    let own = may::role_at_least(records, room, by, Role::Moderator)?;
    let before = records.role(room, user)?;
    may::may_set_role(own, before, None)?;
    if !ban {
        before.ok_or_else(no_such_member)?;
        return Ok(vec![set_membership(records, room, user, Membership::None, by)?]);
    }
    records.user(user)?.ok_or_else(no_such_member)?;
    if records.standing_in(room, user)?.is_some_and(|member| member.membership == Membership::Banned) {
        return Ok(Vec::new());
    }
    if records.room_counts(room)?.banned >= ROOM_BANS_MAX {
        return Err(forbidden("too many are banned from this room; lift a ban first"));
    }
    Ok(vec![set_membership(records, room, user, Membership::Banned, by)?])
}

/// Lets somebody join again.
pub fn lift_ban<T: Rows>(records: &Records<T>, room: RoomId, by: UserId, user: UserId) -> Drafts {
    may::role_at_least(records, room, by, Role::Moderator)?;
    let banned =
        records.standing_in(room, user)?.is_some_and(|member| member.membership == Membership::Banned);
    if !banned {
        return Err(Refusal::new(ErrorCode::NotFound, "he is not banned from this room").into());
    }
    Ok(vec![set_membership(records, room, user, Membership::None, by)?])
}

/// Makes an invite at `now_ms` (Unix milliseconds). Those that let nobody in any more give way to it.
pub fn make_invite<T: Rows>(records: &Records<T>, room: RoomId, made: &InviteMade, now_ms: u64) -> Drafts {
    may::role_at_least(records, room, made.by, Role::Moderator)?;
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
            return Err(forbidden("this room has too many invites; withdraw one first"));
        }
    }
    drafts.push(EventDraft::new(scope, made.clone()));
    Ok(drafts)
}

/// Withdraws an invite; nothing is an invite whose code is not good.
pub fn revoke_invite<T: Rows>(
    records: &Records<T>,
    room: RoomId,
    by: UserId,
    invite: Option<InviteId>,
) -> Drafts {
    may::role_at_least(records, room, by, Role::Moderator)?;
    let Some(id) = invite else { return Err(no_such_invite().into()) };
    match records.invite(id)? {
        Some((of, invite)) if of == room && !invite.revoked => {
            Ok(vec![EventDraft::new(Scope::room(room), InviteRevoked { id })])
        }
        _ => Err(no_such_invite().into()),
    }
}

/// Sets of what in a room a member wants to be told.
pub fn set_notify_level<T: Rows>(
    records: &Records<T>,
    room: RoomId,
    user: UserId,
    level: NotifyLevel,
) -> Drafts {
    may::role_of_member(records, room, user)?;
    let before = records.notify_register(user, room)?;
    if before.as_ref().is_some_and(|before| before.value == level) {
        return Ok(Vec::new());
    }
    let draft = EventDraft::new(Scope::user(user), NotifySet { room, level });
    Ok(vec![draft.above(before.map(|before| before.place.hlc))])
}

/// How somebody is to stand to a room, stamped above how he stands. A member's time begins when he becomes one.
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
    let set = MemberSet { user, membership, since, invite: None, by };
    Ok(EventDraft::new(Scope::room(room), set).above(before.map(|before| before.place.hlc)))
}

fn enter<T: Rows>(
    records: &Records<T>,
    room: RoomId,
    user: UserId,
    invite: Option<InviteId>,
) -> Result<EventDraft, Denied> {
    check_members_of_room(records, room)?;
    check_rooms_of_user(records, user, "you are in too many rooms; leave one first")?;
    let before = records.member_register(room, user)?;
    let set = MemberSet { user, membership: Membership::Member(Role::Member), since: None, invite, by: user };
    Ok(EventDraft::new(Scope::room(room), set).above(before.map(|before| before.place.hlc)))
}

/// Who owns a room only because nobody else does goes on owning it when he makes somebody else its owner.
fn keep_own_role<T: Rows>(records: &Records<T>, room: RoomId, by: UserId, given: Role) -> Drafts {
    let written = records.standing_in(room, by)?.and_then(|member| member.role());
    if given != Role::Owner || written == Some(Role::Owner) {
        return Ok(Vec::new());
    }
    Ok(vec![set_membership(records, room, by, Membership::Member(Role::Owner), by)?])
}

fn check_members_of_room<T: Rows>(records: &Records<T>, room: RoomId) -> Result<(), Denied> {
    if records.room_counts(room)?.members < ROOM_MEMBERS_MAX {
        return Ok(());
    }
    Err(forbidden("this room has as many members as it can"))
}

fn check_rooms_of_user<T: Rows>(
    records: &Records<T>,
    user: UserId,
    detail: &'static str,
) -> Result<(), Denied> {
    // Members of direct rooms are so from the beginning of time.
    let named = records.rooms_of(user)?.into_iter().filter(|(_, member)| member.since.0 > 0);
    if named.count() < ROOMS_PER_USER_MAX {
        return Ok(());
    }
    Err(forbidden(detail))
}

fn no_such_member() -> Refusal {
    Refusal::new(ErrorCode::NotFound, "there is no such member of this room")
}

/// There is no such invite, or none that lets this one in any more.
pub fn no_such_invite() -> Refusal {
    Refusal::new(ErrorCode::NotFound, "there is no such invite, or it is good no more")
}
