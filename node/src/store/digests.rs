//! Digests of the applied events and of the views, per scope; every commit updates them. Equal events give equal digests
//! on every node. `verify` derives them again from the tables.

use std::collections::{BTreeMap, BTreeSet};

use redb::{ReadableDatabase, ReadableTable, Table};
use starling_protocol::{
    Digest, Event, EventBody, Pos, Scope, ScopeDigest, VersionVector,
    digest::{SHARDS, scope_shard},
    merge::message::MessageState,
};

use super::{Store, StoreError, folds::FoldsReader, tables};
use crate::store::apply::parse;

/// The changes of a transaction: per scope, the value to add to its digest.
#[derive(Debug, Default)]
pub struct DigestBook {
    changes: BTreeMap<Scope, ScopeDigest>,
    /// The scope that was changed last, which most often is the next one, too. It is not in `changes`.
    last: Option<(Scope, ScopeDigest)>,
}

impl DigestBook {
    fn digest_of(&mut self, scope: &Scope) -> &mut ScopeDigest {
        if self.last.as_ref().is_none_or(|(last, _)| last != scope) {
            let (scope, change) =
                self.changes.remove_entry(scope).unwrap_or_else(|| (scope.clone(), ScopeDigest::default()));
            self.changes.extend(self.last.replace((scope, change)));
        }
        let (_, change) = self.last.as_mut().expect("just set");
        change
    }

    fn take(&mut self) -> BTreeMap<Scope, ScopeDigest> {
        let mut changes = std::mem::take(&mut self.changes);
        changes.extend(self.last.take());
        changes
    }

    /// Adds an applied event. An event of an unknown kind doesn't count; its row in `scopes`, which the caller adds, is
    /// taken out again: a node that still lacks the event would seem to differ.
    pub fn applied(&mut self, event: &Event, touched: &BTreeSet<Scope>) {
        let key = tables::log_key(event.origin, event.seq);
        let digest = Digest::hash_row("events", &key, &event.hlc.0.to_be_bytes());
        if matches!(event.body, EventBody::Unknown { .. }) {
            let row = tables::scope_key(&event.scope, event.origin, event.seq);
            return self.removed(&event.scope, "scopes", &row, &event.hlc.0.to_be_bytes());
        }
        for scope in touched {
            self.digest_of(scope).applied.add(digest);
        }
        if !touched.contains(&event.scope) {
            self.digest_of(&event.scope).applied.add(digest);
        }
    }

    /// Removes an applied event from a scope: it is a stub now.
    pub fn unapplied(&mut self, scope: &Scope, pos: Pos) {
        let key = tables::log_key(pos.origin, pos.seq);
        let digest = Digest::hash_row("events", &key, &pos.hlc.0.to_be_bytes());
        self.digest_of(scope).applied.remove(digest);
    }

    /// Adds a row of a view.
    pub fn added(&mut self, scope: &Scope, table: &str, key: &[u8], value: &[u8]) {
        self.digest_of(scope).views.add(Digest::hash_row(table, key, value));
    }

    /// Removes a row of a view.
    pub fn removed(&mut self, scope: &Scope, table: &str, key: &[u8], value: &[u8]) {
        self.digest_of(scope).views.remove(Digest::hash_row(table, key, value));
    }

    /// Writes the changes; returns the value that they add to each shard.
    pub fn flush(
        &mut self,
        table: &mut Table<'_, &'static [u8], &'static [u8; 32]>,
    ) -> Result<BTreeMap<u8, ScopeDigest>, StoreError> {
        let mut shards: BTreeMap<u8, ScopeDigest> = BTreeMap::new();
        for (scope, change) in self.take() {
            let shard = scope_shard(&scope);
            shards.entry(shard).or_default().add(change);
            let key = tables::digest_key(shard, &scope);
            let mut digest =
                table.get(&key[..])?.map(|row| ScopeDigest::from_bytes(row.value())).unwrap_or_default();
            digest.add(change);
            // An empty scope leaves no trace.
            if digest == ScopeDigest::default() {
                table.remove(&key[..])?;
            } else {
                table.insert(&key[..], &digest.to_bytes())?;
            }
        }
        Ok(shards)
    }
}

/// The digests of the shards of all scopes, in memory.
#[derive(Clone, Debug)]
pub struct ShardDigests(Box<[ScopeDigest; SHARDS]>);

impl ShardDigests {
    /// Adds the changes of a transaction; returns the new digests of the changed shards.
    pub fn add(&mut self, changes: BTreeMap<u8, ScopeDigest>) -> Vec<(u8, ScopeDigest)> {
        let shards = &mut self.0;
        let add = |(shard, change)| {
            let digest = &mut shards[usize::from(shard)];
            digest.add(change);
            (shard, *digest)
        };
        changes.into_iter().map(add).collect()
    }

    /// The digests of all shards that are not empty.
    pub fn all(&self) -> Vec<(u8, ScopeDigest)> {
        (0..=u8::MAX).zip(*self.0).filter(|(_, digest)| *digest != ScopeDigest::default()).collect()
    }
}

/// The digests of a store as of one commit.
#[derive(Debug)]
pub struct Snapshot {
    /// The log's vector.
    pub vector: VersionVector,
    /// The digest of each scope.
    pub scopes: BTreeMap<Scope, ScopeDigest>,
}

impl Snapshot {
    /// The digest of all views: equal on two nodes if and only if their views are equal.
    pub fn digest(&self) -> Digest {
        let mut all = Digest::default();
        self.scopes.values().for_each(|scope| all.add(scope.views));
        all
    }
}

impl Store {
    /// Reads the digests of all scopes, and the vector that they belong to.
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let transaction = self.db.begin_read()?;
        let vector = FoldsReader::read(&transaction, &self.folds)?.vector()?;
        let table = transaction.open_table(tables::DIGESTS)?;
        let mut scopes = BTreeMap::new();
        for row in table.iter()? {
            let (key, digest) = row?;
            scopes.insert(scope_of(key.value())?, ScopeDigest::from_bytes(digest.value()));
        }
        Ok(Snapshot { vector, scopes })
    }

    /// The digest of all views: equal on two nodes if and only if their views are equal.
    pub fn digest(&self) -> Result<Digest, StoreError> {
        Ok(self.snapshot()?.digest())
    }

    /// Reads the digests of the scopes of a shard, at most `most` of them.
    pub fn scopes_of(&self, shard: u8, most: usize) -> Result<Vec<(Scope, ScopeDigest)>, StoreError> {
        let table = self.db.begin_read()?.open_table(tables::DIGESTS)?;
        let rows = table.range::<&[u8]>(&[shard][..]..)?;
        let rows =
            rows.take_while(|row| row.as_ref().map_or(true, |(key, _)| key.value().first() == Some(&shard)));
        rows.take(most)
            .map(|row| {
                let (key, digest) = row?;
                Ok((scope_of(key.value())?, ScopeDigest::from_bytes(digest.value())))
            })
            .collect()
    }

    /// Reads the digest of one scope; the empty digest if the scope is empty.
    pub fn scope_digest(&self, scope: &Scope) -> Result<ScopeDigest, StoreError> {
        let table = self.db.begin_read()?.open_table(tables::DIGESTS)?;
        let digest = table.get(&tables::digest_key(scope_shard(scope), scope)[..])?;
        Ok(digest.map(|digest| ScopeDigest::from_bytes(digest.value())).unwrap_or_default())
    }

    /// Reads the digests of all shards.
    pub(super) fn shard_digests(&self) -> Result<ShardDigests, StoreError> {
        let mut shards = Box::new([ScopeDigest::default(); SHARDS]);
        let table = self.db.begin_read()?.open_table(tables::DIGESTS)?;
        for row in table.iter()? {
            let (key, digest) = row?;
            let shard = key.value().first().copied().unwrap_or_default();
            shards[usize::from(shard)].add(ScopeDigest::from_bytes(digest.value()));
        }
        Ok(ShardDigests(shards))
    }

    /// Derives the digest of the views of each scope from their rows, which [`DigestBook`] followed one by one.
    pub(super) fn derive_digests(&self, book: &mut DigestBook) -> Result<(), StoreError> {
        let transaction = self.db.begin_read()?;
        for row in transaction.open_table(tables::SCOPES)?.iter()? {
            let (key, hlc) = row?;
            let scope = tables::parse_scope(key.value());
            let scope = scope.ok_or_else(|| StoreError::Corrupt("an event belongs to no scope".into()))?;
            book.added(&scope, "scopes", key.value(), &hlc.value().to_be_bytes());
        }
        for row in transaction.open_table(tables::RECORDS)?.iter()? {
            let (key, value) = row?;
            let scope = tables::parse_scope(key.value());
            let scope = scope.ok_or_else(|| StoreError::Corrupt("a record belongs to no scope".into()))?;
            book.added(&scope, "records", key.value(), value.value());
        }
        for row in transaction.open_table(tables::QUICK_ROOMS)?.iter()? {
            let (key, value) = row?;
            let room = starling_protocol::RoomId(*key.value());
            book.added(&Scope::room(room), "rooms", key.value(), value.value());
        }
        for row in transaction.open_table(tables::TIMELINE)?.iter()? {
            let key = row?.0;
            book.added(&Scope::room(tables::timeline_room(key.value())), "timeline", key.value(), &[]);
        }
        for row in transaction.open_table(tables::MESSAGES)?.iter()? {
            let (key, value) = row?;
            let state: MessageState = parse(value.value())?;
            book.added(&Scope::room(state.room), "messages_by_id", key.value(), value.value());
        }
        for row in transaction.open_table(tables::NAME_CLAIMS)?.iter()? {
            let (key, value) = row?;
            book.added(
                &Scope::room(tables::name_room(key.value())),
                "name_claims",
                key.value(),
                value.value(),
            );
        }
        for row in transaction.open_table(tables::NAME_GROUPS)?.iter()? {
            let (key, value) = row?;
            book.added(&Scope::room(tables::name_room(key.value())), "name_runs", key.value(), value.value());
        }
        Ok(())
    }

    /// Compares the digests of a book with those of the store; returns a scope with another digest.
    pub(super) fn differs_from(&self, mut book: DigestBook) -> Result<Option<Scope>, StoreError> {
        let mut kept = self.snapshot()?.scopes;
        for (scope, derived) in book.take() {
            if kept.remove(&scope).unwrap_or_default() != derived {
                return Ok(Some(scope));
            }
        }
        Ok(kept.into_iter().find(|(_, digest)| *digest != ScopeDigest::default()).map(|(scope, _)| scope))
    }
}

fn scope_of(key: &[u8]) -> Result<Scope, StoreError> {
    tables::parse_digest_key(key).ok_or_else(|| StoreError::Corrupt("a digest belongs to no scope".into()))
}
