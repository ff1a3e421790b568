//! The embedded store: the log, and the views derived from it, in one redb file, with a journal of the last commits beside it.
//! Synchronous, over redb's `StorageBackend`, so that the simulator drives the real one on a virtual disk.
//! Services read it, the writer thread commits to it; `web` doesn't know it.

mod apply;
mod change;
pub mod cluster;
mod commit;
mod damage;
mod decide;
mod digests;
mod durability;
mod folds;
mod journal;
mod log;
mod marks;
mod message_ids;
mod messages;
mod migrations;
mod names;
mod people;
mod places;
mod plan;
mod post_cache;
mod read;
mod rebuild;
mod records;
mod room_reader;
mod rooms;
mod scrub;
mod tables;
#[cfg(test)]
mod tests;
mod unusable;
mod verify;
mod view_set;
mod views;

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock},
};

use redb::{
    Database, DatabaseError, ReadableDatabase, StorageBackend, StorageError, WriteTransaction,
    backends::InMemoryBackend,
};
use starling_protocol::{VersionVector, codec::DecodeError, event::EventError};
use thiserror::Error;

use crate::data_dir::io_advice;

pub use self::{
    apply::Tables,
    change::Change,
    commit::{Commit, Committer, OwnEvents},
    damage::without_panic,
    decide::{Decide, Decision, Op, OpResult, PostCheck},
    digests::Snapshot,
    messages::{Direction, MessagesReader, TimelineSlice},
    migrations::{SCHEMA_VERSION, STEPS, Step},
    people::Person,
    plan::Progress,
    read::Page,
    records::{Records, RecordsReader, RecordsWriter, Rows},
    room_reader::{RoomReader, Unread},
    scrub::{SCRUB_STEP_BYTES, Scrub},
    unusable::UnusableStore,
    verify::CheckReport,
    view_set::ViewSet,
};
use self::{
    damage::GuardedDatabase,
    journal::{Journal, JournalFile, Start},
};

use crate::data_dir::create_private_file;

/// Bytes of pages that redb keeps in memory, unless the caller says another number.
pub const CACHE_BYTES: usize = 64 * 1024 * 1024;

/// Why a store cannot be opened, read or written.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Another process has it open.
    #[error("another process has it open; stop that one, or give another --data-dir")]
    InUse,
    /// The file is not a store, or is damaged beyond what redb repairs.
    #[error("it is damaged or no Starling store ({0})")]
    Open(String),
    /// A page or record makes no sense.
    #[error("it is damaged ({0})")]
    Damaged(String),
    /// The file cannot be opened, read or written.
    #[error("{0}; {advice}", advice = io_advice(.0))]
    Io(io::Error),
    /// Written by another version of redb.
    #[error("its file format is version {0}, which this Starling does not read; run the one that wrote it")]
    OtherFormat(u8),
    /// Written by a newer Starling.
    #[error("it has version {found}, and this Starling knows versions up to {known}; run a newer one")]
    Newer {
        /// The store's version.
        found: u64,
        /// The newest that this build knows.
        known: u64,
    },
    /// The disk or redb failed. Nothing of the transaction is durable.
    #[error("the disk or the store failed: {0}")]
    Redb(#[from] redb::Error),
    /// A record does not decode.
    #[error("a record does not decode: {0}")]
    Record(#[from] DecodeError),
    /// An event does not decode.
    #[error("an event of the log does not decode: {0}")]
    Event(#[from] EventError),
    /// A long operation was stopped early.
    #[error("stopped: {0}")]
    Stopped(&'static str),
    /// The store contradicts itself.
    #[error("it contradicts itself: {0}")]
    Corrupt(String),
}

macro_rules! from_redb {
    ($($error:ty),+) => {$(
        impl From<$error> for StoreError {
            fn from(error: $error) -> Self {
                Self::Redb(error.into())
            }
        }
    )+};
}
from_redb!(
    redb::TransactionError,
    redb::TableError,
    redb::StorageError,
    redb::CommitError,
    redb::CursorError
);

/// Begins a write transaction whose commit is durable by itself, with quick repair after a crash.
fn begin_durable(db: &Database) -> Result<WriteTransaction, StoreError> {
    let mut transaction = db.begin_write()?;
    transaction.set_quick_repair(true);
    Ok(transaction)
}

/// Runs a transaction of [`begin_durable`].
fn write_transaction<T>(
    db: &Database,
    change: impl FnOnce(&WriteTransaction) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let transaction = begin_durable(db)?;
    let changed = change(&transaction)?;
    transaction.commit()?;
    Ok(changed)
}

/// The log and its views.
#[derive(Debug)]
pub struct Store {
    db: GuardedDatabase,
    folds: folds::FoldCache,
    journal: Mutex<Journal>,
    /// The store's file, unless it is in memory.
    file: Option<PathBuf>,
    /// The first error that showed damage.
    damage: OnceLock<String>,
}

impl Store {
    /// Opens the store in a file, or makes it. An empty file counts as missing: it is left of a store that was never
    /// written.
    pub fn open_file(path: &Path) -> Result<Self, StoreError> {
        Self::open_file_with(path, CACHE_BYTES, STEPS, &mut |_| ())
    }

    /// Works as [`Store::open_file`], with so many bytes of pages in memory, and the migrations of some version: [`STEPS`], or those of a later one in tests.
    /// `progress` is called again and again while views are derived, when this process already holds the file's lock.
    pub fn open_file_with(
        path: &Path,
        cache_bytes: usize,
        steps: &[Step],
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, StoreError> {
        without_panic(|| {
            match fs::metadata(path) {
                Ok(metadata) if metadata.len() > 0 => {}
                Ok(_) => {
                    fs::remove_file(path)
                        .and_then(|()| Self::make_file(path))
                        .map_err(StoreError::from_io)?;
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    Self::make_file(path).map_err(StoreError::from_io)?;
                }
                Err(error) => return Err(StoreError::from_io(error)),
            }
            let database = Database::builder().set_cache_size(cache_bytes).open(path);
            let journal = || open_journal(&journal_path(path));
            Self::opened(database, journal, Some(path.to_owned()), steps, progress)
        })
    }

    /// Makes an empty store under another name, then moves it into place: redb cannot open a file whose creation was cut
    /// short by a power failure.
    fn make_file(path: &Path) -> io::Result<()> {
        // It belongs to a store that is gone.
        remove_if_there(&journal_path(path))?;
        let unfinished = path.with_extension(format!("{}.new", std::process::id()));
        let _ = fs::remove_file(&unfinished);
        // redb would make a file that others can read; it accepts an empty one.
        create_private_file(&unfinished)?;
        drop(Database::create(&unfinished).map_err(|error| match error {
            DatabaseError::Storage(StorageError::Io(error)) => error,
            error => io::Error::other(error),
        })?);
        // Another process may have made the file meanwhile, and have it open.
        match fs::hard_link(&unfinished, path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => fs::rename(&unfinished, path)?,
            _ => fs::remove_file(&unfinished)?,
        }
        sync_dir_of(path)
    }

    /// Makes a store in memory.
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::open_backend(InMemoryBackend::new(), InMemoryBackend::new())
    }

    /// Opens or makes a store and its journal on any backends.
    pub fn open_backend(
        backend: impl StorageBackend,
        journal: impl StorageBackend,
    ) -> Result<Self, StoreError> {
        Self::open_backend_with_cache(backend, journal, CACHE_BYTES)
    }

    /// Opens or makes a store and its journal on any backends, with so many bytes of cache: with none, every read reaches the
    /// backend.
    pub fn open_backend_with_cache(
        backend: impl StorageBackend,
        journal: impl StorageBackend,
        cache_bytes: usize,
    ) -> Result<Self, StoreError> {
        without_panic(|| {
            let database = Database::builder().set_cache_size(cache_bytes).create_with_backend(backend);
            Self::opened(database, || Ok(Box::new(journal) as _), None, STEPS, &mut |_| ())
        })
    }

    fn opened(
        db: Result<Database, DatabaseError>,
        open_journal: impl FnOnce() -> Result<Box<dyn StorageBackend>, StoreError>,
        file: Option<PathBuf>,
        steps: &[Step],
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, StoreError> {
        let db = GuardedDatabase::new(db.map_err(StoreError::from_open)?);
        Self::read_list_of_tables(&db)?;
        migrations::migrate(&db, steps)?;
        let start = Start::read(&db.begin_read()?.open_table(tables::META)?)?;
        let (journal, tail) = Journal::open(open_journal()?, start)?;
        let (journal, damage) = (Mutex::new(journal), OnceLock::new());
        let store = Self { db, folds: folds::FoldCache::default(), journal, file, damage };
        store.resume_rebuild(progress)?;
        // To complete views: applying an event to some that are being derived from the log would count it twice.
        store.replay(tail)?;
        Ok(store)
    }

    /// Reads the definition of each table, so that a damaged one is found here: redb aborts the process when it finds it
    /// while it opens tables for writing, because the tables that are open already cannot be closed.
    fn read_list_of_tables(db: &Database) -> Result<(), StoreError> {
        let transaction = db.begin_read()?;
        for table in transaction.list_tables()? {
            transaction.open_untyped_table(table)?;
        }
        Ok(())
    }

    /// Removes the store's files. The lock is held until it is gone, so the file of a running node is safe.
    pub fn remove(self) -> Result<(), StoreError> {
        let Some(file) = &self.file else { return Ok(()) };
        remove_files(file).map_err(StoreError::from_io)
    }

    /// Reads the views of users and their rooms in one snapshot. Never hold it across an await: the store keeps all pages
    /// that change meanwhile.
    pub fn records(&self) -> Result<RecordsReader, StoreError> {
        RecordsReader::read(&self.db.begin_read()?)
    }

    /// The log's vector.
    pub fn vector(&self) -> Result<VersionVector, StoreError> {
        folds::FoldsReader::read(&self.db.begin_read()?, &self.folds)?.vector()
    }
}

/// Returns the path of the journal of a store.
fn journal_path(store: &Path) -> PathBuf {
    store.with_extension("journal")
}

fn open_journal(path: &Path) -> Result<Box<dyn StorageBackend>, StoreError> {
    let file = match create_private_file(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            File::options().read(true).write(true).open(path)
        }
        created => created.and_then(|file| sync_dir_of(path).map(|()| file)),
    };
    let file = file.map_err(StoreError::from_io)?;
    Ok(Box::new(JournalFile::new(file).map_err(StoreError::from_open)?))
}

/// Removes the files of a store that nobody has open, if they exist.
pub(crate) fn remove_files(store: &Path) -> io::Result<()> {
    remove_if_there(store)?;
    remove_if_there(&journal_path(store))
}

/// Makes the name of a new file durable.
fn sync_dir_of(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
