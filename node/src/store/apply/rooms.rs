//! Applies events of rooms of members to their views: attributes, members, invites.

use starling_protocol::{
    Event, EventBody, Hlc, Pos, RoomId, Scope, UserId,
    event::{MemberSet, Membership, Role, RoomOpened, Visibility},
    merge::{invite, member, room, room::MemberRoom},
};

use super::Tables;
use crate::store::{
    Change, StoreError,
    views::{Invite, InviteCode, InviteUse, Member, MemberOf, Room, Succession, public_room_index},
};

impl Tables<'_> {
    /// Applies an event of a room's scope that is about the room itself; other kinds change nothing.
    pub(super) fn apply_room(&mut self, room: RoomId, event: &Event) -> Result<(), StoreError> {
        let (pos, scope) = (event.pos(), &event.scope);
        match &event.body {
            EventBody::RoomOpened(opened) => {
                self.member_room(room, pos, &event.body)?;
                if let RoomOpened::Direct { one, other } = opened {
                    for user in [*one, *other] {
                        // As of the beginning of time: both sides of a split may open the room.
                        let set = MemberSet {
                            user,
                            membership: Membership::Member(Role::Member),
                            since: Some(Hlc(0)),
                            invite: None,
                            by: user,
                        };
                        self.member(room, Pos::MIN, &set)?;
                    }
                }
                Ok(())
            }
            EventBody::RoomChanged(_) => self.member_room(room, pos, &event.body),
            EventBody::RoomDeleted(_) => {
                self.member_room(room, pos, &event.body)?;
                self.erase_later(scope)
            }
            EventBody::MemberSet(set) => self.member(room, pos, set),
            EventBody::InviteMade(made) => {
                let rule = |state| invite::applied(state, Some(made));
                self.records.merge::<Invite>(&mut self.book, scope, &made.code.0, rule)?;
                self.records.put::<InviteCode>(&mut self.book, &made.code.shard(), &made.code.0, &room)
            }
            EventBody::InviteRevoked(revoked) => {
                let rule = |state| invite::applied(state, None);
                self.records.merge::<Invite>(&mut self.book, scope, &revoked.code.0, rule)?;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn member_room(&mut self, id: RoomId, pos: Pos, body: &EventBody) -> Result<(), StoreError> {
        let rule = |state| room::applied(state, pos, body);
        let (before, after) = self.records.merge::<Room>(&mut self.book, &Scope::room(id), &[], rule)?;
        let index = |room: &MemberRoom| {
            let is_public = room.exists() && room.visibility() == Visibility::Public;
            room.name().filter(|_| is_public).map(|name| public_room_index(name, id))
        };
        let (index_before, index) = (before.as_ref().and_then(index), index(&after));
        if index_before != index {
            if let Some(gone) = index_before {
                self.records.remove_index(&gone)?;
            }
            if let Some(key) = index {
                self.records.put_index(&key, &())?;
            }
        }
        self.changes.push(Change::Room(id));
        Ok(())
    }

    fn member(&mut self, room: RoomId, pos: Pos, set: &MemberSet) -> Result<(), StoreError> {
        let (scope, user) = (Scope::room(room), set.user);
        let rule = |state| member::set(state, pos, set);
        let (before, after) = self.records.merge::<Member>(&mut self.book, &scope, &user.0, rule)?;
        if before.as_ref() == Some(&after) {
            return self.invite_used(room, set);
        }
        let place_before = before.and_then(|before| member::succession(&before.value, user));
        let place = member::succession(&after.value, user);
        if place_before != place {
            if let Some(gone) = place_before {
                self.records.remove::<Succession>(&mut self.book, &scope, &gone)?;
            }
            if let Some(place) = place {
                self.records.put::<Succession>(&mut self.book, &scope, &place, &())?;
            }
        }
        self.records.put::<MemberOf>(&mut self.book, &Scope::user(user), &room.0, &after)?;
        self.changes.push(Change::Member(room, user));
        self.invite_used(room, set)
    }

    /// Whoever came with an invite has used it, whatever became of him.
    fn invite_used(&mut self, room: RoomId, set: &MemberSet) -> Result<(), StoreError> {
        let Some(code) = set.invite else { return Ok(()) };
        let key = invite_use_key(code, set.user);
        self.records.put::<InviteUse>(&mut self.book, &Scope::room(room), &key, &())
    }
}

fn invite_use_key(code: starling_protocol::InviteCode, user: UserId) -> Vec<u8> {
    [&code.0[..], &user.0].concat()
}
