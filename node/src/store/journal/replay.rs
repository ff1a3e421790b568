//! Reads the journal at the open of a store: the records that follow the last checkpoint.

use bytes::Bytes;
use redb::StorageBackend;

use super::{
    ALIGN, BYTES_MAX, Journal, JournalError, Start,
    record::{self, Key},
};

/// The events that the store may lack.
#[derive(Debug)]
pub struct Tail {
    /// The events of each commit since the last checkpoint, in order.
    commits: Vec<Vec<Bytes>>,
}

impl Journal {
    /// Opens the journal of a store, as of its last checkpoint.
    ///
    /// # Errors
    /// The file cannot be read, or a record is damaged that was whole once.
    pub fn open(
        file: Box<dyn StorageBackend>,
        Start { epoch, key }: Start,
    ) -> Result<(Self, Tail), JournalError> {
        let length = file.len()?;
        let read = usize::try_from(length.min(BYTES_MAX)).unwrap_or_default();
        let mut bytes = vec![0; read];
        file.read(0, &mut bytes)?;
        let (bytes, mut at, mut commits) = (Bytes::from(bytes), 0, Vec::new());
        // Nothing was ever written without a key.
        let checksum_key = key.unwrap_or_default();
        while let Some(record) = record::decode(&bytes, at, checksum_key)
            && (record.header.epoch, record.header.index) == (epoch, commits.len() as u64)
        {
            at += record.bytes;
            commits.push(record.events);
        }
        let (index, position) = (commits.len() as u64, at as u64);
        let mut journal =
            Self { file, key, epoch, index, position, used: length, length, record: Vec::new() };
        match what_follows(&bytes, at, (epoch, index), checksum_key) {
            Follows::Nothing => {}
            Follows::LaterRecord => return Err(JournalError::Damaged(index)),
            Follows::LaterEpoch => {
                tracing::warn!(
                    "the journal was written after this copy of the store was made: it is emptied, and peers bring what this \
                     node lacks"
                );
                (journal.index, journal.position) = (0, 0);
                commits.clear();
                journal.wipe()?;
            }
        }
        Ok((journal, Tail { commits }))
    }
}

/// The records behind the last that continues the epoch.
enum Follows {
    /// Remains of earlier epochs at most. The last record may have been cut short by a crash, and was never acked then.
    Nothing,
    /// A later record of the epoch. Each is synced before the next is written, so an earlier one was whole and is damaged.
    LaterRecord,
    /// A record of a later epoch: the store is an earlier copy, put in the place of the one that the journal belongs to.
    LaterEpoch,
}

fn what_follows(bytes: &Bytes, end: usize, (epoch, next): (u64, u64), key: Key) -> Follows {
    let mut follows = Follows::Nothing;
    for at in (end..bytes.len()).step_by(ALIGN) {
        match record::decode(bytes, at, key).map(|record| record.header) {
            Some(header) if header.epoch > epoch => return Follows::LaterEpoch,
            Some(header) if header.epoch == epoch && header.index > next => follows = Follows::LaterRecord,
            _ => {}
        }
    }
    follows
}

impl Tail {
    /// The number of commits.
    pub fn commits(&self) -> usize {
        self.commits.len()
    }

    /// Splits the events into batches of about `most`.
    pub fn batches(self, most: usize) -> impl Iterator<Item = Vec<Bytes>> {
        let mut commits = self.commits.into_iter();
        std::iter::from_fn(move || {
            let mut batch: Vec<Bytes> = Vec::new();
            for events in commits.by_ref() {
                batch.extend(events);
                if batch.len() >= most {
                    break;
                }
            }
            (!batch.is_empty()).then_some(batch)
        })
    }
}
