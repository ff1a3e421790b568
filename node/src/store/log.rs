//! Writes the log. The events of a transaction are added together at its end: redb then fills the pages, wherever their
//! origin lies among others. Added one by one, they would leave every page half empty, except those of the last origin.

use std::collections::BTreeMap;

use bytes::Bytes;
use redb::{ReadableTable, Table, WriteTransaction};
use starling_protocol::{Event, OriginId, Seq};

use super::tables::{self, LOG};

/// A key in [`LOG`].
type Key = [u8; 32];

/// The log in a write transaction.
#[derive(Debug)]
pub struct LogWriter<'txn> {
    rows: Table<'txn, &'static Key, &'static [u8]>,
    /// The new events of this transaction.
    added: BTreeMap<Key, Bytes>,
}

impl<'txn> LogWriter<'txn> {
    pub fn open(transaction: &'txn WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self { rows: transaction.open_table(LOG)?, added: BTreeMap::new() })
    }

    /// Reads an encoded event.
    pub fn get(&self, origin: OriginId, seq: Seq) -> Result<Option<Bytes>, redb::Error> {
        let key = tables::log_key(origin, seq);
        if let Some(added) = self.added.get(&key) {
            return Ok(Some(added.clone()));
        }
        Ok(self.rows.get(&key)?.map(|event| Bytes::copy_from_slice(event.value())))
    }

    /// Adds an event, which must be the next of its origin; returns whether it was not there yet.
    pub fn append(&mut self, event: &Event) -> bool {
        let key = tables::log_key(event.origin, event.seq);
        self.added.insert(key, event.encoded().clone()).is_none()
    }

    /// Puts a stub in the place of an event.
    pub fn replace(&mut self, key: &Key, stub: &Bytes) -> Result<(), redb::Error> {
        match self.added.get_mut(key) {
            Some(added) => *added = stub.clone(),
            None => drop(self.rows.insert(key, &stub[..])?),
        }
        Ok(())
    }

    /// Writes the new events; fails if one of them was there.
    pub fn flush(&mut self) -> Result<(), redb::Error> {
        let mut added = std::mem::take(&mut self.added).into_iter().peekable();
        while let Some(first) = added.peek().map(|(key, _)| *key) {
            let mut end = self.rows.lower_bound_mut(std::ops::Bound::Included(&first))?;
            let origin = &first[..OriginId::BYTES];
            while let Some((key, event)) = added.next_if(|(key, _)| key.starts_with(origin)) {
                end.insert_before(&key, &event[..])?;
            }
            end.close()?;
        }
        Ok(())
    }
}
