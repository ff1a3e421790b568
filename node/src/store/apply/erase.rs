//! Erasure removes deleted content from the log, too. A stub takes the event's place, the same on every node, and gives
//! the same views. An event that arrives after its deletion is stored as a stub at once.

use std::borrow::Cow;

use redb::TableHandle;
use starling_protocol::{Event, EventBody, OriginId, Pos, RoomId, Scope, Seq, UserId, event::MessageKey};

use super::Tables;
use crate::store::{
    StoreError,
    tables::{self, LOG},
    view_set::ViewSet,
    views::{self, Deleted, Duplicate, Edit, Mention},
};

/// The number of events of a deleted scope that one commit erases: limits how long posts wait.
const ERASE_EVENTS: usize = if cfg!(test) { 3 } else { 200 };

impl Tables<'_> {
    /// Returns the event to store and apply: a stub if its content was deleted before it arrived.
    pub fn stub_if_deleted<'event>(&self, event: &'event Event) -> Result<Cow<'event, Event>, StoreError> {
        Ok(if self.is_erased(event)? { Cow::Owned(event.erased()) } else { Cow::Borrowed(event) })
    }

    fn is_erased(&self, event: &Event) -> Result<bool, StoreError> {
        if let Some(user) = event.scope.as_user() {
            return Ok(self.records.account_state(user)?.is_some_and(|account| account.deleted));
        }
        // The deletion may arrive before the room does.
        let facts = self.room_facts(&event.scope)?;
        if facts.is_deleted || event.body.is_message_stub() {
            return Ok(true);
        }
        if !facts.has_deletions {
            return Ok(false);
        }
        let message = match &event.body {
            EventBody::MessagePosted(posted) => posted.key(),
            EventBody::MessageEdited(edited) => edited.message,
            _ => return Ok(false),
        };
        self.records.has::<Deleted>(&event.scope, &message.to_bytes())
    }

    /// Works as [`Tables::stub_if_deleted`] for an event of the log during a rebuild: erased content doesn't come back, nor does
    /// content that an earlier version left in its stubs.
    pub fn rewrite_as_stub_if_deleted<'event>(
        &mut self,
        event: &'event Event,
    ) -> Result<Cow<'event, Event>, StoreError> {
        let kept = self.stub_if_deleted(event)?;
        if kept.encoded() != event.encoded() {
            let key = tables::log_key(event.origin, event.seq);
            self.log.replace(&key, kept.encoded())?;
            self.erased_row(&LOG, &key)?;
        }
        Ok(kept)
    }

    /// Notes that a row was erased or shortened, for the next scrub.
    pub(super) fn erased_row(&mut self, table: &impl TableHandle, key: &[u8]) -> Result<(), StoreError> {
        self.erased = true;
        self.rewrite_later(table, key)
    }

    /// Notes that a row was replaced: its old text may outlive it in its leaf. The next scrub writes the leaf anew.
    pub(super) fn rewrite_later(&mut self, table: &impl TableHandle, key: &[u8]) -> Result<(), StoreError> {
        self.to_rewrite.insert((table.name(), key), ())?;
        Ok(())
    }

    /// Indexes a mention by room, so that it goes with its event.
    pub(super) fn index_mention(&mut self, scope: &Scope, event: &Event) -> Result<(), StoreError> {
        let is_message = matches!(event.body, EventBody::MessagePosted(_) | EventBody::MessageEdited(_));
        match (event.scope.as_room(), scope.as_user()) {
            (Some(room), Some(user)) if is_message => {
                self.records.put_index(&views::room_mention_index(room, event.pos(), user), &())
            }
            _ => Ok(()),
        }
    }

    /// Removes all mentions of a deleted room.
    pub(super) fn remove_mentions_in_room(&mut self, room: RoomId) -> Result<(), StoreError> {
        let rows = self.records.scan_index(&views::room_mentions_prefix(room), &[])?;
        let named: Vec<_> = rows.map(|row| Ok(row?.0)).collect::<Result<_, StoreError>>()?;
        for (pos, user) in named.iter().filter_map(|key| views::parse_room_mention(key)) {
            self.remove_mention(room, pos, user)?;
        }
        Ok(())
    }

    /// Removes the mentions of an event that became a stub.
    fn remove_mention(&mut self, room: RoomId, pos: Pos, user: UserId) -> Result<(), StoreError> {
        self.records.remove_index(&views::room_mention_index(room, pos, user))?;
        let scope = Scope::user(user);
        self.records.remove::<Mention>(&mut self.book, &scope, &views::mention_key(room, Some(pos)))?;
        if self.views != ViewSet::ALL {
            return Ok(());
        }
        if let Some((key, hlc)) = self.places.unindex(&scope, pos)? {
            self.book.removed(&scope, tables::SCOPES.name(), &key, &hlc.to_be_bytes());
            self.book.unapplied(&scope, pos);
        }
        Ok(())
    }

    /// Erases every post and every edit of a message from the log.
    pub(super) fn erase_message(&mut self, scope: &Scope, message: MessageKey) -> Result<(), StoreError> {
        let prefix = message.to_bytes();
        let positions = |rows: Vec<Vec<u8>>| {
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
        let listed = self.message(message)?.map(|state| state.pos());
        for pos in positions(edits).chain(positions(duplicates)).chain(listed) {
            self.erase_at(pos.origin, pos.seq, scope)?;
        }
        Ok(())
    }

    /// Replaces an event of the log by a stub, if it belongs to a scope.
    fn erase_at(&mut self, origin: OriginId, seq: Seq, scope: &Scope) -> Result<(), StoreError> {
        let key = tables::log_key(origin, seq);
        let Some(bytes) = self.log.get(origin, seq)? else { return Ok(()) };
        let event = Event::decode(bytes)?;
        // Skips an event that another user wrote about this one: it belongs to the other user's scope.
        if event.scope != *scope {
            return Ok(());
        }
        let stub = event.erased();
        if stub.encoded() != event.encoded() {
            self.log.replace(&key, stub.encoded())?;
            self.erased_row(&LOG, &key)?;
            let stays = stub.body.other_scopes();
            let gone = event.body.other_scopes().into_iter().filter(|touched| !stays.contains(touched));
            if let Some(room) = scope.as_room() {
                let users: Vec<_> = gone.filter_map(|touched| touched.as_user()).collect();
                users.into_iter().try_for_each(|user| self.remove_mention(room, event.pos(), user))?;
            }
        }
        Ok(())
    }

    /// Schedules the events of a scope to be erased in steps: there may be many.
    pub(super) fn erase_later(&mut self, scope: &Scope) -> Result<(), StoreError> {
        let key = [views::TO_ERASE, &[scope.kind], &scope.id].concat();
        self.records.put_index(&key, &(scope, Vec::<u8>::new()))
    }

    /// Erases some events of a deleted scope; returns whether more remain.
    pub fn erase_some(&mut self) -> Result<bool, StoreError> {
        let next = self.records.scan_index(views::TO_ERASE, &[])?.next().transpose()?;
        let Some((key, record)) = next else { return Ok(false) };
        let key = [views::TO_ERASE, &key].concat();
        let (scope, done): (Scope, Vec<u8>) = super::parse(&record)?;
        let mut events = self.places.indexed_after(&scope, &done, ERASE_EVENTS)?;
        for (_, origin, seq) in &events {
            self.erase_at(*origin, *seq, &scope)?;
        }
        match events.pop() {
            Some((last, ..)) => self.records.put_index(&key, &(scope, last))?,
            None => self.records.remove_index(&key)?,
        }
        self.records.has_pending_erasures()
    }
}
