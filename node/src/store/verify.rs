//! Checks a store against itself, and against a rebuild of its views, for `starling verify`.

use std::collections::BTreeMap;

use bytes::Bytes;
use redb::ReadableDatabase;
use starling_protocol::{Digest, Event, Scope, ScopeDigest, VersionVector};

use super::{Snapshot, Store, StoreError, digests::DigestBook, tables, views::Room};

/// The number of events that are read, or applied, in one transaction: limits its memory.
const BATCH_EVENTS: usize = 5_000;
/// The number of events between two progress reports.
const PROGRESS_EVENTS: u64 = 10_000;

/// The findings of a check of a sound store.
#[derive(Debug)]
pub struct CheckReport {
    /// Events in the log.
    pub events: u64,
    /// Origins in the log.
    pub origins: usize,
    /// The digest of all views: equal on two nodes if and only if their views are equal.
    pub digest: Digest,
    /// The digests of each scope.
    pub scopes: BTreeMap<Scope, ScopeDigest>,
}

impl CheckReport {
    fn new(events: u64, snapshot: Snapshot) -> Self {
        Self {
            events,
            origins: snapshot.vector.iter().len(),
            digest: snapshot.digest(),
            scopes: snapshot.scopes,
        }
    }
}

impl Store {
    /// Reads everything: each event decodes and has the right key, each origin's log has no gaps, and the stored
    /// digests match the tables. Nobody may write meanwhile.
    pub fn verify(&self) -> Result<CheckReport, StoreError> {
        let snapshot = self.snapshot()?;
        let mut book = DigestBook::default();
        let records = self.records()?;
        let see = |event: &Event| {
            let mut touched = event.body.other_scopes();
            // Mentions in a deleted room go at once, while its text is erased in steps.
            if event.scope.as_room().is_some()
                && touched.iter().any(|scope| scope.as_user().is_some())
                && records.get::<Room>(&event.scope, &[])?.is_some_and(|room| room.deleted)
            {
                touched = event.erased().body.other_scopes();
            }
            book.applied(event, &touched);
            Ok(())
        };
        let events = self.verify_log(&snapshot.vector, see, |_| Ok(()))?;
        if self.vector()? != snapshot.vector {
            return Err(StoreError::Corrupt("something is writing to it".into()));
        }
        self.derive_digests(&mut book)?;
        if let Some(scope) = self.differs_from(book)? {
            let what =
                format!("the views of {scope} are not those that were written; rebuild them with --rebuild");
            return Err(StoreError::Corrupt(what));
        }
        Ok(CheckReport::new(events, snapshot))
    }

    /// Checks the log up to `to`, while others may append to it; passes each event to `see`, and returns the number of
    /// events.
    fn verify_log(
        &self,
        to: &VersionVector,
        mut see: impl FnMut(&Event) -> Result<(), StoreError>,
        mut progress: impl FnMut(u64) -> Result<(), StoreError>,
    ) -> Result<u64, StoreError> {
        let (mut found, mut events) = (VersionVector::default(), 0);
        let mut check = |key: &[u8; 32], event: &Event| {
            let (origin, seq) = tables::parse_log_key(key);
            if !to.contains(origin, seq) {
                return Ok(());
            }
            if (event.origin, event.seq) != (origin, seq) {
                return Err(StoreError::Corrupt(format!("{origin}:{seq} holds another event")));
            }
            if seq != found.get(origin) + 1 {
                return Err(StoreError::Corrupt(format!("the log of {origin} has a gap before {seq}")));
            }
            found.advance(origin, seq);
            see(event)?;
            events += 1;
            if events % PROGRESS_EVENTS == 0 { progress(events) } else { Ok(()) }
        };
        self.each_page(|page| page.iter().try_for_each(|(key, event)| check(key, event)))?;
        if found != *to {
            return Err(StoreError::Corrupt("the heads are not those of the log".into()));
        }
        Ok(events)
    }

    /// Checks the log, and compares the views with those that it derives in `scratch`, an empty store. Others may write
    /// to this store meanwhile. `progress` receives the number of finished events; its error ends the check.
    pub fn verify_against_rebuild(
        &self,
        scratch: &Self,
        progress: impl FnMut(u64) -> Result<(), StoreError>,
    ) -> Result<CheckReport, StoreError> {
        let snapshot = self.snapshot()?;
        let mut batch = Vec::new();
        let derive = |event: &Event| {
            batch.push(event.clone());
            if batch.len() < BATCH_EVENTS { Ok(()) } else { scratch.append(&std::mem::take(&mut batch)) }
        };
        let events = self.verify_log(&snapshot.vector, derive, progress)?;
        scratch.append(&batch)?;
        let derived = scratch.snapshot()?.scopes;
        let all = snapshot.scopes.keys().chain(derived.keys());
        let digest = |of: &BTreeMap<Scope, ScopeDigest>, scope| of.get(scope).copied().unwrap_or_default();
        if let Some(scope) =
            all.into_iter().find(|scope| digest(&snapshot.scopes, scope) != digest(&derived, scope))
        {
            let what =
                format!("the views of {scope} are not what its log says; stop the node and use --rebuild");
            return Err(StoreError::Corrupt(what));
        }
        Ok(CheckReport::new(events, snapshot))
    }

    /// Appends events to the log and applies them, as a commit does.
    fn append(&self, events: &[Event]) -> Result<(), StoreError> {
        self.in_tables(|tables| {
            events.iter().try_for_each(|event| {
                let kept = tables.stub_if_deleted(event)?;
                tables.append(&kept)?;
                tables.apply(&kept).map(|_| ())
            })
        })
    }

    fn log_from(&self, from: &[u8; 32]) -> Result<Vec<([u8; 32], Event)>, StoreError> {
        let log = self.db.begin_read()?.open_table(tables::LOG)?;
        let entries = log.range::<&[u8; 32]>(from..)?.take(BATCH_EVENTS);
        entries
            .map(|entry| {
                let (key, bytes) = entry?;
                Ok((*key.value(), Event::decode(Bytes::copy_from_slice(bytes.value()))?))
            })
            .collect()
    }

    /// Passes every event of the log with its key to a function, in order. It reads in pages: a long read transaction
    /// grows the file.
    fn each_page(
        &self,
        mut see: impl FnMut(&[([u8; 32], Event)]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut next = [0; 32];
        loop {
            let page = self.log_from(&next)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            next = successor(*last);
            see(&page)?;
        }
    }
}

/// Returns the key right after another.
pub(super) fn successor(mut key: [u8; 32]) -> [u8; 32] {
    for byte in key.iter_mut().rev() {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            break;
        }
    }
    key
}
