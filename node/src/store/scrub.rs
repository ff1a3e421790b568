//! Removes erased content from the file, too. redb never overwrites a page in place, so the text of a deleted message
//! stays in free pages. A scrub writes zeros into a scratch table until the file has to grow for them: then they have
//! taken every free page. It works in small commits, so that posts hardly wait.

use std::fs;

use redb::{ReadableDatabase, ReadableTableMetadata};

use super::{Store, StoreError, tables};

/// Counts the commits that erased something.
pub(super) const ERASED: &str = "erased";
/// The value of [`ERASED`] at the end of the last scrub.
const SCRUBBED: &str = "scrubbed";

/// Zeros that fill one page, so that the smallest free page is used as well as parts of large ones.
const ZEROS: [u8; 4_000] = [0; 4_000];
/// Pages that one commit writes or frees.
const STEP_PAGES: u64 = 256;
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
        Ok(needed.then_some(Scrub { as_of, rounds_left: ROUNDS, phase: Phase::Empty }))
    }

    /// Does one step of a scrub in one commit; returns whether more steps remain.
    pub fn scrub_step(&self, scrub: &mut Scrub) -> Result<bool, StoreError> {
        scrub.phase = match scrub.phase {
            Phase::Empty if !self.clear_some()? => Phase::Empty,
            Phase::Empty if scrub.rounds_left > 0 => {
                scrub.rounds_left -= 1;
                Phase::Fill(0)
            }
            Phase::Empty => {
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

    /// Removes some rows; returns whether none is left.
    fn clear_some(&self) -> Result<bool, StoreError> {
        super::write_transaction(&self.db, |transaction| {
            let mut scratch = transaction.open_table(tables::SCRATCH)?;
            for _ in 0..STEP_PAGES {
                scratch.pop_first()?;
            }
            Ok(scratch.is_empty()?)
        })
    }

    fn file_bytes(&self) -> Result<u64, StoreError> {
        let Some(file) = &self.file else { return Ok(0) };
        Ok(fs::metadata(file).map_err(redb::StorageError::Io)?.len())
    }
}
