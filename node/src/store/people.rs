//! Reads the views of users, for services and for decisions within a commit.

use std::{collections::BTreeSet, iter};

use starling_protocol::{
    NodeId, Pos, RoomId, Scope, SessionId, UserId, Username,
    event::{NotifyLevel, ServiceKeyId},
    merge::{
        contact::{Relation, Side, Sides},
        member::Member,
        read_mark::ReadMark,
        register::Register,
        service_key::ServiceKeyState,
        session::SessionState,
        user::{self, ClaimState, UserState},
    },
    text,
};

use super::{
    StoreError,
    apply::parse,
    records::{Records, Row, Rows, trailing_id},
    views::{
        self, Claim, ContactMine, ContactTheirs, ForgottenNode, Mention, Name, Notify, Read, ServiceKey,
        Session, User, Waited, username_key,
    },
};

/// A user as others see them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The user's id.
    pub id: UserId,
    /// The shown name: `name~xxxx` if another claimed it first. Empty if the account was deleted.
    pub username: String,
    /// The display name.
    pub display_name: String,
}

impl<T: Rows> Records<T> {
    /// Reads the state of an account, even if it was deleted or its registration has not arrived.
    pub fn account_state(&self, user: UserId) -> Result<Option<UserState>, StoreError> {
        self.get::<User>(&Scope::user(user), &[])
    }

    /// Reads the state of an account that exists: registered, its claim not withdrawn, not deleted. It may be disabled.
    pub fn existing_account(&self, user: UserId) -> Result<Option<UserState>, StoreError> {
        let account =
            self.account_state(user)?.filter(|account| account.registered.is_some() && !account.deleted);
        if account.is_none() || self.claim_of(user)?.is_none() {
            return Ok(None);
        }
        Ok(account)
    }

    /// Returns the user's last claim to a name that was not withdrawn; another user's earlier claim may hold the name.
    pub fn claim_of(&self, user: UserId) -> Result<Option<(Pos, Username)>, StoreError> {
        let scope = Scope::user(user);
        for row in self.scan::<Claim>(&scope, &[])?.rev() {
            let (pos, ClaimState { username, withdrawn }) = row?;
            if !withdrawn {
                return Ok(Some((Pos::from_bytes(trailing_id(&pos)?), username)));
            }
        }
        Ok(None)
    }

    /// Returns the valid claims to a name, that of the holder first.
    pub fn claims(&self, name: &Username) -> Result<Vec<(Pos, UserId)>, StoreError> {
        let mut claims = Vec::new();
        for row in self.scan::<Name>(&name.claim_scope(), &username_key(name, None))? {
            let (pos, (user, withdrawn)) = row?;
            if !withdrawn {
                claims.push((Pos::from_bytes(trailing_id(&pos)?), user));
            }
        }
        Ok(claims)
    }

    /// Whether a user's claim wins the name, as far as this node knows.
    pub fn may_grant_claim(&self, name: &Username, claim: Pos) -> Result<bool, StoreError> {
        let claims = self.claims(name)?;
        let others = claims.iter().filter(|&&(other, _)| other != claim);
        let others: Vec<_> = others.map(|&(other, _)| (other, name.clone())).collect();
        Ok(others.len() < claims.len() && self.wins_over(claim, &others)?)
    }

    /// Whether a user's claim makes them the first administrator, as far as this node knows: the claims of all
    /// other administrators must yield to it, as claims to one name do.
    pub fn makes_first_administrator(&self, user: UserId, claim: Pos) -> Result<bool, StoreError> {
        let mut others = Vec::new();
        for other in self.administrators()? {
            let other = other?;
            if other != user {
                others.extend(self.claim_of(other)?);
            }
        }
        self.wins_over(claim, &others)
    }

    fn wins_over(&self, claim: Pos, others: &[(Pos, Username)]) -> Result<bool, StoreError> {
        let mut waited = Vec::new();
        for (other, name) in others {
            waited
                .push((*other, self.get::<Waited>(&name.claim_scope(), &username_key(name, Some(*other)))?));
        }
        let others = waited.iter().map(|(other, waited_for)| (*other, waited_for.as_deref()));
        Ok(user::may_grant_claim(claim, claim.origin.node, others))
    }

    /// Returns the holder of a name. A deleted account holds its name for ever.
    pub fn holder(&self, name: &Username) -> Result<Option<UserId>, StoreError> {
        Ok(self.claims(name)?.first().map(|&(_, user)| user))
    }

    /// Whether a name belongs to an account, or looks like a held name. Names of renamed accounts (`name~xxxx`) are not
    /// checked: no guest name may contain `~`.
    pub fn is_account_name(&self, name: &str) -> Result<bool, StoreError> {
        for (form, looks) in text::lookalike_forms(name).iter().enumerate() {
            for row in self.scan_index(&views::lookalike_prefix(form, looks), &[])? {
                let name = String::from_utf8(row?.0).ok();
                let name = name.and_then(|name| Username::parse(&name).ok());
                if name.map_or(Ok(None), |name| self.holder(&name))?.is_some() {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Returns the shown name of an account; `None` if it has none.
    pub fn username(&self, user: UserId) -> Result<Option<String>, StoreError> {
        let Some((claim, name)) = self.claim_of(user)? else { return Ok(None) };
        let holds = self.claims(&name)?.first().is_some_and(|&(first, _)| first == claim);
        Ok(Some(if holds { name.to_string() } else { user::suffixed_username(&name, user) }))
    }

    /// Whether another user's earlier claim renamed this user: they may choose another name, once.
    pub fn is_renamed(&self, user: UserId) -> Result<bool, StoreError> {
        Ok(self.username(user)?.is_some_and(|name| name.contains('~')))
    }

    /// Returns a user as others see them; a deleted account has no name.
    pub fn person(&self, user: UserId) -> Result<Person, StoreError> {
        let Some(account) = self.existing_account(user)? else {
            return Ok(Person { id: user, username: String::new(), display_name: "Deleted account".into() });
        };
        let username = self.username(user)?.unwrap_or_default();
        let display_name = account.display_name().map_or_else(|| username.clone(), ToString::to_string);
        Ok(Person { id: user, username, display_name })
    }

    /// Finds a user by their shown name, in any case of letters: `name~xxxx` if another claimed it first.
    pub fn find_by_shown_name(&self, shown: &str) -> Result<Option<UserId>, StoreError> {
        let shown = shown.trim().to_ascii_lowercase();
        let Ok(claimed) = Username::parse(shown.split('~').next().unwrap_or_default()) else {
            return Ok(None);
        };
        for (_, user) in self.claims(&claimed)? {
            if self.username(user)?.as_ref() == Some(&shown) && self.existing_account(user)?.is_some() {
                return Ok(Some(user));
            }
        }
        Ok(None)
    }

    /// Returns the users with valid claims to names that begin with `text` (lower case, not empty), in the order of the
    /// names. They may have other names by now.
    pub fn users_by_username_prefix<'a>(
        &'a self,
        text: &str,
    ) -> Result<impl Iterator<Item = Result<UserId, StoreError>> + use<'a, T>, StoreError> {
        let bucket = Scope::cluster_bucket(text.as_bytes().first().copied().unwrap_or_default());
        let rows = self.scan::<Name>(&bucket, text.as_bytes())?;
        Ok(rows.filter_map(|row| match row {
            Ok((_, (user, withdrawn))) => (!withdrawn).then_some(Ok(user)),
            Err(error) => Some(Err(error)),
        }))
    }

    /// Returns the users whose display names begin with `folded`.
    pub fn users_by_display_name_prefix<'a>(
        &'a self,
        folded: &str,
    ) -> Result<impl Iterator<Item = Result<UserId, StoreError>> + use<'a, T>, StoreError> {
        let rows = self.scan_index(&views::display_name_prefix(folded), &[])?;
        Ok(rows.map(|row| Ok(UserId(trailing_id(&row?.0)?))))
    }

    /// Returns the administrators whose accounts are neither deleted nor disabled.
    pub fn administrators(&self) -> Result<impl Iterator<Item = Result<UserId, StoreError>>, StoreError> {
        let rows = self.scan_index(views::ADMINISTRATORS, &[])?;
        let user = |row: Row<Vec<u8>>| row.and_then(|(user, _)| Ok(UserId(trailing_id(&user)?)));
        // The index doesn't know of withdrawn claims.
        let exists = |user: UserId| Ok(self.existing_account(user)?.map(|_| user));
        Ok(rows.map(user).filter_map(move |user| user.and_then(exists).transpose()))
    }

    /// Whether the service would have no administrator without this user.
    pub fn is_last_administrator(&self, user: UserId) -> Result<bool, StoreError> {
        let mut others = self.administrators()?.filter(|other| !matches!(other, Ok(other) if *other == user));
        Ok(others.next().transpose()?.is_none())
    }

    /// Returns up to `most` accounts that exist and claim names with the prefix `prefix` (lower case), in the order of
    /// these names; after a claim, if one is given.
    pub fn existing_accounts(
        &self,
        prefix: &str,
        after: Option<&(Pos, Username)>,
        most: usize,
    ) -> Result<Vec<UserId>, StoreError> {
        let after = after.map(|(claim, name)| [&username_key(name, Some(*claim))[..], &[0]].concat());
        let after = after.unwrap_or_default();
        let mut found = Vec::new();
        let first = prefix.bytes().next();
        // The bucket of a name is its first byte.
        for byte in (0..=u8::MAX).filter(|byte| first.is_none_or(|first| first == *byte)) {
            let from = match after.first() {
                Some(bucket) if byte < *bucket => continue,
                Some(bucket) if byte == *bucket => after.strip_prefix(prefix.as_bytes()).unwrap_or_default(),
                _ => &[],
            };
            for row in self.scan_from::<Name>(&Scope::cluster_bucket(byte), prefix.as_bytes(), from)? {
                let (key, (user, withdrawn)) = row?;
                let claim = Pos::from_bytes(trailing_id(&key)?);
                // A user who chose another name later is found under that one.
                let is_current = !withdrawn && self.claim_of(user)?.is_some_and(|(last, _)| last == claim);
                if is_current && self.existing_account(user)?.is_some() {
                    found.push(user);
                }
                if found.len() >= most {
                    return Ok(found);
                }
            }
        }
        Ok(found)
    }

    /// Reads a service key.
    pub fn service_key(&self, key: ServiceKeyId) -> Result<Option<ServiceKeyState>, StoreError> {
        self.get::<ServiceKey>(&Scope::cluster(), &key.0)
    }

    /// Returns all service keys, the earliest first. There are few: one for each node that was once alone.
    pub fn service_keys(&self) -> Result<Vec<(ServiceKeyId, ServiceKeyState)>, StoreError> {
        let rows = self.scan::<ServiceKey>(&Scope::cluster(), &[])?;
        let keys = rows.map(|row| row.and_then(|(id, state)| Ok((ServiceKeyId(trailing_id(&id)?), state))));
        let mut keys = keys.collect::<Result<Vec<_>, _>>()?;
        keys.sort_by_key(|(_, state)| state.first);
        Ok(keys)
    }

    /// Returns all nodes that were forgotten, ever.
    pub fn forgotten_nodes(&self) -> Result<BTreeSet<NodeId>, StoreError> {
        let rows = self.scan::<ForgottenNode>(&Scope::cluster(), &[])?;
        rows.map(|row| row.and_then(|(node, _)| Ok(NodeId(trailing_id(&node)?)))).collect()
    }

    /// Reads a session.
    pub fn session(&self, user: UserId, session: SessionId) -> Result<Option<SessionState>, StoreError> {
        self.get::<Session>(&Scope::user(user), &session.0)
    }

    /// Returns all sessions of a user, ended or not.
    pub fn sessions(&self, user: UserId) -> Result<Vec<(SessionId, SessionState)>, StoreError> {
        let rows = self.scan::<Session>(&Scope::user(user), &[])?;
        rows.map(|row| row.and_then(|(id, session)| Ok((SessionId(trailing_id(&id)?), session)))).collect()
    }

    /// Returns the sessions of a user that were opened and not ended by an event. Some may have expired, or ended with
    /// a change of the password.
    pub fn open_sessions(&self, user: UserId) -> Result<Vec<(SessionId, SessionState)>, StoreError> {
        let mut open = Vec::new();
        for row in self.scan_index(&views::open_session_index(user, &[]), &[])? {
            let id = SessionId(trailing_id(&row?.0)?);
            open.extend(self.session(user, id)?.map(|session| (id, session)));
        }
        Ok(open)
    }

    /// Returns the last stances of two users on each other, seen from the first.
    pub fn sides(&self, one: UserId, other: UserId) -> Result<Sides, StoreError> {
        let scope = Scope::user(one);
        let mine = self.get::<ContactMine>(&scope, &other.0)?;
        Ok(Sides { mine, theirs: self.get::<ContactTheirs>(&scope, &other.0)? })
    }

    /// Returns the relation of two users, seen from the first.
    pub fn relation(&self, one: UserId, other: UserId) -> Result<Relation, StoreError> {
        Ok(self.sides(one, other)?.relation())
    }

    /// Returns all users that took a stance on a user, or that the user took one on, with both stances; each once, in
    /// the order of their ids, starting with `from`.
    pub fn acquaintances(
        &self,
        user: UserId,
        from: UserId,
    ) -> Result<impl Iterator<Item = Result<(UserId, Sides), StoreError>> + use<'_, T>, StoreError> {
        let said = |row: Row<Side>| row.and_then(|(id, side)| Ok((UserId(trailing_id(&id)?), side)));
        let scope = Scope::user(user);
        let mut mine = self.scan_from::<ContactMine>(&scope, &[], &from.0)?.map(said).peekable();
        let mut theirs = self.scan_from::<ContactTheirs>(&scope, &[], &from.0)?.map(said).peekable();
        // Errors come first.
        let id = |said: &Result<(UserId, Side), _>| said.as_ref().map_or(UserId([0; 16]), |&(id, _)| id);
        Ok(iter::from_fn(move || {
            let first = mine.peek().map(id).into_iter().chain(theirs.peek().map(id)).min()?;
            let mine = mine.next_if(|said| id(said) == first).transpose();
            let theirs = theirs.next_if(|said| id(said) == first).transpose();
            let sides = mine.and_then(|mine| {
                Ok(Sides { mine: mine.map(|(_, side)| side), theirs: theirs?.map(|(_, side)| side) })
            });
            Some(sides.map(|sides| (first, sides)))
        }))
    }

    /// Returns all rooms of a user, with their membership.
    pub fn rooms_of(&self, user: UserId) -> Result<Vec<(RoomId, Member)>, StoreError> {
        let rows = self.scan_index(&views::member_of_prefix(user), &[])?;
        rows.map(|row| row.and_then(|(room, member)| Ok((RoomId(trailing_id(&room)?), parse(&member)?))))
            .collect()
    }

    /// Returns the deleted rooms that still list a user as a member.
    pub fn deleted_rooms_of(&self, user: UserId) -> Result<Vec<RoomId>, StoreError> {
        let rows = self.scan_index(&views::member_of_deleted_prefix(user), &[])?;
        rows.map(|row| Ok(RoomId(trailing_id(&row?.0)?))).collect()
    }

    /// Whether a user was ever a member of a room.
    pub fn was_member(&self, user: UserId, room: RoomId) -> Result<bool, StoreError> {
        Ok(self.indexed::<()>(&views::was_member_index(user, room))?.is_some())
    }

    /// Whether another user ever asked a user to be contacts, or accepted them.
    pub fn was_asked(&self, user: UserId, by: UserId) -> Result<bool, StoreError> {
        Ok(self.indexed::<()>(&views::was_asked_index(user, by))?.is_some())
    }

    /// Reads a user's read mark in a room.
    pub fn read_mark(&self, user: UserId, room: RoomId) -> Result<Option<ReadMark>, StoreError> {
        self.get::<Read>(&Scope::user(user), &room.0)
    }

    /// Reads a user's notification level in a room; `None` if they never chose one.
    pub fn notify_register(
        &self,
        user: UserId,
        room: RoomId,
    ) -> Result<Option<Register<NotifyLevel>>, StoreError> {
        self.get::<Notify>(&Scope::user(user), &room.0)
    }

    /// Returns the positions of messages in a room that mention a user, the newest first.
    pub fn mentions(
        &self,
        user: UserId,
        room: RoomId,
    ) -> Result<impl Iterator<Item = Result<Pos, StoreError>> + use<'_, T>, StoreError> {
        let rows = self.scan::<Mention>(&Scope::user(user), &room.0)?;
        Ok(rows.rev().map(|row| Ok(Pos::from_bytes(trailing_id(&row?.0)?))))
    }
}
