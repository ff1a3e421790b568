//! Applies events to the log and the views within one transaction. The merge rules are `protocol`'s; this
//! only fetches and keeps their states. Called by the committer, and by a rebuild, which may be of some views only.

mod clear;
mod cluster;
mod erase;
mod messages;
mod people;
mod rooms;

use std::{cell::RefCell, collections::BTreeMap};

use bytes::Bytes;
use redb::{ReadableTable, Table, TableHandle, WriteTransaction};
use serde::{Serialize, de::DeserializeOwned};
use starling_protocol::{
    Event, EventBody, MessagePosted, NameShared, Pos, QuickRoomCreated, RoomId, Scope, ScopeDigest, codec,
    frame::client::ListedMessage,
    limits::VIEW_ROW_BYTES_MAX,
    merge::room::{self, QuickRoomState},
};

use super::{
    Change, StoreError,
    digests::DigestBook,
    folds::{FoldCache, HeadsWriter},
    log::LogWriter,
    message_ids::MessageIdsWriter,
    names::NamesWriter,
    places::PlacesWriter,
    post_cache::PostCache,
    records::RecordsWriter,
    scrub, tables,
    view_set::ViewSet,
};

/// A message of a quick room that is newly listed, has moved, or has another listed id: its room and the message.
pub type QuickMessage = (RoomId, ListedMessage);

/// All tables that events change, open in one transaction.
pub struct Tables<'txn> {
    meta: Table<'txn, &'static str, u64>,
    log: LogWriter<'txn>,
    /// The log's vector and its folds.
    pub(super) heads: HeadsWriter<'txn>,
    places: PlacesWriter<'txn>,
    rooms: Table<'txn, &'static [u8; 10], &'static [u8]>,
    messages: MessageIdsWriter<'txn>,
    /// The shown names of guests.
    pub names: NamesWriter<'txn>,
    /// Users and member rooms.
    pub records: RecordsWriter<'txn>,
    digests: Table<'txn, &'static [u8], &'static [u8; 32]>,
    book: DigestBook,
    /// Answers to what posts ask about their rooms and senders.
    pub(super) cache: RefCell<PostCache>,
    to_rewrite: Table<'txn, (&'static str, &'static [u8]), ()>,
    /// The views that are written; the others are only read.
    views: ViewSet,
    /// Whether something was erased that the file still holds, outside of any row.
    pub(super) erased: bool,
    /// The changes for live sessions.
    pub changes: Vec<Change>,
}

/// Makes the views, empty.
pub fn create_views(transaction: &WriteTransaction) -> Result<(), StoreError> {
    transaction.open_table(tables::SCOPES)?;
    transaction.open_table(tables::QUICK_ROOMS)?;
    transaction.open_table(tables::TIMELINE)?;
    transaction.open_table(tables::MESSAGES)?;
    transaction.open_table(tables::NAME_CLAIMS)?;
    transaction.open_table(tables::NAME_GROUPS)?;
    transaction.open_table(tables::RECORDS)?;
    transaction.open_table(tables::INDEX)?;
    transaction.open_table(tables::DIGESTS)?;
    Ok(())
}

/// Drops all views and makes them again, empty.
pub fn clear_views(transaction: &WriteTransaction) -> Result<(), StoreError> {
    transaction.delete_table(tables::SCOPES)?;
    transaction.delete_table(tables::QUICK_ROOMS)?;
    transaction.delete_table(tables::TIMELINE)?;
    transaction.delete_table(tables::MESSAGES)?;
    transaction.delete_table(tables::NAME_CLAIMS)?;
    transaction.delete_table(tables::NAME_GROUPS)?;
    transaction.delete_table(tables::RECORDS)?;
    transaction.delete_table(tables::INDEX)?;
    transaction.delete_table(tables::DIGESTS)?;
    create_views(transaction)
}

impl<'txn> Tables<'txn> {
    /// Opens all tables in a write transaction.
    pub fn open(transaction: &'txn WriteTransaction, folds: &FoldCache) -> Result<Self, StoreError> {
        Ok(Self {
            meta: transaction.open_table(tables::META)?,
            log: LogWriter::open(transaction)?,
            heads: HeadsWriter::open(transaction, folds)?,
            places: PlacesWriter::open(transaction)?,
            rooms: transaction.open_table(tables::QUICK_ROOMS)?,
            messages: MessageIdsWriter::open(transaction)?,
            names: NamesWriter::open(transaction)?,
            records: RecordsWriter::open(transaction)?,
            digests: transaction.open_table(tables::DIGESTS)?,
            book: DigestBook::default(),
            cache: RefCell::default(),
            to_rewrite: transaction.open_table(tables::TO_REWRITE)?,
            views: ViewSet::ALL,
            erased: false,
            changes: Vec::new(),
        })
    }

    /// From now on writes these views alone. The others are taken to hold all events of the log.
    pub fn write_only(&mut self, views: ViewSet) {
        self.views = views;
        self.records.write_only(views);
    }

    /// Writes what was kept until now, before the transaction is committed; returns the value that it adds to the digest of
    /// each shard.
    pub fn flush(&mut self) -> Result<BTreeMap<u8, ScopeDigest>, StoreError> {
        if std::mem::take(&mut self.erased) {
            let before = self.meta.get(scrub::ERASED)?.map_or(0, |count| count.value());
            self.meta.insert(scrub::ERASED, before + 1)?;
        }
        self.log.flush()?;
        self.heads.flush()?;
        self.messages.flush()?;
        self.places.flush()?;
        self.names.flush(&mut self.book)?;
        self.book.flush(&mut self.digests)
    }

    /// Appends an event to the log; it must be the next of its origin.
    pub fn append(&mut self, event: &Event) -> Result<(), StoreError> {
        if !self.log.append(event) {
            return Err(StoreError::Corrupt(format!("{}:{} was there already", event.origin, event.seq)));
        }
        self.heads.set(event.origin, event.seq);
        Ok(())
    }

    /// Appends and applies an event, unless the log holds it: it was committed before a crash.
    pub fn append_again(&mut self, event: &Event) -> Result<(), StoreError> {
        let head = self.heads.get(event.origin)?;
        if event.seq <= head {
            return Ok(());
        }
        if event.seq != head.next() {
            let what =
                format!("the journal goes on at {}:{}, and the log ends at {head}", event.origin, event.seq);
            return Err(StoreError::Corrupt(what));
        }
        let kept = self.stub_if_deleted(event)?;
        self.append(&kept)?;
        self.apply(&kept).map(|_| ())
    }

    /// Applies an event of the log to the views; returns the messages of quick rooms that are newly listed, have
    /// moved, or have another listed id.
    pub fn apply(&mut self, event: &Event) -> Result<Vec<QuickMessage>, StoreError> {
        let listed = self.apply_to_views(event)?;
        self.cache.get_mut().applied(&event.body);
        Ok(listed)
    }

    fn apply_to_views(&mut self, event: &Event) -> Result<Vec<QuickMessage>, StoreError> {
        self.index_scope(&event.scope, event);
        self.heads.keep_fold(event)?;
        // A resume reads the user's own scope, so it must also find what others write about them.
        let touched = event.body.other_scopes();
        for scope in touched.iter().filter(|scope| scope.as_user().is_some() && **scope != event.scope) {
            self.index_scope(scope, event);
            self.index_mention(scope, event)?;
        }
        if self.views == ViewSet::ALL {
            self.book.applied(event, &touched);
        }
        if let Some(user) = event.scope.as_user() {
            self.apply_person(user, event)?;
        }
        if event.scope == Scope::cluster() {
            self.apply_cluster(event)?;
        }
        let Some(room) = event.scope.as_room() else { return Ok(Vec::new()) };
        match &event.body {
            EventBody::QuickRoomCreated(created) if self.views.contains(ViewSet::QUICK_ROOMS) => {
                self.apply_room_created(room, event.pos(), created)?;
            }
            EventBody::MessagePosted(posted) => return self.apply_post(room, event.pos(), posted),
            EventBody::NameShared(NameShared { guest, name, since })
                if self.views.contains(ViewSet::GUEST_NAMES) =>
            {
                self.names.claim(&mut self.book, room, name, *guest, (*since, event.hlc))?;
            }
            _ => {
                self.apply_room(room, event)?;
                self.apply_message(room, event)?;
            }
        }
        Ok(Vec::new())
    }

    fn index_scope(&mut self, scope: &Scope, event: &Event) {
        if self.views == ViewSet::ALL {
            let key = self.places.index(scope, event);
            self.book.added(scope, tables::SCOPES.name(), key, &event.hlc.0.to_be_bytes());
        }
    }

    /// Whether the quick room exists.
    pub fn has_quick_room(&self, room: RoomId) -> Result<bool, StoreError> {
        Ok(self.rooms.get(&room.0)?.is_some())
    }

    fn apply_room_created(
        &mut self,
        room: RoomId,
        pos: Pos,
        created: &QuickRoomCreated,
    ) -> Result<(), StoreError> {
        let state: Option<QuickRoomState> = get(&self.rooms, &room.0)?;
        let scope = Scope::room(room);
        put(&mut self.rooms, &mut self.book, [&scope; 2], &room.0, &room::apply_creation(state, pos, created))
    }
}

/// Decodes the message in a log entry that the views call a message.
fn posted_in(event: Option<Bytes>) -> Result<MessagePosted, StoreError> {
    let event = event.ok_or_else(|| StoreError::Corrupt("a listed message is not in the log".into()))?;
    match Event::decode(event)?.body {
        EventBody::MessagePosted(posted) => Ok(posted),
        _ => Err(StoreError::Corrupt("a listed message is another event in the log".into())),
    }
}

/// Reads a record.
pub fn get<const N: usize, T: DeserializeOwned>(
    table: &impl ReadableTable<&'static [u8; N], &'static [u8]>,
    key: &[u8; N],
) -> Result<Option<T>, StoreError> {
    table.get(key)?.map(|bytes| parse(bytes.value())).transpose()
}

/// Decodes a record.
pub fn parse<T: DeserializeOwned>(record: &[u8]) -> Result<T, StoreError> {
    Ok(codec::decode(record, VIEW_ROW_BYTES_MAX)?)
}

/// Writes a record; its digest moves from the first scope to the second.
pub fn put<const N: usize, T: Serialize>(
    table: &mut Table<'_, &'static [u8; N], &'static [u8]>,
    book: &mut DigestBook,
    [scope_before, scope]: [&Scope; 2],
    key: &[u8; N],
    record: &T,
) -> Result<(), StoreError> {
    let record = codec::encode(record);
    book.added(scope, table.name(), key, &record);
    let name = table.name().to_owned();
    if let Some(before) = table.insert(key, &record[..])? {
        book.removed(scope_before, &name, key, before.value());
    }
    Ok(())
}
