//! Tests of the journal's file: what is read back after a crash at any point, and what is refused.

use std::sync::{Arc, Mutex};

use super::*;

/// A file in memory that tests can damage.
#[derive(Clone, Debug, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl StorageBackend for Memory {
    fn len(&self) -> std::io::Result<u64> {
        Ok(self.0.lock().unwrap().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        let at = usize::try_from(offset).unwrap();
        out.copy_from_slice(&self.0.lock().unwrap()[at..at + out.len()]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.0.lock().unwrap().resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn sync_data(&self) -> std::io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        let at = usize::try_from(offset).unwrap();
        self.0.lock().unwrap()[at..at + data.len()].copy_from_slice(data);
        Ok(())
    }
}

impl Memory {
    fn open(&self, epoch: u64) -> Result<(Journal, Vec<Vec<Bytes>>), JournalError> {
        let (journal, tail) = Journal::open(Box::new(self.clone()), Start { epoch, key: Some(7) })?;
        Ok((journal, tail.batches(1).collect()))
    }

    fn damage(&self, at: usize) {
        self.0.lock().unwrap()[at] ^= 0x40;
    }
}

fn events(number: u8) -> Vec<Bytes> {
    vec![Bytes::from(vec![number; 100]), Bytes::from(vec![number; usize::from(number)])]
}

/// A file with two records, and one of the epoch that followed.
fn two_epochs() -> Memory {
    let file = Memory::default();
    let (mut journal, _) = file.open(0).unwrap();
    journal.append(&events(1)).unwrap();
    journal.append(&events(2)).unwrap();
    journal.begin_epoch();
    journal.append(&events(3)).unwrap();
    file
}

/// Promise 1: what was synced is read back, in order, commit by commit.
#[test]
fn records_are_read_back_in_order() {
    let file = Memory::default();
    let (mut journal, tail) = file.open(0).unwrap();
    assert!(tail.is_empty() && journal.is_empty());
    for number in 1..9 {
        assert!(journal.append(&events(number)).unwrap());
    }
    let (mut journal, tail) = file.open(0).unwrap();
    assert_eq!(tail, (1..9).map(events).collect::<Vec<_>>());
    assert!(journal.append(&events(9)).unwrap(), "the next process goes on behind them");
    assert_eq!(file.open(0).unwrap().1, (1..10).map(events).collect::<Vec<_>>());
}

/// Promise 1: a record that was cut short by a crash was never acked, and is left out.
#[test]
fn a_torn_last_record_is_left_out() {
    let file = Memory::default();
    let (mut journal, _) = file.open(0).unwrap();
    journal.append(&events(1)).unwrap();
    let second = usize::try_from(journal.position).unwrap();
    journal.append(&events(2)).unwrap();
    let end = usize::try_from(journal.position).unwrap();
    let whole = file.0.lock().unwrap().clone();
    // The last bytes of a record are padding.
    for at in second..second + HEADER_BYTES + 4 + 100 + 4 + 2 {
        assert!(at < end);
        *file.0.lock().unwrap() = whole.clone();
        file.damage(at);
        let (mut journal, tail) = file.open(0).unwrap();
        assert_eq!(tail, [events(1)], "byte {at}");
        journal.append(&events(3)).unwrap();
        assert_eq!(file.open(0).unwrap().1, [events(1), events(3)], "byte {at}");
    }
}

/// Promise 15: a record that later ones follow was durable: its loss is said, and nothing behind it is left out silently.
#[test]
fn a_damaged_record_before_others_is_an_error() {
    let file = Memory::default();
    let (mut journal, _) = file.open(0).unwrap();
    let starts: Vec<_> = (1..5)
        .map(|number| {
            let start = journal.position;
            journal.append(&events(number)).unwrap();
            start
        })
        .collect();
    for start in &starts[..3] {
        for at in [0, 8, 16, 24, 30, HEADER_BYTES + 50] {
            let at = usize::try_from(*start).unwrap() + at;
            file.damage(at);
            let error = file.open(0).unwrap_err();
            assert!(error.to_string().contains("journal"), "{error}");
            file.damage(at);
        }
    }
    assert_eq!(file.open(0).unwrap().1.len(), 4);
}

/// Promise 1: records of an earlier epoch are in the store, and never taken for those of the present one.
#[test]
fn an_epoch_begins_empty() {
    let file = Memory::default();
    let (mut journal, _) = file.open(0).unwrap();
    for number in 1..6 {
        journal.append(&events(number)).unwrap();
    }
    journal.begin_epoch();
    assert!(file.open(1).unwrap().1.is_empty());
    journal.append(&events(6)).unwrap();
    assert_eq!(file.open(1).unwrap().1, [events(6)]);
}

/// An earlier copy of the store in the place of a later one starts, as after any rollback: peers bring what it lacks.
#[test]
fn the_journal_of_a_later_state_is_emptied() {
    let file = two_epochs();
    let (mut rolled_back, tail) = file.open(0).unwrap();
    assert!(tail.is_empty());
    rolled_back.append(&events(4)).unwrap();
    assert_eq!(file.open(0).unwrap().1, [events(4)]);
}

/// A commit that has no room is refused, so that it becomes a checkpoint; and the file has a greatest length.
#[test]
fn a_full_journal_takes_no_more() {
    let file = Memory::default();
    let (mut journal, _) = file.open(0).unwrap();
    let large = || vec![Bytes::from(vec![1; 6_000])];
    assert!(journal.append(&large()).unwrap() && !journal.is_full());
    assert!(journal.append(&large()).unwrap() && journal.is_full());
    assert!(!journal.append(&large()).unwrap());
    assert_eq!(file.open(0).unwrap().1.len(), 2, "what didn't fit was not begun");
    journal.begin_epoch();
    assert!(journal.append(&large()).unwrap());
    assert!(file.len().unwrap() <= BYTES_MAX.max(GROW_BYTES));
}

/// Erased text is gone from the journal, too.
#[test]
fn a_wiped_journal_holds_nothing() {
    let file = two_epochs();
    let (mut journal, _) = file.open(1).unwrap();
    journal.begin_epoch();
    journal.wipe().unwrap();
    assert!(file.0.lock().unwrap().iter().all(|&byte| byte == 0));
}
