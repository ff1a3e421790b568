//! Removes erased content from the file, too. redb never overwrites a committed page in place, so the text of a deleted
//! message stays in free pages. And a page that is changed twice in one transaction keeps old bytes behind its last row.
//! A scrub first writes the leaves anew that held erased rows. Then it writes zeros into a scratch table until the file
//! has to grow for them: then they have taken every free page. Last it overwrites the journal, which holds the events of the
//! last commits. It works in small commits, so that posts hardly wait.

use std::fs;

use redb::{
    Key, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition, TableHandle,
    WriteTransaction,
};

use super::{Store, StoreError, tables};

/// Counts the commits that erased something.
pub(super) const ERASED: &str = "erased";
/// The value of [`ERASED`] at the end of the last scrub.
const SCRUBBED: &str = "scrubbed";

/// Zeros that fill one page, so that the smallest free page is used as well as parts of large ones.
const ZEROS: [u8; 4_000] = [0; 4_000];
/// Pages that one commit writes or frees.
const STEP_PAGES: u64 = 256;
/// Rows around which one commit writes leaves anew.
const STEP_REWRITES: usize = 64;
/// The size of a page in the file.
const PAGE_BYTES: u64 = 4_096;
/// The most bytes that one step may add to the file.
pub const SCRUB_STEP_BYTES: u64 = 2 * 1024 * 1024;
/// The number of rounds that fill the free pages: only the second reaches pages that the first round's commits freed.
const ROUNDS: u8 = 2;

/// A scrub in progress.
#[derive(Clone, Debug)]
pub struct Scrub {
    as_of: u64,
    rounds_left: u8,
    phase: Phase,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Writing leaves anew.
    Rewrite,
    /// Removing rows, those of an interrupted scrub first.
    Empty,
    /// Writing rows, from this key on.
    Fill(u64),
    Done,
}

impl Store {
    /// Begins a scrub, if anything was erased since the end of the last one.
    pub fn begin_scrub(&self) -> Result<Option<Scrub>, StoreError> {
        // A store in memory leaves nothing behind.
        if self.file.is_none() {
            return Ok(None);
        }
        let meta = self.db.begin_read()?.open_table(tables::META)?;
        let count = |key| Ok::<_, StoreError>(meta.get(key)?.map_or(0, |count| count.value()));
        let as_of = count(ERASED)?;
        let needed = count(SCRUBBED)? != as_of;
        Ok(needed.then_some(Scrub { as_of, rounds_left: ROUNDS, phase: Phase::Rewrite }))
    }

    /// Does one step of a scrub in one commit; returns whether more steps remain.
    pub fn scrub_step(&self, scrub: &mut Scrub) -> Result<bool, StoreError> {
        scrub.phase = match scrub.phase {
            Phase::Rewrite if self.rewrite_some()? => Phase::Rewrite,
            Phase::Rewrite => Phase::Empty,
            Phase::Empty if self.clear_some()? => Phase::Empty,
            Phase::Empty if scrub.rounds_left > 0 => {
                scrub.rounds_left -= 1;
                Phase::Fill(0)
            }
            Phase::Empty => {
                self.wipe_journal()?;
                super::write_transaction(&self.db, |transaction| {
                    transaction.open_table(tables::META)?.insert(SCRUBBED, scrub.as_of)?;
                    Ok(())
                })?;
                Phase::Done
            }
            Phase::Fill(next) => self.fill(next)?,
            Phase::Done => Phase::Done,
        };
        Ok(!matches!(scrub.phase, Phase::Done))
    }

    /// Writes the leaves around some erased rows anew; returns whether more remain.
    fn rewrite_some(&self) -> Result<bool, StoreError> {
        super::write_transaction(&self.db, |transaction| {
            let mut to_rewrite = transaction.open_table(tables::TO_REWRITE)?;
            for _ in 0..STEP_REWRITES {
                let Some((row, _)) = to_rewrite.pop_first()? else { break };
                let (table, key) = row.value();
                match table {
                    table if table == tables::LOG.name() => rewrite_leaf(transaction, tables::LOG, key)?,
                    table if table == tables::RECORDS.name() => {
                        rewrite_leaf(transaction, tables::RECORDS, key)?;
                    }
                    table if table == tables::INDEX.name() => rewrite_leaf(transaction, tables::INDEX, key)?,
                    other => return Err(StoreError::Corrupt(format!("no rows of {other} are erased"))),
                }
            }
            Ok(!to_rewrite.is_empty()?)
        })
    }

    fn fill(&self, next: u64) -> Result<Phase, StoreError> {
        let end = next + STEP_PAGES;
        super::write_transaction(&self.db, |transaction| {
            // Nothing else makes the file grow while this transaction is open.
            let before = self.file_bytes()?;
            let mut scratch = transaction.open_table(tables::SCRATCH)?;
            for key in next..end {
                scratch.insert(key, &ZEROS[..])?;
            }
            let is_full = self.file_bytes()? > before || end.saturating_mul(PAGE_BYTES) > before;
            Ok(if is_full { Phase::Empty } else { Phase::Fill(end) })
        })
    }

    /// Removes some rows of the scratch table; returns whether more remain.
    fn clear_some(&self) -> Result<bool, StoreError> {
        super::write_transaction(&self.db, |transaction| {
            let mut scratch = transaction.open_table(tables::SCRATCH)?;
            for _ in 0..STEP_PAGES {
                scratch.pop_first()?;
            }
            Ok(!scratch.is_empty()?)
        })
    }

    fn file_bytes(&self) -> Result<u64, StoreError> {
        let Some(file) = &self.file else { return Ok(0) };
        Ok(fs::metadata(file).map_err(redb::StorageError::Io)?.len())
    }
}

/// Writes the leaf anew in which a key is, or was: removes the rows next to it and inserts them again. (A removal from a
/// committed page copies the other rows; inserting an equally long value would copy the page as it is.)
fn rewrite_leaf<K: Key + 'static>(
    transaction: &WriteTransaction,
    table: TableDefinition<'_, K, &'static [u8]>,
    key: &[u8],
) -> Result<(), StoreError> {
    let mut table = transaction.open_table(table)?;
    let mut rows = Vec::new();
    let before = table.range(..=K::from_bytes(key))?.next_back();
    for row in before.into_iter().chain(table.range(K::from_bytes(key)..)?.next()) {
        let (key, value) = row?;
        rows.push((K::as_bytes(&key.value()).as_ref().to_vec(), value.value().to_vec()));
    }
    for (key, value) in rows {
        table.remove(K::from_bytes(&key))?;
        table.insert(K::from_bytes(&key), &value[..])?;
    }
    Ok(())
}
