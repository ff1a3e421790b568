//! Applies events to the log and the views within one transaction. The merge rules are `protocol`'s; this
//! only fetches and keeps their states. Called by the committer, and by a rebuild.

use std::collections::BTreeMap;

use redb::{ReadableTable, Table, TableHandle, WriteTransaction};
use serde::{Serialize, de::DeserializeOwned};
use starling_protocol::{
    Event, EventBody, MessageId, MessagePosted, NameShared, OriginId, Pos, RoomCreated, RoomId, Scope,
    ScopeDigest, Sender, codec,
    frame::client::ListedMessage,
    limits::EVENT_BYTES_MAX,
    merge::message::{self, IdHolder, MessageState},
    merge::room::{self, RoomState},
};

use super::{
    StoreError,
    digests::{DigestBook, id_shard},
    names::NamesWriter,
    tables,
};

/// A message that is listed now, or listed otherwise than before: its room and rendering input.
pub type Listed = (RoomId, ListedMessage);

/// All tables that events change, open in one transaction.
pub struct Tables<'txn> {
    log: Table<'txn, &'static [u8; 32], &'static [u8]>,
    heads: Table<'txn, &'static [u8; 24], u64>,
    scopes: Table<'txn, &'static [u8], u64>,
    rooms: Table<'txn, &'static [u8; 10], &'static [u8]>,
    timeline: Table<'txn, &'static [u8; 50], ()>,
    messages: Table<'txn, &'static [u8; 33], &'static [u8]>,
    message_ids: Table<'txn, &'static [u8; 16], &'static [u8]>,
    pub names: NamesWriter<'txn>,
    digests: Table<'txn, &'static [u8], &'static [u8; 32]>,
    book: DigestBook,
}

/// Makes the views, empty.
pub fn create_views(transaction: &WriteTransaction) -> Result<(), StoreError> {
    transaction.open_table(tables::SCOPES)?;
    transaction.open_table(tables::ROOMS)?;
    transaction.open_table(tables::TIMELINE)?;
    transaction.open_table(tables::MESSAGES)?;
    transaction.open_table(tables::MESSAGE_IDS)?;
    transaction.open_table(tables::NAME_CLAIMS)?;
    transaction.open_table(tables::NAME_RUNS)?;
    transaction.open_table(tables::DIGESTS)?;
    Ok(())
}

/// Drops the views and makes them anew.
pub fn clear_views(transaction: &WriteTransaction) -> Result<(), StoreError> {
    transaction.delete_table(tables::SCOPES)?;
    transaction.delete_table(tables::ROOMS)?;
    transaction.delete_table(tables::TIMELINE)?;
    transaction.delete_table(tables::MESSAGES)?;
    transaction.delete_table(tables::MESSAGE_IDS)?;
    transaction.delete_table(tables::NAME_CLAIMS)?;
    transaction.delete_table(tables::NAME_RUNS)?;
    transaction.delete_table(tables::DIGESTS)?;
    create_views(transaction)
}

impl<'txn> Tables<'txn> {
    /// Opens them.
    pub fn open(transaction: &'txn WriteTransaction) -> Result<Self, StoreError> {
        Ok(Self {
            log: transaction.open_table(tables::LOG)?,
            heads: transaction.open_table(tables::HEADS)?,
            scopes: transaction.open_table(tables::SCOPES)?,
            rooms: transaction.open_table(tables::ROOMS)?,
            timeline: transaction.open_table(tables::TIMELINE)?,
            messages: transaction.open_table(tables::MESSAGES)?,
            message_ids: transaction.open_table(tables::MESSAGE_IDS)?,
            names: NamesWriter::open(transaction)?,
            digests: transaction.open_table(tables::DIGESTS)?,
            book: DigestBook::default(),
        })
    }

    /// Writes the digests down, before the transaction is committed; gives what it adds to each part.
    pub fn flush(&mut self) -> Result<BTreeMap<u8, ScopeDigest>, StoreError> {
        self.book.flush(&mut self.digests)
    }

    /// Appends an event to the log, whose next it must be.
    pub fn append(&mut self, event: &Event) -> Result<(), StoreError> {
        let key = tables::log_key(event.origin, event.seq);
        if self.log.insert(&key, &event.encoded()[..])?.is_some() {
            return Err(StoreError::Corrupt(format!("{}:{} was there already", event.origin, event.seq)));
        }
        self.heads.insert(&event.origin.to_bytes(), event.seq)?;
        Ok(())
    }

    /// Applies an event of the log to the views; gives what is listed now that was not before.
    pub fn apply(&mut self, event: &Event) -> Result<Vec<Listed>, StoreError> {
        let scope = tables::scope_key(&event.scope, event.origin, event.seq);
        self.scopes.insert(&scope[..], event.hlc.0)?;
        self.book.added(&event.scope, self.scopes.name(), &scope, &event.hlc.0.to_be_bytes());
        self.book.applied(event);
        let room = event.scope.as_room();
        match (&event.body, room) {
            (EventBody::RoomCreated(created), Some(room)) => {
                self.room_created(room, event.pos(), created)?;
                Ok(Vec::new())
            }
            (EventBody::MessagePosted(posted), Some(room)) => self.posted(room, event.pos(), posted),
            (EventBody::NameShared(NameShared { guest, name, since }), Some(room)) => {
                self.names.claim(&mut self.book, room, name, *guest, (*since, event.hlc))?;
                Ok(Vec::new())
            }
            // A kind, or a scope for it, of a newer version: kept, and applied after the upgrade.
            (_, None) | (EventBody::Unknown { .. }, _) => Ok(Vec::new()),
        }
    }

    /// Whether the room exists.
    pub fn has_room(&self, room: RoomId) -> Result<bool, StoreError> {
        Ok(self.rooms.get(&room.0)?.is_some())
    }

    /// Where the message of a (sender, id) stands, if it was posted.
    pub fn message(&self, sender: [u8; 17], id: MessageId) -> Result<Option<MessageState>, StoreError> {
        get(&self.messages, &tables::message_key(sender, id))
    }

    /// The message that the log holds at a place.
    pub fn posted_at(&self, origin: OriginId, seq: u64) -> Result<MessagePosted, StoreError> {
        let bytes = self.log.get(&tables::log_key(origin, seq))?;
        posted_in(bytes.as_ref().map(redb::AccessGuard::value))
    }

    fn room_created(&mut self, room: RoomId, pos: Pos, created: &RoomCreated) -> Result<(), StoreError> {
        let state: Option<RoomState> = get(&self.rooms, &room.0)?;
        let scope = Scope::room(room);
        put(&mut self.rooms, &mut self.book, [&scope; 2], &room.0, &room::created(state, pos, created))
    }

    fn posted(&mut self, room: RoomId, pos: Pos, posted: &MessagePosted) -> Result<Vec<Listed>, StoreError> {
        let Sender::Guest { id: guest, name } = &posted.sender;
        let shown = self.names.claim(&mut self.book, room, name, *guest, (pos.hlc, pos.hlc))?;
        let sender = posted.sender.key();
        let mut listed = Vec::new();

        let holder_before: Option<IdHolder> = get(&self.message_ids, posted.id.as_bytes())?;
        let holder = message::id_used(holder_before, &posted.sender, pos);
        if holder_before != Some(holder) {
            let shard = id_shard(posted.id);
            put(&mut self.message_ids, &mut self.book, [&shard; 2], posted.id.as_bytes(), &holder)?;
        }

        let key = tables::message_key(sender, posted.id);
        let before: Option<MessageState> = get(&self.messages, &key)?;
        let state = message::posted(before, room, pos);
        if before != Some(state) {
            let (scope_before, scope) =
                (Scope::room(before.map_or(room, |before| before.room)), Scope::room(room));
            put(&mut self.messages, &mut self.book, [&scope_before, &scope], &key, &state)?;
            if let Some(before) = before {
                let gone = tables::timeline_key(before.room, before.pos());
                self.timeline.remove(&gone)?;
                self.book.removed(&scope_before, self.timeline.name(), &gone, &[]);
            }
            let listed_at = tables::timeline_key(room, pos);
            self.timeline.insert(&listed_at, ())?;
            self.book.added(&scope, self.timeline.name(), &listed_at, &[]);
            let listed_id = message::listed_id(&holder, sender, posted.id);
            listed.push((room, ListedMessage { listed_id, pos, shown, posted: posted.clone() }));
        }

        // Somebody else showed this id until now: his message goes on under another.
        if let Some(loser) = holder_before.filter(|before| before.sender != holder.sender)
            && let Some(state) = self.message(loser.sender, posted.id)?
        {
            let pos = state.pos();
            let listed_id = message::listed_id(&holder, loser.sender, posted.id);
            let posted = self.posted_at(pos.origin, pos.seq)?;
            let shown = self.names.shown(state.room, &posted.sender)?;
            listed.push((state.room, ListedMessage { listed_id, pos, shown, posted }));
        }
        Ok(listed)
    }
}

/// The message in the bytes of a log entry, where the views say that there is one.
pub fn posted_in(bytes: Option<&[u8]>) -> Result<MessagePosted, StoreError> {
    let bytes = bytes.ok_or_else(|| StoreError::Corrupt("a listed message is not in the log".into()))?;
    match Event::decode(bytes.to_vec().into())?.body {
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
    Ok(codec::decode(record, EVENT_BYTES_MAX)?)
}

/// Writes a record, which belonged to the first scope and belongs to the second now.
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
