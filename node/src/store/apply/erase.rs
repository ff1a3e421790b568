//! Erasure: what was deleted leaves the log, too. A stub takes its place, the same on every node, from which the same
//! views are made; what comes later than its deletion is kept as a stub at once.

use std::borrow::Cow;

use redb::ReadableTable;
use starling_protocol::{Event, EventBody, OriginId, Pos, RoomId, Scope, UserId, event::MessageKey};

use super::Tables;
use crate::store::{
    StoreError, tables,
    views::{self, Deleted, Duplicate, Edit, Mention, Room},
};

/// Events of a deleted scope that are erased in one commit: bounds how long posts wait behind it.
const ERASE_EVENTS: usize = if cfg!(test) { 3 } else { 200 };

impl Tables<'_> {
    /// An event as it is kept and applied: as a stub if what it says was deleted before it came.
    pub fn kept<'event>(&self, event: &'event Event) -> Result<Cow<'event, Event>, StoreError> {
        Ok(if self.is_erased(event)? { Cow::Owned(event.erased()) } else { Cow::Borrowed(event) })
    }

    fn is_erased(&self, event: &Event) -> Result<bool, StoreError> {
        if let Some(user) = event.scope.as_user() {
            return Ok(self.records.account(user)?.is_some_and(|account| account.deleted));
        }
        // The deletion may be here before the room is.
        let room = self.records.get::<Room>(&event.scope, &[])?;
        if room.is_some_and(|room| room.deleted) || event.body.is_message_stub() {
            return Ok(true);
        }
        let message = match &event.body {
            EventBody::MessagePosted(posted) => posted.key(),
            EventBody::MessageEdited(edited) => edited.message,
            _ => return Ok(false),
        };
        self.records.has::<Deleted>(&event.scope, &message.to_bytes())
    }

    /// An event as [`Tables::kept`] of the log while its views are derived anew: what is still to be erased does not come
    /// back, nor does what an earlier version left in its stubs.
    pub fn kept_in_log<'event>(&mut self, event: &'event Event) -> Result<Cow<'event, Event>, StoreError> {
        let kept = self.kept(event)?;
        if kept.encoded() != event.encoded() {
            self.log.insert(&tables::log_key(event.origin, event.seq), &kept.encoded()[..])?;
            self.erased = true;
        }
        Ok(kept)
    }

    /// Notes by room that an event there names a user, so that this goes with the event.
    pub(super) fn note_named(&mut self, scope: &Scope, event: &Event) -> Result<(), StoreError> {
        let is_message = matches!(event.body, EventBody::MessagePosted(_) | EventBody::MessageEdited(_));
        match (event.scope.as_room(), scope.as_user()) {
            (Some(room), Some(user)) if is_message => {
                self.records.put_index(&views::named_index(room, event.pos(), user), &())
            }
            _ => Ok(()),
        }
    }

    /// A room was deleted: none of its events names anybody any more.
    pub(super) fn forget_named(&mut self, room: RoomId) -> Result<(), StoreError> {
        let rows = self.records.scan_index(&views::named_prefix(room), &[])?;
        let named: Vec<_> = rows.map(|row| Ok(row?.0)).collect::<Result<_, StoreError>>()?;
        for (pos, user) in named.iter().filter_map(|key| views::parse_named(key)) {
            self.unname(room, pos, user)?;
        }
        Ok(())
    }

    /// An event of a room does not name a user any more: it is a stub now.
    fn unname(&mut self, room: RoomId, pos: Pos, user: UserId) -> Result<(), StoreError> {
        self.records.remove_index(&views::named_index(room, pos, user))?;
        let scope = Scope::user(user);
        self.records.remove::<Mention>(&mut self.book, &scope, &views::mention_key(room, Some(pos)))?;
        let key = tables::scope_key(&scope, pos.origin, pos.seq);
        let hlc = self.scopes.remove(&key[..])?.map(|hlc| hlc.value());
        if let Some(hlc) = hlc {
            self.book.removed(&scope, "scopes", &key, &hlc.to_be_bytes());
            self.book.unapplied(&scope, pos);
        }
        Ok(())
    }

    /// Erases every post and every edit of a message from the log.
    pub(super) fn erase_message(&mut self, scope: &Scope, message: MessageKey) -> Result<(), StoreError> {
        let prefix = message.to_bytes();
        let places = |rows: Vec<Vec<u8>>| {
            rows.into_iter().filter_map(|key| Some(Pos::from_bytes(key.try_into().ok()?)))
        };
        let edits: Vec<_> = self
            .records
            .scan::<Edit>(scope, &prefix)?
            .map(|row| Ok(row?.0))
            .collect::<Result<_, StoreError>>()?;
        let duplicates: Vec<_> = self
            .records
            .scan::<Duplicate>(scope, &prefix)?
            .map(|row| Ok(row?.0))
            .collect::<Result<_, StoreError>>()?;
        let listed = self.message(message.sender, message.id)?.map(|state| state.pos());
        for pos in places(edits).chain(places(duplicates)).chain(listed) {
            self.erase_at(pos.origin, pos.seq, scope)?;
        }
        Ok(())
    }

    /// Puts a stub in the place of an event of the log, if it belongs to a scope.
    fn erase_at(&mut self, origin: OriginId, seq: u64, scope: &Scope) -> Result<(), StoreError> {
        let key = tables::log_key(origin, seq);
        let Some(bytes) = self.log.get(&key)?.map(|bytes| bytes.value().to_vec()) else { return Ok(()) };
        let event = Event::decode(bytes.into())?;
        // What others wrote about a user is theirs.
        if event.scope != *scope {
            return Ok(());
        }
        let stub = event.erased();
        if stub.encoded() != event.encoded() {
            self.log.insert(&key, &stub.encoded()[..])?;
            self.erased = true;
            let stays = stub.body.touches();
            let gone = event.body.touches().into_iter().filter(|touched| !stays.contains(touched));
            if let Some(room) = scope.as_room() {
                let users: Vec<_> = gone.filter_map(|touched| touched.as_user()).collect();
                users.into_iter().try_for_each(|user| self.unname(room, event.pos(), user))?;
            }
        }
        Ok(())
    }

    /// Has all of a scope's events erased, a few at a time: there may be many.
    pub(super) fn erase_later(&mut self, scope: &Scope) -> Result<(), StoreError> {
        let key = [views::TO_ERASE, &[scope.kind], &scope.id].concat();
        self.records.put_index(&key, &(scope, Vec::<u8>::new()))
    }

    /// Erases some events of a scope that was deleted; says whether there is more to be done.
    pub fn erase_some(&mut self) -> Result<bool, StoreError> {
        let next = self.records.scan_index(views::TO_ERASE, &[])?.next().transpose()?;
        let Some((key, record)) = next else { return Ok(false) };
        let key = [views::TO_ERASE, &key].concat();
        let (scope, done): (Scope, Vec<u8>) = super::parse(&record)?;
        let begin = tables::scope_beginning(&scope);
        let from = if done.is_empty() { begin.clone() } else { [&done[..], &[0]].concat() };
        let mut keys = Vec::new();
        for row in self.scopes.range::<&[u8]>(&from[..]..)? {
            let key = row?.0.value().to_vec();
            if !key.starts_with(&begin) || keys.len() == ERASE_EVENTS {
                break;
            }
            keys.push(key);
        }
        for (origin, seq) in keys.iter().filter_map(|key| tables::parse_scope_key(key)) {
            self.erase_at(origin, seq, &scope)?;
        }
        match keys.pop() {
            Some(last) => self.records.put_index(&key, &(scope, last))?,
            None => self.records.remove_index(&key)?,
        }
        self.records.has_to_erase()
    }
}
