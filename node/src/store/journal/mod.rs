//! The journal: the events of the last commits, in a file beside the store. A commit is durable once its record is synced
//! here: one short write and one `fdatasync`, where redb would write and sync all pages that it touches. The pages follow in
//! a checkpoint, for many commits at once. What a crash takes from the store is applied again from here at the next open,
//! before anything is read.
//!
//! The journal is written from its beginning after each checkpoint. The checkpoint numbers the epoch that begins, and each
//! record names its epoch, so no record of an earlier one is taken for a new one.

mod file;
mod record;
mod replay;
#[cfg(test)]
mod tests;

use std::io;

use bytes::Bytes;
use redb::{ReadableTable, StorageBackend, StorageError, Table};
use thiserror::Error;

use self::record::{HEADER_BYTES, Header, Key};
pub use self::{file::JournalFile, replay::Tail};

/// The most bytes of the file. A checkpoint follows earlier: see [`CHECKPOINT_BYTES`].
const BYTES_MAX: u64 = if cfg!(test) { 16 * 1024 } else { 32 * 1024 * 1024 };
/// Bytes of records after which a checkpoint is due. More make it rarer and longer, as they do for the next open.
const CHECKPOINT_BYTES: u64 = BYTES_MAX / 2;
/// The file grows by this much at least. It is written before it is used: syncing a record then needs no change of the
/// file's metadata.
const GROW_BYTES: u64 = 64 * 1024;
/// In `META`: the number of the epoch whose records follow the last checkpoint; 0 if it is missing.
const EPOCH: &str = "journal_epoch";
/// In `META`: the key of the records' checksums.
const KEY: &str = "journal_key";
/// Records begin at multiples of this, so that one behind a damaged one can be found.
const ALIGN: usize = 64;

/// The table `META` of the store.
pub type Meta<'txn> = Table<'txn, &'static str, u64>;

/// The facts about the journal that the store keeps.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// The number of the epoch that began with the last checkpoint.
    epoch: u64,
    /// The key of the records' checksums; `None` before one was drawn.
    key: Option<Key>,
}

impl Start {
    /// Reads them.
    pub fn read(meta: &impl ReadableTable<&'static str, u64>) -> Result<Self, StorageError> {
        let number = |name| Ok::<_, StorageError>(meta.get(name)?.map(|number| number.value()));
        Ok(Self { epoch: number(EPOCH)?.unwrap_or_default(), key: number(KEY)? })
    }
}

/// Why the journal cannot be read or written.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The file cannot be read, written or synced.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A record cannot be read that was whole once.
    #[error("record {0} of its journal can't be read, and later ones follow it")]
    Damaged(u64),
}

/// The journal, ready to be appended to.
#[derive(Debug)]
pub struct Journal {
    file: Box<dyn StorageBackend>,
    key: Option<Key>,
    /// The number of the present epoch.
    epoch: u64,
    /// The number of the next record of the epoch.
    index: u64,
    /// Its place in the file.
    position: u64,
    /// The bytes of the file that may hold records, also of earlier epochs.
    used: u64,
    /// The length of the file.
    length: u64,
    /// The last record, as it was written: memory to be used again.
    record: Vec<u8>,
}

impl Journal {
    /// Appends the record of a commit and syncs it. Returns false, and writes nothing, if there is no room for it, or no key yet:
    /// then the commit has to be a checkpoint.
    ///
    /// # Errors
    /// The file cannot be written or synced. Nothing may be appended after that: the state of the disk is unknown.
    pub fn append(&mut self, events: &[Bytes]) -> Result<bool, JournalError> {
        let Some(key) = self.key else { return Ok(false) };
        record::encode(&mut self.record, key, Header { epoch: self.epoch, index: self.index }, events);
        let end = self.position + self.record.len() as u64;
        if end > BYTES_MAX {
            return Ok(false);
        }
        self.grow(end)?;
        self.file.write(self.position, &self.record)?;
        self.file.sync_data()?;
        (self.index, self.position) = (self.index + 1, end);
        self.used = self.used.max(end);
        Ok(true)
    }

    /// Makes room in the file up to `end`.
    fn grow(&mut self, end: u64) -> Result<(), JournalError> {
        if end <= self.length {
            return Ok(());
        }
        let length = end.max(2 * self.length).next_multiple_of(GROW_BYTES).min(BYTES_MAX.max(GROW_BYTES));
        self.file.set_len(length)?;
        self.zero(self.length, length)?;
        self.length = length;
        Ok(())
    }

    /// Overwrites a part of the file with zeros.
    fn zero(&self, from: u64, to: u64) -> Result<(), JournalError> {
        let zeros = vec![0; usize::try_from(GROW_BYTES).unwrap_or_default()];
        let mut at = from;
        while at < to {
            let part = (to - at).min(GROW_BYTES);
            let part = zeros.get(..usize::try_from(part).unwrap_or_default()).unwrap_or_default();
            self.file.write(at, part)?;
            at += part.len() as u64;
        }
        Ok(())
    }

    /// Whether nothing was appended since the last checkpoint.
    pub fn is_empty(&self) -> bool {
        self.index == 0
    }

    /// Whether enough was written for a checkpoint.
    pub fn is_full(&self) -> bool {
        self.position >= CHECKPOINT_BYTES
    }

    /// Notes in a transaction that the next epoch begins with it. `fresh`, a random number that nobody knows, becomes the key
    /// if there is none.
    pub fn end_epoch(&mut self, meta: &mut Meta<'_>, fresh: Option<Key>) -> Result<(), StorageError> {
        meta.insert(EPOCH, self.epoch + 1)?;
        if let (None, Some(fresh)) = (self.key, fresh) {
            meta.insert(KEY, fresh)?;
            self.key = Some(fresh);
        }
        Ok(())
    }

    /// Begins the next epoch, once the transaction that notes it is durable.
    pub fn begin_epoch(&mut self) {
        (self.epoch, self.index, self.position) = (self.epoch + 1, 0, 0);
        // A large batch leaves no large buffer behind.
        self.record = Vec::new();
    }

    /// Overwrites the records of earlier epochs, which may hold erased text. Nothing may be appended since the last
    /// checkpoint.
    pub fn wipe(&mut self) -> Result<(), JournalError> {
        debug_assert!(self.is_empty(), "records that are needed are not wiped");
        if self.used == 0 {
            return Ok(());
        }
        self.zero(0, self.used)?;
        self.file.sync_data()?;
        self.used = 0;
        Ok(())
    }
}

const _: () = assert!(HEADER_BYTES <= ALIGN, "a header is found at a multiple of the alignment");
