//! Applies events of people to their views: accounts, names, sessions, contacts, marks.

use starling_protocol::{
    Event, EventBody, NodeId, Pos, RoomId, Scope, UserId, Username,
    event::{NotifyLevelChanged, SessionOpened, SessionsEnded, Stance, StanceChanged},
    frame::live::RoomChange,
    merge::{contact, read_mark, register, session, user},
    text,
};

use super::Tables;
use crate::store::{
    Change, RecordsWriter, StoreError, records,
    tables::{INDEX, RECORDS},
    view_set::View,
    views::{
        Claim, ContactMine, ContactTheirs, FoldedRead, Name, Notify, Read, Session, User, Waited,
        administrator_index, display_name_index, lookalike_index, open_session_index, username_key,
        was_asked_index,
    },
};

impl Tables<'_> {
    /// Applies an event of a user's scope; ignores kinds that don't belong there.
    pub(super) fn apply_person(&mut self, user: UserId, event: &Event) -> Result<(), StoreError> {
        let (pos, body) = (event.pos(), &event.body);
        match body {
            EventBody::UserRegistered(registered) => {
                self.apply_account(user, pos, body)?;
                self.apply_claim_waits(pos, &registered.username, registered.waited_for.as_deref())?;
                self.apply_claim(user, pos, &registered.username, false)
            }
            EventBody::UsernameChosen(chosen) => {
                self.apply_claim_waits(pos, &chosen.username, chosen.waited_for.as_deref())?;
                self.apply_claim(user, pos, &chosen.username, false)
            }
            EventBody::ClaimNarrowed(narrowed) => {
                self.apply_claim_waits(narrowed.claim, &narrowed.username, Some(&narrowed.confirmed_by))
            }
            EventBody::ClaimWithdrawn(withdrawn) => {
                self.apply_claim(user, withdrawn.claim, &withdrawn.username, true)
            }
            EventBody::ProfileChanged(_)
            | EventBody::PasswordRehashed(_)
            | EventBody::ResetLinkMade(_)
            | EventBody::SettingsChanged(_)
            | EventBody::UserFlagged(_) => self.apply_account(user, pos, body),
            EventBody::PasswordChanged(changed) => {
                self.apply_account(user, pos, body)?;
                changed.kept_session.map_or(Ok(()), |session| self.apply_session(user, &session.0, pos, body))
            }
            EventBody::UserDeleted(_) => self.apply_deletion(user, pos, body),
            EventBody::SessionOpened(SessionOpened { session, .. }) => {
                self.apply_session(user, &session.0, pos, body)
            }
            EventBody::RefreshTokenUsed(refresh) => self.apply_session(user, &refresh.session.0, pos, body),
            EventBody::SessionsEnded(SessionsEnded { sessions, all_logins }) => {
                if *all_logins {
                    self.apply_account(user, pos, body)?;
                }
                sessions.iter().try_for_each(|session| self.apply_session(user, &session.0, pos, body))
            }
            EventBody::StanceChanged(said) => self.apply_contact(user, pos, said),
            EventBody::ReadMarked(marked) => {
                self.apply_read_mark::<Read>(user, marked.room, |state| read_mark::apply(state, marked))
            }
            EventBody::FoldedReadMarked(marked) => {
                let rule = |state| read_mark::apply_folded(state, marked);
                self.apply_read_mark::<FoldedRead>(user, marked.room, rule)
            }
            EventBody::NotifyLevelChanged(NotifyLevelChanged { room, level }) => {
                let scope = Scope::user(user);
                let rule = |state| register::apply(state, pos, *level);
                self.records.merge::<Notify>(&mut self.book, &scope, &room.0, rule)?;
                self.changes.push(Change::Member(*room, user, RoomChange::Updated));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn apply_account(&mut self, user: UserId, pos: Pos, body: &EventBody) -> Result<(), StoreError> {
        let rule = |state| user::apply(state, pos, body);
        let (before, after) = self.records.merge::<User>(&mut self.book, &Scope::user(user), &[], rule)?;
        let name_before = before.as_ref().and_then(|before| before.display_name());
        if name_before != after.display_name() {
            if let Some(name) = name_before {
                let gone = display_name_index(name, user);
                self.records.remove_index(&gone)?;
                self.rewrite_later(&INDEX, &gone)?;
            }
            if let Some(name) = after.display_name() {
                self.records.put_index(&display_name_index(name, user), &())?;
            }
            self.changes.push(Change::Profile(user));
        }
        if after.deleted && before.as_ref().is_some_and(|before| !before.deleted) {
            self.erased_row(&RECORDS, &records::key::<User>(&Scope::user(user), &[]))?;
        }
        if after.is_admin() && !after.is_disabled() && !after.deleted {
            self.records.put_index(&administrator_index(user), &())?;
        } else {
            self.records.remove_index(&administrator_index(user))?;
        }
        self.changes.push(Change::Account(user));
        Ok(())
    }

    fn apply_claim(
        &mut self,
        user: UserId,
        claim: Pos,
        name: &Username,
        withdrawn: bool,
    ) -> Result<(), StoreError> {
        let holder_before = self.records.holder(name)?;
        let rule = |state| user::apply_claim(state, name, withdrawn);
        let (_, claimed) =
            self.records.merge::<Claim>(&mut self.book, &Scope::user(user), &claim.to_bytes(), rule)?;
        for (form, looks) in text::lookalike_forms(name.as_str()).iter().enumerate() {
            self.records.put_index(&lookalike_index(form, looks, name.as_str()), &())?;
        }
        let row = (user, claimed.withdrawn);
        self.records.put::<Name>(
            &mut self.book,
            &name.claim_scope(),
            &username_key(name, Some(claim)),
            &row,
        )?;
        // An earlier claim that arrives later renames the present holder.
        let holder = self.records.holder(name)?;
        let renamed = [holder_before, holder, Some(user)].into_iter().flatten();
        self.changes.extend(renamed.flat_map(|user| [Change::Profile(user), Change::Account(user)]));
        Ok(())
    }

    fn apply_claim_waits(
        &mut self,
        claim: Pos,
        name: &Username,
        nodes: Option<&[NodeId]>,
    ) -> Result<(), StoreError> {
        let Some(nodes) = nodes else { return Ok(()) };
        let rule = |state| user::narrow_waited_for(state, nodes);
        self.records.merge::<Waited>(
            &mut self.book,
            &name.claim_scope(),
            &username_key(name, Some(claim)),
            rule,
        )?;
        Ok(())
    }

    fn apply_deletion(&mut self, user: UserId, pos: Pos, body: &EventBody) -> Result<(), StoreError> {
        self.apply_account(user, pos, body)?;
        let scope = Scope::user(user);
        for (session, state) in self.records.sessions(user)? {
            self.records.put::<Session>(&mut self.book, &scope, &session.0, &session::erase(state))?;
            self.erased_row(&RECORDS, &records::key::<Session>(&scope, &session.0))?;
            self.records.remove_index(&open_session_index(user, &session.0))?;
        }
        self.changes.push(Change::Profile(user));
        self.erase_later(&scope)
    }

    fn apply_session(
        &mut self,
        user: UserId,
        id: &[u8],
        pos: Pos,
        body: &EventBody,
    ) -> Result<(), StoreError> {
        let rule = |state| session::apply(state, pos, body);
        let (_, after) = self.records.merge::<Session>(&mut self.book, &Scope::user(user), id, rule)?;
        let open = after.opened.as_ref().is_some_and(|(_, opened)| opened.key != [0; 32]) && !after.ended;
        if open {
            self.records.put_index(&open_session_index(user, id), &())?;
        } else {
            self.records.remove_index(&open_session_index(user, id))?;
        }
        self.changes.push(Change::Account(user));
        Ok(())
    }

    fn apply_contact(&mut self, from: UserId, pos: Pos, said: &StanceChanged) -> Result<(), StoreError> {
        let (mine, theirs) = (Scope::user(from), Scope::user(said.to));
        let ways = [(from, said.to), (said.to, from)];
        let relations = |records: &RecordsWriter<'_>| -> Result<_, StoreError> {
            let [mine, theirs] = ways.map(|(one, other)| records.relation(one, other));
            Ok([mine?, theirs?])
        };
        let before = relations(&self.records)?;
        let rule = |state| contact::apply(state, pos, said);
        if said.stance == Stance::Yes {
            self.records.put_index(&was_asked_index(said.to, from), &())?;
        }
        let (_, side) = self.records.merge::<ContactMine>(&mut self.book, &mine, &said.to.0, rule)?;
        self.records.put::<ContactTheirs>(&mut self.book, &theirs, &from.0, &side)?;
        let after = relations(&self.records)?;
        // A user doesn't see a stranger's block.
        let changed = ways.into_iter().zip(before.into_iter().zip(after)).filter(|(_, (a, b))| a != b);
        self.changes.extend(changed.map(|((one, other), _)| Change::Contact(one, other)));
        Ok(())
    }

    /// Merges a read mark of either form.
    fn apply_read_mark<V: View>(
        &mut self,
        user: UserId,
        room: RoomId,
        rule: impl FnOnce(Option<V::Record>) -> V::Record,
    ) -> Result<(), StoreError>
    where
        V::Record: Clone + PartialEq,
    {
        let (before, after) = self.records.merge::<V>(&mut self.book, &Scope::user(user), &room.0, rule)?;
        if before.as_ref() != Some(&after) {
            self.changes.push(Change::Read(room, user));
        }
        Ok(())
    }
}
