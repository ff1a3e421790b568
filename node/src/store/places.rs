//! The views of where events are: those of a scope, and the listed messages of a room. A transaction keeps its new rows
//! until its end and adds them in order: those of one scope lie in one page, which then is found and copied once.

use std::ops::Bound;

use redb::{CursorError, Key, ReadableTable, ReadableTableMetadata, Table, Value, WriteTransaction};
use starling_protocol::{Event, OriginId, Pos, RoomId, Scope, Seq};

use super::tables;

/// From so many rows of one scope on, redb adds them all at once with less work than one by one.
const RUN_ROWS_MIN: usize = 6;

/// Both tables in a write transaction.
#[derive(Debug)]
pub struct PlacesWriter<'txn> {
    scopes: Table<'txn, &'static [u8], u64>,
    timeline: Table<'txn, &'static [u8; 50], ()>,
    /// New rows of `scopes`.
    indexed: Vec<(Vec<u8>, u64)>,
    /// New rows of `timeline`.
    listed: Vec<[u8; 50]>,
}

impl<'txn> PlacesWriter<'txn> {
    pub fn open(transaction: &'txn WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            scopes: transaction.open_table(tables::SCOPES)?,
            timeline: transaction.open_table(tables::TIMELINE)?,
            indexed: Vec::new(),
            listed: Vec::new(),
        })
    }

    /// Adds an event to a scope; returns its key.
    pub fn index(&mut self, scope: &Scope, event: &Event) -> &[u8] {
        self.indexed.push((tables::scope_key(scope, event.origin, event.seq), event.hlc.0));
        self.indexed.last().map_or(&[], |(key, _)| key)
    }

    /// Removes an event from a scope; returns its key and stamp if it was there.
    pub fn unindex(&mut self, scope: &Scope, pos: Pos) -> Result<Option<(Vec<u8>, u64)>, redb::Error> {
        self.flush()?;
        let key = tables::scope_key(scope, pos.origin, pos.seq);
        let hlc = self.scopes.remove(&key[..])?.map(|hlc| hlc.value());
        Ok(hlc.map(|hlc| (key, hlc)))
    }

    /// Returns at most `most` events of a scope after a key, each with its key.
    pub fn indexed_after(
        &mut self,
        scope: &Scope,
        after: &[u8],
        most: usize,
    ) -> Result<Vec<(Vec<u8>, OriginId, Seq)>, redb::Error> {
        self.flush()?;
        let begin = tables::scope_beginning(scope);
        let from = if after.is_empty() { begin.clone() } else { [after, &[0]].concat() };
        let mut found = Vec::new();
        for row in self.scopes.range::<&[u8]>(&from[..]..)? {
            let key = row?.0.value().to_vec();
            if !key.starts_with(&begin) || found.len() == most {
                break;
            }
            if let Some((origin, seq)) = tables::parse_scope_key(&key) {
                found.push((key, origin, seq));
            }
        }
        Ok(found)
    }

    /// Lists a message; returns its key.
    pub fn list(&mut self, room: RoomId, pos: Pos) -> [u8; 50] {
        let key = tables::timeline_key(room, pos);
        self.listed.push(key);
        key
    }

    /// Takes a message from the list; returns its key.
    pub fn unlist(&mut self, room: RoomId, pos: Pos) -> Result<[u8; 50], redb::Error> {
        self.flush()?;
        let key = tables::timeline_key(room, pos);
        self.timeline.remove(&key)?;
        Ok(key)
    }

    /// Takes the first of all listed messages from the list; returns its key.
    pub fn unlist_first(&mut self) -> Result<Option<[u8; 50]>, redb::Error> {
        Ok(self.timeline.pop_first()?.map(|(key, _)| *key.value()))
    }

    /// Whether any message is listed.
    pub fn has_listed(&self) -> Result<bool, redb::Error> {
        Ok(!self.timeline.is_empty()?)
    }

    /// Writes the new rows.
    pub fn flush(&mut self) -> Result<(), redb::Error> {
        let mut indexed = std::mem::take(&mut self.indexed);
        indexed.sort_unstable();
        // The key ends with an origin and a number.
        let is_of_one_scope = |one: &[u8], next: &[u8]| {
            one.split_last_chunk::<32>().map(|(scope, _)| scope)
                == next.split_last_chunk::<32>().map(|(scope, _)| scope)
        };
        for run in indexed.chunk_by(|(one, _), (next, _)| is_of_one_scope(one, next)) {
            let rows: Vec<(&[u8], u64)> = run.iter().map(|(key, hlc)| (&key[..], *hlc)).collect();
            add_in_order::<&'static [u8], u64>(&mut self.scopes, &rows)?;
        }
        let mut listed = std::mem::take(&mut self.listed);
        listed.sort_unstable();
        for run in listed.chunk_by(|one, next| one[..10] == next[..10]) {
            let rows: Vec<(&[u8; 50], ())> = run.iter().map(|key| (key, ())).collect();
            add_in_order::<&'static [u8; 50], ()>(&mut self.timeline, &rows)?;
        }
        Ok(())
    }
}

/// Adds rows that ascend. Others may lie between them, as those of late events do.
fn add_in_order<'rows, K: Key + 'static, V: Value + 'static>(
    table: &mut Table<'_, K, V>,
    mut rows: &[(K::SelfType<'rows>, V::SelfType<'rows>)],
) -> Result<(), redb::Error> {
    while let Some((first, value)) = rows.first() {
        let mut added = 0;
        if rows.len() >= RUN_ROWS_MIN {
            let mut place = table.lower_bound_mut(Bound::Included(first))?;
            for (key, value) in rows {
                match place.insert_before(key, value) {
                    Ok(()) => added += 1,
                    Err(CursorError::UnorderedKey) => break,
                    Err(error) => return Err(error.into()),
                }
            }
            place.close()?;
        }
        if added == 0 {
            table.insert(first, value)?;
            added = 1;
        }
        rows = &rows[added..];
    }
    Ok(())
}
