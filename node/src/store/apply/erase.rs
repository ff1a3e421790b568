//! Erasure: what was deleted leaves the log, too. A stub takes its place, the same on every node, from which the same
//! views are made; what comes later than its deletion is kept as a stub at once.

use std::borrow::Cow;

use redb::ReadableTable;
use starling_protocol::{Event, EventBody, OriginId, Pos, Scope, event::MessageKey};

use super::Tables;
use crate::store::{
    StoreError, tables,
    views::{self, Deleted, Duplicate, Edit, Room},
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
        let message = match &event.body {
            EventBody::MessagePosted(posted) => posted.key(),
            EventBody::MessageEdited(edited) => edited.message,
            _ => return Ok(false),
        };
        // The deletion may be here before the room is.
        let room = self.records.get::<Room>(&event.scope, &[])?;
        Ok(room.is_some_and(|room| room.deleted)
            || self.records.has::<Deleted>(&event.scope, &message.to_bytes())?)
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
