//! The views of people and rooms, in one table: scope, view and key → record. So digests, rebuilds and ranges are the
//! same for all of them. `views` says what each is; beside it lies an index that no digest covers, for look-ups whose
//! rows belong to no scope.

use redb::{ReadOnlyTable, ReadTransaction, ReadableTable, Table, TableHandle, WriteTransaction};
use serde::{Serialize, de::DeserializeOwned};
use starling_protocol::{Scope, codec};

use super::{
    StoreError,
    apply::parse,
    digests::DigestBook,
    tables::{INDEX, RECORDS, scope_beginning},
    views::TO_ERASE,
};

/// A view: its number, never used for anything else, and what a record of it is.
pub trait View {
    /// Its place among the views of a scope.
    const TAG: u8;
    /// Its record.
    type Record: Serialize + DeserializeOwned;
}

/// Rows of bytes, to be written or only read.
pub trait Rows: ReadableTable<&'static [u8], &'static [u8]> {}
impl<T: ReadableTable<&'static [u8], &'static [u8]>> Rows for T {}

/// All records, and the index.
#[derive(Debug)]
pub struct Records<T> {
    rows: T,
    index: T,
}

/// Records within a write transaction.
pub type RecordsWriter<'txn> = Records<Table<'txn, &'static [u8], &'static [u8]>>;
/// Records as of a read transaction.
pub type RecordsReader = Records<ReadOnlyTable<&'static [u8], &'static [u8]>>;

/// A row: what of its key comes behind the prefix that was asked for, and its record.
pub type Row<R> = Result<(Vec<u8>, R), StoreError>;

fn key<V: View>(scope: &Scope, key: &[u8]) -> Vec<u8> {
    let mut full = scope_beginning(scope);
    full.push(V::TAG);
    full.extend_from_slice(key);
    full
}

/// The first bytes that do not begin with `prefix` any more; nothing if there are none.
fn behind(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

/// All rows whose keys begin with `prefix` and lie at `from` (which begins with it, too) or behind it.
fn scan_rows<'a, T: Rows>(
    rows: &'a T,
    prefix: &[u8],
    from: &[u8],
) -> Result<impl DoubleEndedIterator<Item = Row<Vec<u8>>> + use<'a, T>, StoreError> {
    let skip = prefix.len();
    let range = match behind(prefix) {
        Some(end) => rows.range::<&[u8]>(from..&end)?,
        None => rows.range::<&[u8]>(from..)?,
    };
    Ok(range.map(move |row| {
        let (key, record) = row?;
        Ok((key.value().get(skip..).unwrap_or_default().to_vec(), record.value().to_vec()))
    }))
}

impl RecordsReader {
    /// As of a transaction.
    pub fn read(transaction: &ReadTransaction) -> Result<Self, StoreError> {
        Ok(Self { rows: transaction.open_table(RECORDS)?, index: transaction.open_table(INDEX)? })
    }
}

impl<T: Rows> Records<T> {
    /// A record.
    pub fn get<V: View>(&self, scope: &Scope, sub: &[u8]) -> Result<Option<V::Record>, StoreError> {
        self.rows.get(&key::<V>(scope, sub)[..])?.map(|record| parse(record.value())).transpose()
    }

    /// Whether there is a record.
    pub fn has<V: View>(&self, scope: &Scope, sub: &[u8]) -> Result<bool, StoreError> {
        Ok(self.rows.get(&key::<V>(scope, sub)[..])?.is_some())
    }

    /// All records of a view whose keys begin with `prefix`, in the order of their keys.
    pub fn scan<'a, V: View + 'a>(
        &'a self,
        scope: &Scope,
        prefix: &[u8],
    ) -> Result<impl DoubleEndedIterator<Item = Row<V::Record>> + use<'a, V, T>, StoreError> {
        self.scan_from::<V>(scope, prefix, &[])
    }

    /// As [`Records::scan`], from the key that `from` makes behind the prefix.
    pub fn scan_from<'a, V: View + 'a>(
        &'a self,
        scope: &Scope,
        prefix: &[u8],
        from: &[u8],
    ) -> Result<impl DoubleEndedIterator<Item = Row<V::Record>> + use<'a, V, T>, StoreError> {
        let prefix = key::<V>(scope, prefix);
        let rows = scan_rows(&self.rows, &prefix, &[&prefix, from].concat())?;
        Ok(rows.map(|row| row.and_then(|(key, record)| Ok((key, parse(&record)?)))))
    }

    /// What the index holds under a key.
    pub fn indexed<R: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<R>, StoreError> {
        self.index.get(key)?.map(|record| parse(record.value())).transpose()
    }

    /// What of the index begins with `prefix`, from the key that `from` makes behind it.
    pub fn scan_index<'a>(
        &'a self,
        prefix: &[u8],
        from: &[u8],
    ) -> Result<impl DoubleEndedIterator<Item = Row<Vec<u8>>> + use<'a, T>, StoreError> {
        scan_rows(&self.index, prefix, &[prefix, from].concat())
    }

    /// Whether there is something to be erased.
    pub fn has_to_erase(&self) -> Result<bool, StoreError> {
        Ok(self.scan_index(TO_ERASE, &[])?.next().is_some())
    }
}

impl<'txn> RecordsWriter<'txn> {
    /// Within a transaction.
    pub fn open(transaction: &'txn WriteTransaction) -> Result<Self, StoreError> {
        Ok(Self { rows: transaction.open_table(RECORDS)?, index: transaction.open_table(INDEX)? })
    }

    /// Writes a record, which `book` follows.
    pub fn put<V: View>(
        &mut self,
        book: &mut DigestBook,
        scope: &Scope,
        sub: &[u8],
        record: &V::Record,
    ) -> Result<(), StoreError> {
        let (key, record) = (key::<V>(scope, sub), codec::encode(record));
        let name = self.rows.name().to_owned();
        if let Some(before) = self.rows.insert(&key[..], &record[..])? {
            book.removed(scope, &name, &key, before.value());
        }
        book.added(scope, &name, &key, &record);
        Ok(())
    }

    /// Removes a record, which `book` follows.
    pub fn remove<V: View>(
        &mut self,
        book: &mut DigestBook,
        scope: &Scope,
        sub: &[u8],
    ) -> Result<(), StoreError> {
        let key = key::<V>(scope, sub);
        let name = self.rows.name().to_owned();
        if let Some(before) = self.rows.remove(&key[..])? {
            book.removed(scope, &name, &key, before.value());
        }
        Ok(())
    }

    /// Changes a record by a merge rule; says what it was and what it is now.
    pub fn merge<V: View>(
        &mut self,
        book: &mut DigestBook,
        scope: &Scope,
        sub: &[u8],
        rule: impl FnOnce(Option<V::Record>) -> V::Record,
    ) -> Result<(Option<V::Record>, V::Record), StoreError>
    where
        V::Record: Clone + PartialEq,
    {
        let before = self.get::<V>(scope, sub)?;
        let after = rule(before.clone());
        if before.as_ref() != Some(&after) {
            self.put::<V>(book, scope, sub, &after)?;
        }
        Ok((before, after))
    }

    /// Writes into the index.
    pub fn put_index<R: Serialize>(&mut self, key: &[u8], record: &R) -> Result<(), StoreError> {
        self.index.insert(key, &codec::encode(record)[..])?;
        Ok(())
    }

    /// Removes from the index.
    pub fn remove_index(&mut self, key: &[u8]) -> Result<(), StoreError> {
        self.index.remove(key)?;
        Ok(())
    }
}
