//! The view of messages by their ids: for each id and sender the post that counts. Posts ask it whether an id was used
//! before, most often one that is greater than all others. So a writer knows the greatest, keeps its rows until the end of
//! the transaction, and adds them in order.

use std::{
    cell::{Cell, OnceCell},
    collections::BTreeMap,
    ops::Bound,
};

use bytes::Bytes;
use redb::{
    ReadOnlyTable, ReadTransaction, ReadableTable, ReadableTableMetadata, Table, TableHandle,
    WriteTransaction,
};
use starling_protocol::{
    MessageId, Scope, codec,
    event::{MessageKey, SenderKey},
    merge::message::{self, MessageState},
};

use super::{
    StoreError,
    apply::{get, parse},
    digests::DigestBook,
    tables::{self, MESSAGES},
};

/// A key in [`MESSAGES`].
type Key = [u8; 33];

/// The table, writable or read-only.
#[derive(Debug)]
pub struct MessageIds<T> {
    rows: T,
    /// New rows of this transaction, also encoded.
    added: BTreeMap<Key, (MessageState, Bytes)>,
    /// The greatest key of `rows`, once it was read. Rows are never removed while others are added.
    greatest: OnceCell<Option<Key>>,
    /// The last id that was found to be unused.
    unused: Cell<Option<MessageId>>,
}

/// Messages in a write transaction.
pub type MessageIdsWriter<'txn> = MessageIds<Table<'txn, &'static Key, &'static [u8]>>;
/// Messages in a read transaction.
pub type MessageIdsReader = MessageIds<ReadOnlyTable<&'static Key, &'static [u8]>>;

impl<T: ReadableTable<&'static Key, &'static [u8]>> MessageIds<T> {
    fn new(rows: T) -> Self {
        Self { rows, added: BTreeMap::new(), greatest: OnceCell::new(), unused: Cell::new(None) }
    }

    /// Reads the state of a message, if it was posted.
    pub fn state(&self, key: MessageKey) -> Result<Option<MessageState>, StoreError> {
        let row = tables::message_key(key);
        match self.added.get(&row) {
            Some((state, _)) => Ok(Some(*state)),
            None => get(&self.rows, &row),
        }
    }

    /// Reads the messages with an id, each with its sender.
    pub fn with_id(&self, id: MessageId) -> Result<Vec<(SenderKey, MessageState)>, StoreError> {
        if self.unused.get() == Some(id) {
            return Ok(Vec::new());
        }
        let [first, last] = tables::message_id_range(id);
        let mut found = Vec::new();
        for (key, (state, _)) in self.added.range(first..=last) {
            found.push((tables::message_sender(key), *state));
        }
        if self.greatest()?.is_some_and(|greatest| first <= greatest) {
            for row in self.rows.range::<&Key>(&first..=&last)? {
                let (key, state) = row?;
                if !self.added.contains_key(key.value()) {
                    found.push((tables::message_sender(key.value()), parse(state.value())?));
                }
            }
        }
        if found.is_empty() {
            self.unused.set(Some(id));
        }
        Ok(found)
    }

    /// Returns the key of the message that holds an id: the earliest with it.
    pub fn holder(&self, id: MessageId) -> Result<Option<MessageKey>, StoreError> {
        let holder = message::id_holder(&self.with_id(id)?);
        Ok(holder.map(|sender| MessageKey { sender, id }))
    }

    fn greatest(&self) -> Result<Option<Key>, StoreError> {
        if let Some(greatest) = self.greatest.get() {
            return Ok(*greatest);
        }
        let greatest = self.rows.last()?.map(|(key, _)| *key.value());
        Ok(*self.greatest.get_or_init(|| greatest))
    }
}

impl MessageIdsReader {
    pub fn read(transaction: &ReadTransaction) -> Result<Self, StoreError> {
        Ok(Self::new(transaction.open_table(MESSAGES)?))
    }
}

impl<'txn> MessageIdsWriter<'txn> {
    pub fn open(transaction: &'txn WriteTransaction) -> Result<Self, StoreError> {
        Ok(Self::new(transaction.open_table(MESSAGES)?))
    }

    /// Writes the state of a message; its digest moves from the room that it was in `before`.
    pub fn put(
        &mut self,
        book: &mut DigestBook,
        key: MessageKey,
        before: Option<MessageState>,
        state: MessageState,
    ) {
        let (row, encoded, name) = (tables::message_key(key), codec::encode(&state), self.rows.name());
        if let Some(before) = before {
            book.removed(&Scope::room(before.room), name, &row, &codec::encode(&before));
        }
        book.added(&Scope::room(state.room), name, &row, &encoded);
        self.added.insert(row, (state, encoded));
        self.unused.set(None);
    }

    /// Writes the rows of this transaction.
    pub fn flush(&mut self) -> Result<(), StoreError> {
        if self.added.is_empty() {
            return Ok(());
        }
        let greatest = self.greatest()?;
        let mut among = std::mem::take(&mut self.added);
        let beyond = match greatest {
            Some(greatest) => among.split_off(&greatest),
            None => std::mem::take(&mut among),
        };
        let mut beyond = beyond.into_iter().peekable();
        if let Some((key, row)) = beyond.next_if(|(key, _)| Some(*key) == greatest) {
            among.insert(key, row);
        }
        for (key, (_, row)) in &among {
            self.rows.insert(key, &row[..])?;
        }
        if let Some((last, _)) = beyond.peek() {
            let mut greatest = *last;
            let mut end = self.rows.upper_bound_mut(Bound::<&Key>::Unbounded)?;
            for (key, (_, row)) in beyond {
                end.insert_before(&key, &row[..])?;
                greatest = key;
            }
            end.close()?;
            self.greatest = OnceCell::from(Some(greatest));
        }
        Ok(())
    }

    /// Removes at most `most` rows, and their digests; returns whether more may be left.
    pub fn clear(&mut self, book: &mut DigestBook, most: usize) -> Result<bool, StoreError> {
        let name = self.rows.name().to_owned();
        for _ in 0..most {
            let Some((key, record)) = self.rows.pop_first()? else { break };
            let state: MessageState = parse(record.value())?;
            book.removed(&Scope::room(state.room), &name, key.value(), record.value());
        }
        self.greatest = OnceCell::new();
        Ok(!self.rows.is_empty()?)
    }
}
