//! The error of a store file that cannot be used, with advice for the operator.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use starling_protocol::NodeId;
use thiserror::Error;

use super::{Committer, Store, StoreError};

/// The store in a file cannot be used. The text says why, and what to do.
#[derive(Debug, Error)]
#[error("cannot use the store {file}: {error}{advice}", advice = advice(error))]
pub struct UnusableStore {
    file: String,
    error: Box<StoreError>,
}

impl UnusableStore {
    /// Names the file of a store's error.
    pub fn new(file: &Path, error: StoreError) -> Self {
        Self { file: file.display().to_string(), error: Box::new(error) }
    }
}

impl Store {
    /// Reads which nodes were ever forgotten.
    pub fn forgotten_nodes(&self) -> Result<BTreeSet<NodeId>, UnusableStore> {
        self.guarded(|store| store.records()?.forgotten_nodes()).map_err(|error| self.unusable(error))
    }

    /// Makes the only writer of this store; see [`Committer::new`]. It reads the heads, the last event of each origin
    /// and all digests, so some damage already shows here.
    pub fn committer(self: &Arc<Self>, node: NodeId, now_ms: u64) -> Result<Committer, UnusableStore> {
        self.guarded(|_| Committer::new(Arc::clone(self), node, now_ms)).map_err(|error| self.unusable(error))
    }

    fn unusable(&self, error: StoreError) -> UnusableStore {
        UnusableStore::new(self.file.as_deref().unwrap_or(Path::new("in memory")), error)
    }
}

fn advice(error: &StoreError) -> &'static str {
    match error {
        StoreError::Io(_) => "",
        error if error.is_damage() => {
            "; put a backup in its place, or move it away: a node of a cluster is then refilled by its peers, and any \
             node can begin with an empty store with --fresh"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use redb::{Database, ReadableTable};
    use starling_protocol::{EventBody, QuickRoomCreated, RoomId, Scope};

    use super::*;
    use crate::store::{Decide, Decision, Op, tables};

    /// A start that is refused names the file to be replaced, not its directory.
    #[test]
    fn damage_that_the_writer_finds_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("starling.redb");
        let store = Arc::new(Store::open_file(&file).unwrap());
        let created = EventBody::QuickRoomCreated(QuickRoomCreated { name: None });
        let create = Decision::one(Scope::room(RoomId([1; 10])), created);
        let create = Op::Decide(Decide::new(move |_| Ok(create.clone())));
        store.committer(NodeId([1; 16]), 1_000).unwrap().commit(1_000, 1, &[create]).unwrap();
        drop(store);

        let database = Database::open(&file).unwrap();
        let transaction = database.begin_write().unwrap();
        let mut log = transaction.open_table(tables::LOG).unwrap();
        let key = *log.first().unwrap().unwrap().0.value();
        log.insert(&key, &b"noise"[..]).unwrap();
        drop(log);
        transaction.commit().unwrap();
        drop(database);

        let store = Arc::new(Store::open_file(&file).unwrap());
        let error = store.committer(NodeId([1; 16]), 1_000).unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot use the store {}: ", file.display())), "{error}");
    }
}
