//! Checks a store against itself, and rebuilds its views from the log. Behind `starling verify`; a rebuild that
//! was interrupted is begun again when the store is opened.

use bytes::Bytes;
use redb::{ReadableDatabase, ReadableTable};
use starling_protocol::{Event, VersionVector};

use super::{
    Store, StoreError,
    apply::{self, Tables},
    tables,
};

/// Events applied in one transaction while rebuilding: bounds the memory that a transaction takes.
const REBUILD_BATCH_EVENTS: usize = 5_000;
const REBUILDING: &str = "rebuilding";

/// What [`Store::verify`] found in a sound store.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    /// Events in the log.
    pub events: u64,
    /// Origins in the log.
    pub origins: usize,
    /// BLAKE3 over all views: equal on two nodes if and only if they show the same.
    pub digest: String,
}

impl Store {
    /// Reads everything: each event decodes, stands where it says, and each origin's log is free of gaps.
    pub fn verify(&self) -> Result<Report, StoreError> {
        let mut found = VersionVector::default();
        let mut events = 0;
        let transaction = self.db.begin_read()?;
        for entry in transaction.open_table(tables::LOG)?.iter()? {
            let (key, bytes) = entry?;
            let (origin, seq) = tables::parse_log_key(key.value());
            let event = Event::decode(Bytes::copy_from_slice(bytes.value()))?;
            if (event.origin, event.seq) != (origin, seq) {
                return Err(StoreError::Corrupt(format!("{origin}:{seq} holds another event")));
            }
            if seq != found.get(origin) + 1 {
                return Err(StoreError::Corrupt(format!("the log of {origin} has a gap before {seq}")));
            }
            found.advance(origin, seq);
            events += 1;
        }
        if found != self.vector()? {
            return Err(StoreError::Corrupt("the heads are not those of the log".into()));
        }
        Ok(Report { events, origins: found.iter().len(), digest: self.digest()? })
    }

    /// Drops all views and derives them from the log again, telling `progress` how many events are done.
    pub fn rebuild(&self, mut progress: impl FnMut(u64)) -> Result<(), StoreError> {
        let mut transaction = self.db.begin_write()?;
        transaction.set_quick_repair(true);
        apply::clear_views(&transaction)?;
        transaction.open_table(tables::META)?.insert(REBUILDING, 1)?;
        transaction.commit()?;
        let (mut next, mut done) = ([0; 32], 0);
        loop {
            let batch = self.log_from(&next)?;
            let Some((last, _)) = batch.last() else { break };
            next = successor(*last);
            let mut transaction = self.db.begin_write()?;
            transaction.set_quick_repair(true);
            let mut tables = Tables::open(&transaction)?;
            for (_, event) in &batch {
                tables.apply(event)?;
            }
            drop(tables);
            transaction.commit()?;
            done += batch.len() as u64;
            progress(done);
        }
        let mut transaction = self.db.begin_write()?;
        transaction.set_quick_repair(true);
        transaction.open_table(tables::META)?.remove(REBUILDING)?;
        transaction.commit()?;
        Ok(())
    }

    pub(super) fn resume_rebuild(&self) -> Result<(), StoreError> {
        let interrupted = self.db.begin_read()?.open_table(tables::META)?.get(REBUILDING)?.is_some();
        if interrupted { self.rebuild(|_| ()) } else { Ok(()) }
    }

    fn log_from(&self, from: &[u8; 32]) -> Result<Vec<([u8; 32], Event)>, StoreError> {
        let log = self.db.begin_read()?.open_table(tables::LOG)?;
        let entries = log.range::<&[u8; 32]>(from..)?.take(REBUILD_BATCH_EVENTS);
        entries
            .map(|entry| {
                let (key, bytes) = entry?;
                Ok((*key.value(), Event::decode(Bytes::copy_from_slice(bytes.value()))?))
            })
            .collect()
    }

    /// BLAKE3 over every row of every view, in order.
    pub fn digest(&self) -> Result<String, StoreError> {
        let transaction = self.db.begin_read()?;
        let mut hasher = Hasher::default();
        for row in transaction.open_table(tables::SCOPES)?.iter()? {
            let (key, value) = row?;
            hasher.row(key.value(), &value.value().to_be_bytes());
        }
        for row in transaction.open_table(tables::TIMELINE)?.iter()? {
            hasher.row(row?.0.value(), &[]);
        }
        macro_rules! hash_records {
            ($($table:ident),+) => {$(
                for row in transaction.open_table(tables::$table)?.iter()? {
                    let (key, value) = row?;
                    hasher.row(key.value(), value.value());
                }
            )+};
        }
        hash_records!(ROOMS, MESSAGES, MESSAGE_IDS);
        Ok(hasher.0.finalize().to_hex().to_string())
    }
}

#[derive(Default)]
struct Hasher(blake3::Hasher);

impl Hasher {
    /// Lengths go first, so that no two different tables hash alike.
    fn row(&mut self, key: &[u8], value: &[u8]) {
        self.0.update(&(key.len() as u64).to_be_bytes()).update(key);
        self.0.update(&(value.len() as u64).to_be_bytes()).update(value);
    }
}

/// The key right behind another.
fn successor(mut key: [u8; 32]) -> [u8; 32] {
    for byte in key.iter_mut().rev() {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            break;
        }
    }
    key
}
