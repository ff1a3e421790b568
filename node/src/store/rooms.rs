//! Reads the views of rooms and their messages, for services and for decisions within a commit.

use starling_protocol::{
    Emoji, InviteId, MessageId, Pos, RoomId, Scope, UserId,
    event::{InviteMade, MessageKey, Role},
    limits::{EDITS_PER_MESSAGE_MAX, REACTIONS_PER_MESSAGE_MAX},
    merge::{invite::InviteState, member::Member as MemberState, register::Register, room::MemberRoomState},
};

use super::{
    StoreError,
    records::{Records, Row, Rows, trailing_id},
    views::{
        self, Ban, Counts, Deleted, Edit, Invite, InviteRoom, InviteUses, Member, OpenInvite, PUBLIC_ROOMS,
        Reaction, Room, RoomCounts, Succession,
    },
};

impl<T: Rows> Records<T> {
    /// Reads a member room, if it exists.
    pub fn member_room(&self, room: RoomId) -> Result<Option<MemberRoomState>, StoreError> {
        Ok(self.get::<Room>(&Scope::room(room), &[])?.filter(MemberRoomState::exists))
    }

    /// Reads a user's membership of a room; `None` if no event names them there.
    pub fn membership_of(&self, room: RoomId, user: UserId) -> Result<Option<MemberState>, StoreError> {
        Ok(self.member_register(room, user)?.map(|register| register.value))
    }

    /// Reads a user's membership of a room, and the event that set it.
    pub fn member_register(
        &self,
        room: RoomId,
        user: UserId,
    ) -> Result<Option<Register<MemberState>>, StoreError> {
        self.get::<Member>(&Scope::room(room), &user.0)
    }

    /// Returns a member's role in a room that exists; `None` if they are no member. The owner is
    /// the first in the succession whose account is neither disabled nor deleted; if there is none, the first whose account
    /// is not deleted.
    pub fn role(&self, room: RoomId, user: UserId) -> Result<Option<Role>, StoreError> {
        let Some(state) = self.member_room(room)? else { return Ok(None) };
        let Some(role) = self.membership_of(room, user)?.and_then(|member| member.role()) else {
            return Ok(None);
        };
        // A direct room has no owner, and its two members stay.
        if state.name().is_none() {
            return Ok(Some(role));
        }
        if self.is_gone(user)? {
            return Ok(None);
        }
        Ok(Some(if self.effective_owner(room)? == Some(user) { Role::Owner } else { role }))
    }

    /// Returns the owner of a room, whatever their written role: the first in its succession whose account is
    /// neither disabled nor deleted; if there is none, the first whose account is not deleted. An owner whose account is
    /// enabled again owns the room again.
    fn effective_owner(&self, room: RoomId) -> Result<Option<UserId>, StoreError> {
        for member in self.members(room, &[])? {
            let (user, _) = member?;
            let account = self.account_state(user)?;
            if account.is_none_or(|account| !account.deleted && !account.is_disabled()) {
                return Ok(Some(user));
            }
        }
        self.first_member(room, None)
    }

    /// Returns the first in the succession of a room, except one user. Deleted accounts are skipped: during a split,
    /// the other side may have made one a member.
    pub fn first_member(&self, room: RoomId, except: Option<UserId>) -> Result<Option<UserId>, StoreError> {
        for member in self.members(room, &[])? {
            let (user, _) = member?;
            if Some(user) != except && !self.is_gone(user)? {
                return Ok(Some(user));
            }
        }
        Ok(None)
    }

    fn is_gone(&self, user: UserId) -> Result<bool, StoreError> {
        Ok(self.account_state(user)?.is_some_and(|account| account.deleted))
    }

    /// Returns the members of a room, each with their key, in the order of succession. The first is at or after the key
    /// `from`; to continue after a member, append a zero byte to its key.
    pub fn members<'a>(
        &'a self,
        room: RoomId,
        from: &[u8],
    ) -> Result<impl Iterator<Item = Result<(UserId, Vec<u8>), StoreError>> + use<'a, T>, StoreError> {
        let rows = self.scan_from::<Succession>(&Scope::room(room), &[], from)?;
        Ok(rows.map(|row| {
            let (key, ()) = row?;
            Ok((UserId(trailing_id(&key)?), key))
        }))
    }

    /// Returns the number of members and bans of a room.
    pub fn room_counts(&self, room: RoomId) -> Result<Counts, StoreError> {
        Ok(self.get::<RoomCounts>(&Scope::room(room), &[])?.unwrap_or_default())
    }

    /// Returns the banned users of a room in the order of their ids, starting with `from`.
    pub fn bans<'a>(
        &'a self,
        room: RoomId,
        from: &[u8],
    ) -> Result<impl Iterator<Item = Result<UserId, StoreError>> + use<'a, T>, StoreError> {
        let rows = self.scan_from::<Ban>(&Scope::room(room), &[], from)?;
        Ok(rows.map(|row| Ok(UserId(trailing_id(&row?.0)?))))
    }

    /// Reads an invite and its room.
    pub fn invite(&self, id: InviteId) -> Result<Option<(RoomId, InviteState)>, StoreError> {
        let Some(room) = self.get::<InviteRoom>(&id.lookup_scope(), &id.0)? else { return Ok(None) };
        Ok(self.get::<Invite>(&Scope::room(room), &id.0)?.map(|invite| (room, invite)))
    }

    /// Reads an invite that is valid at `now_ms` (Unix milliseconds), and its room.
    pub fn open_invite(&self, id: InviteId, now_ms: u64) -> Result<Option<(RoomId, InviteMade)>, StoreError> {
        let Some((room, InviteState { made: Some(made), revoked: false })) = self.invite(id)? else {
            return Ok(None);
        };
        let expired = made.expires_ms.is_some_and(|end| end <= now_ms);
        let used_up = match made.max_uses {
            Some(most) => self.invite_uses(room, id)? >= most,
            None => false,
        };
        let open = !expired && !used_up && self.member_room(room)?.is_some();
        Ok(open.then_some((room, made)))
    }

    /// Returns the invites of a room that were not revoked, in the order of their ids, starting with `from`.
    pub fn invites<'a>(
        &'a self,
        room: RoomId,
        from: &[u8],
    ) -> Result<impl Iterator<Item = Result<InviteMade, StoreError>> + use<'a, T>, StoreError> {
        let scope = Scope::room(room);
        let rows = self.scan_from::<OpenInvite>(&scope, &[], from)?;
        let invite = move |row: Row<()>| match self.get::<Invite>(&scope, &row?.0)? {
            Some(InviteState { made: Some(made), .. }) => Ok(made),
            _ => Err(StoreError::Corrupt("an open invite was not made".into())),
        };
        Ok(rows.map(invite))
    }

    /// Returns the number of users who joined by an invite.
    pub fn invite_uses(&self, room: RoomId, id: InviteId) -> Result<u32, StoreError> {
        Ok(self.get::<InviteUses>(&Scope::room(room), &id.0)?.unwrap_or(0))
    }

    /// Returns the public rooms whose names begin with `folded`, in the order of their names, starting at the key
    /// `from` (the part after the prefix; empty for the first).
    pub fn public_rooms<'a>(
        &'a self,
        folded: &str,
        from: &[u8],
    ) -> Result<impl Iterator<Item = Result<(RoomId, Vec<u8>), StoreError>> + use<'a, T>, StoreError> {
        let prefix = [PUBLIC_ROOMS, folded.as_bytes()].concat();
        let rows = self.scan_index(&prefix, from)?;
        Ok(rows.map(|row| {
            let (key, _) = row?;
            Ok((RoomId(trailing_id(&key)?), key))
        }))
    }

    /// Returns the key of the message that is listed under a derived id.
    pub fn derived(&self, listed_id: MessageId) -> Result<Option<MessageKey>, StoreError> {
        self.indexed(&views::derived_id_index(listed_id))
    }

    /// Returns the position of the last edit of a message, if it has one.
    pub fn last_edit(&self, room: RoomId, message: MessageKey) -> Result<Option<Pos>, StoreError> {
        let mut edits = self.scan::<Edit>(&Scope::room(room), &message.to_bytes())?;
        let last = edits.next_back().transpose()?;
        Ok(last.and_then(|(key, ())| Some(Pos::from_bytes(key.try_into().ok()?))))
    }

    /// Counts the edits of a message, up to the limit.
    pub fn edits(&self, room: RoomId, message: MessageKey) -> Result<usize, StoreError> {
        let edits = self.scan::<Edit>(&Scope::room(room), &message.to_bytes())?;
        Ok(edits.take(EDITS_PER_MESSAGE_MAX).count())
    }

    /// Whether a message was deleted.
    pub fn is_deleted(&self, room: RoomId, message: MessageKey) -> Result<bool, StoreError> {
        self.has::<Deleted>(&Scope::room(room), &message.to_bytes())
    }

    /// Reads a user's last reaction with an emoji to a message.
    pub fn reaction(
        &self,
        room: RoomId,
        message: MessageKey,
        user: UserId,
        emoji: &Emoji,
    ) -> Result<Option<Register<bool>>, StoreError> {
        self.get::<Reaction>(&Scope::room(room), &views::reaction_key(message, user, emoji))
    }

    /// Reads the reactions to a message: user, emoji, whether it is set. Returns at most as many as a message may have,
    /// in the order of users and emoji: the sides of a split may have added more.
    pub fn reactions(
        &self,
        room: RoomId,
        message: MessageKey,
    ) -> Result<impl Iterator<Item = Result<(UserId, String, bool), StoreError>> + use<'_, T>, StoreError>
    {
        let rows = self.scan::<Reaction>(&Scope::room(room), &message.to_bytes())?;
        Ok(rows.take(REACTIONS_PER_MESSAGE_MAX).map(|row| {
            let (key, register) = row?;
            let (user, emoji) = key
                .split_first_chunk()
                .ok_or_else(|| StoreError::Corrupt("a key is too short for its id".into()))?;
            Ok((UserId(*user), String::from_utf8_lossy(emoji).into_owned(), register.value))
        }))
    }
}
