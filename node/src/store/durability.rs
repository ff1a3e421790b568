//! Makes commits durable: each by its record in the journal, and many together by a checkpoint of the store's own file.
//! After a crash the end of the journal is applied again.

use std::sync::{MutexGuard, PoisonError};

use bytes::Bytes;
use redb::{Durability, WriteTransaction};
use starling_protocol::Event;

use super::{
    Store, StoreError, begin_durable,
    journal::{Journal, JournalError, Tail},
    tables,
};

impl From<JournalError> for StoreError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Io(error) => Self::from_io(error),
            damaged @ JournalError::Damaged(_) => Self::Damaged(damaged.to_string()),
        }
    }
}

/// Events that are applied again in one transaction, about: limits its memory.
const REPLAY_BATCH: usize = if cfg!(test) { 3 } else { 5_000 };

impl Store {
    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Commits a transaction that adds these events to the log. Once this returns they are durable, and only then can they
    /// be read. `fresh` is a random number that nobody knows, if there is one: a new store's journal needs a key.
    pub(super) fn commit_events(
        &self,
        mut transaction: WriteTransaction,
        events: &[Bytes],
        fresh: Option<u64>,
    ) -> Result<(), StoreError> {
        // Always locked within a transaction, never the other way round.
        let mut journal = self.journal();
        if !journal.append(events)? {
            return end_epoch(transaction, &mut journal, fresh);
        }
        transaction.set_durability(Durability::None).expect("no savepoint forbids it");
        Ok(transaction.commit()?)
    }

    /// Whether so much was committed since the last checkpoint that the next is due.
    pub fn needs_checkpoint(&self) -> bool {
        self.journal().is_full()
    }

    /// Writes all pages that commits have changed since the last checkpoint, and begins the journal anew.
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        let transaction = begin_durable(&self.db)?;
        let mut journal = self.journal();
        if journal.is_empty() { Ok(transaction.abort()?) } else { end_epoch(transaction, &mut journal, None) }
    }

    /// Overwrites what the journal still holds of erased events.
    pub(super) fn wipe_journal(&self) -> Result<(), StoreError> {
        let transaction = begin_durable(&self.db)?;
        let mut journal = self.journal();
        end_epoch(transaction, &mut journal, None)?;
        Ok(journal.wipe()?)
    }

    /// Applies the events that a crash took from the store.
    pub(super) fn replay(&self, tail: Tail) -> Result<(), StoreError> {
        if tail.commits() == 0 {
            return Ok(());
        }
        tracing::info!(
            commits = tail.commits(),
            "the last process ended without a checkpoint: its last commits are applied from the journal"
        );
        for batch in tail.batches(REPLAY_BATCH) {
            self.in_tables(|tables| {
                batch.into_iter().try_for_each(|event| tables.append_again(&Event::decode(event)?))
            })?;
        }
        self.checkpoint()
    }
}

fn end_epoch(
    transaction: WriteTransaction,
    journal: &mut Journal,
    fresh: Option<u64>,
) -> Result<(), StoreError> {
    journal.end_epoch(&mut transaction.open_table(tables::META)?, fresh)?;
    transaction.commit()?;
    journal.begin_epoch();
    Ok(())
}
