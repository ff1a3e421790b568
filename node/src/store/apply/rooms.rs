//! Applies events of member rooms to their views: attributes, members, invites.

use starling_protocol::{
    Event, EventBody, Hlc, InviteId, Pos, RoomId, Scope, UserId,
    event::{InviteMade, MemberRoomCreated, Membership, MembershipChanged, Role, Visibility},
    frame::live::RoomChange,
    merge::{invite, member, room, room::MemberRoomState},
};

use super::Tables;
use crate::store::{
    Change, StoreError, records,
    tables::{INDEX, RECORDS},
    views::{
        Ban, Counts, Invite, InviteRoom, InviteUse, InviteUses, Member, OpenInvite, Room, RoomCounts,
        Succession, member_of_deleted_index, member_of_index, public_room_index, was_member_index,
    },
};

impl Tables<'_> {
    /// Applies an event of a room's scope that is about the room itself; ignores other kinds.
    pub(super) fn apply_room(&mut self, room: RoomId, event: &Event) -> Result<(), StoreError> {
        let (pos, scope) = (event.pos(), &event.scope);
        match &event.body {
            EventBody::MemberRoomCreated(created) => {
                self.apply_member_room(room, pos, &event.body)?;
                if let MemberRoomCreated::Direct { one, other } = created {
                    for user in [*one, *other] {
                        // Stamped with the beginning of time: both sides of a split may create the room.
                        let set = MembershipChanged {
                            user,
                            membership: Membership::Member(Role::Member),
                            since: Some(Hlc(0)),
                            invite: None,
                            by: user,
                        };
                        self.apply_membership(room, Pos::MIN, &set)?;
                    }
                }
                Ok(())
            }
            EventBody::MemberRoomChanged(_) => self.apply_member_room(room, pos, &event.body),
            EventBody::MemberRoomDeleted(_) => {
                self.apply_member_room(room, pos, &event.body)?;
                self.remove_mentions_in_room(room)?;
                self.erase_later(scope)
            }
            EventBody::MembershipChanged(set) => self.apply_membership(room, pos, set),
            EventBody::InviteMade(made) => {
                self.apply_invite(scope, made.id, Some(made))?;
                self.records.put::<InviteRoom>(&mut self.book, &made.id.lookup_scope(), &made.id.0, &room)
            }
            EventBody::InviteRevoked(revoked) => self.apply_invite(scope, revoked.id, None),
            _ => Ok(()),
        }
    }

    fn apply_member_room(&mut self, id: RoomId, pos: Pos, body: &EventBody) -> Result<(), StoreError> {
        let rule = |state| room::apply(state, pos, body);
        let (before, after) = self.records.merge::<Room>(&mut self.book, &Scope::room(id), &[], rule)?;
        let index = |room: &MemberRoomState| {
            let is_public = room.exists() && room.visibility() == Visibility::Public;
            room.name().filter(|_| is_public).map(|name| public_room_index(name, id))
        };
        let (index_before, index) = (before.as_ref().and_then(index), index(&after));
        if after.deleted && before.as_ref().is_some_and(|before| !before.deleted) {
            self.erased_row(&RECORDS, &records::key::<Room>(&Scope::room(id), &[]))?;
        }
        if index_before != index {
            if let Some(gone) = index_before {
                self.records.remove_index(&gone)?;
                self.rewrite_later(&INDEX, &gone)?;
            }
            if let Some(key) = index {
                self.records.put_index(&key, &())?;
            }
        }
        let existed = before.as_ref().is_some_and(MemberRoomState::exists);
        if after.deleted && before.is_none_or(|before| !before.deleted) {
            let members = self.records.members(id, &[])?.collect::<Result<Vec<_>, _>>()?;
            for (user, _) in members {
                self.records.remove_index(&member_of_index(user, id))?;
                self.records.put_index(&member_of_deleted_index(user, id), &())?;
            }
        }
        self.changes.push(Change::Room(id, room_change(existed, after.exists())));
        Ok(())
    }

    fn apply_invite(
        &mut self,
        scope: &Scope,
        id: InviteId,
        made: Option<&InviteMade>,
    ) -> Result<(), StoreError> {
        let rule = |state| invite::apply(state, made);
        let (_, invite) = self.records.merge::<Invite>(&mut self.book, scope, &id.0, rule)?;
        if invite.revoked {
            self.records.remove::<OpenInvite>(&mut self.book, scope, &id.0)
        } else {
            self.records.put::<OpenInvite>(&mut self.book, scope, &id.0, &())
        }
    }

    fn apply_membership(
        &mut self,
        room: RoomId,
        pos: Pos,
        set: &MembershipChanged,
    ) -> Result<(), StoreError> {
        let (scope, user) = (Scope::room(room), set.user);
        if let Membership::Member(_) = set.membership {
            self.records.put_index(&was_member_index(user, room), &())?;
        }
        let rule = |state| member::apply(state, pos, set);
        let (before, after) = self.records.merge::<Member>(&mut self.book, &scope, &user.0, rule)?;
        if before.as_ref() == Some(&after) {
            return self.apply_invite_use(room, set);
        }
        let membership_before = before.as_ref().map_or(Membership::None, |before| before.value.membership);
        let key_before = before.and_then(|before| member::succession_key(&before.value, user));
        let key = member::succession_key(&after.value, user);
        if key_before != key {
            if let Some(gone) = key_before {
                self.records.remove::<Succession>(&mut self.book, &scope, &gone)?;
            }
            if let Some(key) = key {
                self.records.put::<Succession>(&mut self.book, &scope, &key, &())?;
            }
        }
        let deleted = self.records.get::<Room>(&scope, &[])?.is_some_and(|room| room.deleted);
        match (key.is_some(), deleted) {
            (true, false) => self.records.put_index(&member_of_index(user, room), &after.value)?,
            (true, true) => self.records.put_index(&member_of_deleted_index(user, room), &())?,
            (false, false) => self.records.remove_index(&member_of_index(user, room))?,
            (false, true) => self.records.remove_index(&member_of_deleted_index(user, room))?,
        }
        self.update_counts(&scope, user, membership_before, after.value.membership)?;
        self.changes.push(Change::Member(room, user, room_change(key_before.is_some(), key.is_some())));
        self.apply_invite_use(room, set)
    }

    /// Updates the list of bans and the counts after a change of a membership.
    fn update_counts(
        &mut self,
        scope: &Scope,
        user: UserId,
        before: Membership,
        after: Membership,
    ) -> Result<(), StoreError> {
        let is = |membership| (matches!(membership, Membership::Member(_)), membership == Membership::Banned);
        let ((was_member, was_banned), (is_member, is_banned)) = (is(before), is(after));
        if is_banned && !was_banned {
            self.records.put::<Ban>(&mut self.book, scope, &user.0, &())?;
        } else if was_banned && !is_banned {
            self.records.remove::<Ban>(&mut self.book, scope, &user.0)?;
        }
        let rule = |counts: Option<Counts>| {
            let Counts { members, banned } = counts.unwrap_or_default();
            Counts {
                members: members + u32::from(is_member) - u32::from(was_member),
                banned: banned + u32::from(is_banned) - u32::from(was_banned),
            }
        };
        self.records.merge::<RoomCounts>(&mut self.book, scope, &[], rule)?;
        Ok(())
    }

    /// Counts a use of the invite by which a user became a member; it still counts if they leave.
    fn apply_invite_use(&mut self, room: RoomId, set: &MembershipChanged) -> Result<(), StoreError> {
        let Some(invite) = set.invite else { return Ok(()) };
        let (scope, key) = (Scope::room(room), [&invite.0[..], &set.user.0].concat());
        if self.records.has::<InviteUse>(&scope, &key)? {
            return Ok(());
        }
        self.records.put::<InviteUse>(&mut self.book, &scope, &key, &())?;
        let rule = |uses: Option<u32>| uses.unwrap_or(0).saturating_add(1);
        self.records.merge::<InviteUses>(&mut self.book, &scope, &invite.0, rule)?;
        Ok(())
    }
}

/// Returns how a room or membership changed, from whether it existed before and exists now.
fn room_change(before: bool, now: bool) -> RoomChange {
    match (before, now) {
        (false, true) => RoomChange::Joined,
        (true, false) => RoomChange::Removed,
        (true, true) | (false, false) => RoomChange::Updated,
    }
}
