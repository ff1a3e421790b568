//! The views of users and rooms, in one table: scope, view and key → record, so that digests, rebuilds and ranges work
//! the same way for all of them. `views` documents each. A second table is an index without a digest, for look-ups of
//! rows that belong to no scope.

use redb::{ReadOnlyTable, ReadTransaction, ReadableTable, Table, TableHandle, WriteTransaction};
use serde::{Serialize, de::DeserializeOwned};
use starling_protocol::{Scope, codec};

use super::{
    StoreError,
    apply::parse,
    digests::DigestBook,
    tables::{INDEX, RECORDS, parse_scope, scope_beginning},
    view_set::{View, ViewSet},
    views::TO_ERASE,
};

/// A table of byte rows, writable or read-only.
pub trait Rows: ReadableTable<&'static [u8], &'static [u8]> {}
impl<T: ReadableTable<&'static [u8], &'static [u8]>> Rows for T {}

/// All records, and the index.
#[derive(Debug)]
pub struct Records<T> {
    rows: T,
    index: T,
    /// The views that are written; changes of others are ignored.
    views: ViewSet,
}

/// Records within a write transaction.
pub type RecordsWriter<'txn> = Records<Table<'txn, &'static [u8], &'static [u8]>>;
/// Records as of a read transaction.
pub type RecordsReader = Records<ReadOnlyTable<&'static [u8], &'static [u8]>>;

/// A row: the rest of its key after the prefix of the scan, and its record.
pub type Row<R> = Result<(Vec<u8>, R), StoreError>;

/// Key in [`RECORDS`].
pub(super) fn key<V: View>(scope: &Scope, key: &[u8]) -> Vec<u8> {
    let mut full = scope_beginning(scope);
    full.push(V::TAG);
    full.extend_from_slice(key);
    full
}

/// Returns the first key after all keys that begin with `prefix`; `None` if there is none.
fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

/// Returns the rows whose keys begin with `prefix`, from `from` on; `from` begins with the prefix, too.
fn scan_rows<'a, T: Rows>(
    rows: &'a T,
    prefix: &[u8],
    from: &[u8],
) -> Result<impl DoubleEndedIterator<Item = Row<Vec<u8>>> + use<'a, T>, StoreError> {
    let skip = prefix.len();
    let range = match prefix_end(prefix) {
        Some(end) => rows.range::<&[u8]>(from..&end)?,
        None => rows.range::<&[u8]>(from..)?,
    };
    Ok(range.map(move |row| {
        let (key, record) = row?;
        Ok((key.value().get(skip..).unwrap_or_default().to_vec(), record.value().to_vec()))
    }))
}

impl RecordsReader {
    /// Opens the tables of a read transaction.
    pub fn read(transaction: &ReadTransaction) -> Result<Self, StoreError> {
        let (rows, index) = (transaction.open_table(RECORDS)?, transaction.open_table(INDEX)?);
        Ok(Self { rows, index, views: ViewSet::ALL })
    }
}

/// Reads an id at the end of a key.
pub(super) fn trailing_id<const N: usize>(key: &[u8]) -> Result<[u8; N], StoreError> {
    key.last_chunk().copied().ok_or_else(|| StoreError::Corrupt("a key is too short for its id".into()))
}

impl<T: Rows> Records<T> {
    /// Reads a record.
    pub fn get<V: View>(&self, scope: &Scope, sub: &[u8]) -> Result<Option<V::Record>, StoreError> {
        self.rows.get(&key::<V>(scope, sub)[..])?.map(|record| parse(record.value())).transpose()
    }

    /// Whether a record exists.
    pub fn has<V: View>(&self, scope: &Scope, sub: &[u8]) -> Result<bool, StoreError> {
        Ok(self.rows.get(&key::<V>(scope, sub)[..])?.is_some())
    }

    /// Reads all records of a view whose keys begin with `prefix`, in the order of their keys.
    pub fn scan<'a, V: View + 'a>(
        &'a self,
        scope: &Scope,
        prefix: &[u8],
    ) -> Result<impl DoubleEndedIterator<Item = Row<V::Record>> + use<'a, V, T>, StoreError> {
        self.scan_from::<V>(scope, prefix, &[])
    }

    /// Works as [`Records::scan`], but starts at the key `from` after the prefix.
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

    /// Reads the index at a key.
    pub fn indexed<R: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<R>, StoreError> {
        self.index.get(key)?.map(|record| parse(record.value())).transpose()
    }

    /// Reads the rows of the index that begin with `prefix`, from the key `from` after it.
    pub fn scan_index<'a>(
        &'a self,
        prefix: &[u8],
        from: &[u8],
    ) -> Result<impl DoubleEndedIterator<Item = Row<Vec<u8>>> + use<'a, T>, StoreError> {
        scan_rows(&self.index, prefix, &[prefix, from].concat())
    }

    /// Whether events wait to be erased.
    pub fn has_pending_erasures(&self) -> Result<bool, StoreError> {
        Ok(self.scan_index(TO_ERASE, &[])?.next().is_some())
    }
}

impl<'txn> RecordsWriter<'txn> {
    /// Opens the tables of a write transaction.
    pub fn open(transaction: &'txn WriteTransaction) -> Result<Self, StoreError> {
        let (rows, index) = (transaction.open_table(RECORDS)?, transaction.open_table(INDEX)?);
        Ok(Self { rows, index, views: ViewSet::ALL })
    }

    /// From now on ignores changes of other views.
    pub fn write_only(&mut self, views: ViewSet) {
        self.views = views;
    }

    /// Writes a record and updates its digest in `book`.
    pub fn put<V: View>(
        &mut self,
        book: &mut DigestBook,
        scope: &Scope,
        sub: &[u8],
        record: &V::Record,
    ) -> Result<(), StoreError> {
        if !self.views.has_record(V::TAG) {
            return Ok(());
        }
        let (key, record) = (key::<V>(scope, sub), codec::encode(record));
        let name = self.rows.name().to_owned();
        if let Some(before) = self.rows.insert(&key[..], &record[..])? {
            book.removed(scope, &name, &key, before.value());
        }
        book.added(scope, &name, &key, &record);
        Ok(())
    }

    /// Removes a record and updates its digest in `book`.
    pub fn remove<V: View>(
        &mut self,
        book: &mut DigestBook,
        scope: &Scope,
        sub: &[u8],
    ) -> Result<(), StoreError> {
        if !self.views.has_record(V::TAG) {
            return Ok(());
        }
        let key = key::<V>(scope, sub);
        let name = self.rows.name().to_owned();
        if let Some(before) = self.rows.remove(&key[..])? {
            book.removed(scope, &name, &key, before.value());
        }
        Ok(())
    }

    /// Changes a record by a merge rule; returns the old and the new record.
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

    /// Writes a row of the index.
    pub fn put_index<R: Serialize>(&mut self, key: &[u8], record: &R) -> Result<(), StoreError> {
        if self.views.has_index(key) {
            self.index.insert(key, &codec::encode(record)[..])?;
        }
        Ok(())
    }

    /// Removes a row of the index.
    pub fn remove_index(&mut self, key: &[u8]) -> Result<(), StoreError> {
        if self.views.has_index(key) {
            self.index.remove(key)?;
        }
        Ok(())
    }

    /// Removes records of some views, and their digests: looks at `most` rows from the key `from` on. Returns the key to
    /// go on at, if there are more.
    pub fn clear_rows(
        &mut self,
        book: &mut DigestBook,
        views: ViewSet,
        from: &[u8],
        most: usize,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let (mut gone, mut next) = (Vec::new(), None);
        for (count, row) in self.rows.range::<&[u8]>(from..)?.enumerate() {
            let key = row?.0.value().to_vec();
            if count == most {
                next = Some(key);
                break;
            }
            if tag(&key).is_some_and(|tag| views.has_record(tag)) {
                gone.push(key);
            }
        }
        let name = self.rows.name().to_owned();
        for key in gone {
            let scope = parse_scope(&key);
            if let Some((scope, record)) = scope.zip(self.rows.remove(&key[..])?) {
                book.removed(&scope, &name, &key, record.value());
            }
        }
        Ok(next)
    }

    /// Removes at most `most` rows of the index of some views; returns whether more may be left.
    pub fn clear_index(&mut self, views: ViewSet, most: usize) -> Result<bool, StoreError> {
        for prefix in views.index_prefixes() {
            let rows = scan_rows(&self.index, &[prefix], &[prefix])?.take(most);
            let gone: Vec<_> = rows.map(|row| Ok(row?.0)).collect::<Result<_, StoreError>>()?;
            for rest in &gone {
                self.index.remove(&[&[prefix], &rest[..]].concat()[..])?;
            }
            if gone.len() == most {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The number of the view in a key of [`RECORDS`].
fn tag(key: &[u8]) -> Option<u8> {
    let (&[_kind, length], rest) = key.split_first_chunk()?;
    rest.get(usize::from(length)).copied()
}
