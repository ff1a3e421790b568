//! A virtual disk for the real store: what was not synced may be lost in a crash, whole or in part, writing can be made
//! to fail at any point of a commit, and one sync can fail. An earlier state of it can be put back.

use std::{
    collections::BTreeSet,
    io, mem,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard},
};

use rand::{RngExt, rngs::StdRng};
use redb::StorageBackend;

/// The size of the smallest part that can rot.
const SECTOR_BYTES: usize = 4_096;

/// One file of a disk.
#[derive(Debug, Default)]
struct Content {
    /// The bytes that survive a crash.
    durable: Vec<u8>,
    /// The bytes that the process reads.
    visible: Vec<u8>,
    /// Written since the last sync.
    unsynced: Vec<Range<usize>>,
    /// Sectors that cannot be read until they are written again.
    rotten: BTreeSet<usize>,
    /// Dirty when a sync failed: the kernel takes these pages for clean, so no later sync writes them.
    dropped: Vec<Range<usize>>,
}

#[derive(Debug, Default)]
struct Contents {
    store: Content,
    journal: Content,
    /// Writes and syncs that still succeed; `None` is all of them.
    left: Option<u32>,
    /// The next sync fails.
    sync_fails: bool,
    /// A sync has failed, and the process knows it.
    sync_failed: bool,
    /// A read has failed since the start of the process.
    read_failed: bool,
    bug: Option<DiskBug>,
    /// The bytes that were written since the last crash.
    written_bytes: u64,
}

/// A bug that can be planted in a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskBug {
    /// A sync does nothing and succeeds.
    SyncSkipped,
    /// A sync of the journal does nothing and succeeds.
    JournalSyncSkipped,
    /// A failed sync is tried again, and the second one succeeds.
    SyncRetried,
}

/// A disk; clones are the same disk. As a backend it is the file of the store.
#[derive(Clone, Debug, Default)]
pub struct Disk(Arc<Mutex<Contents>>);

/// The file of the journal on a disk.
#[derive(Clone, Debug)]
pub struct JournalFile(Disk);

/// A copy of a disk at some moment.
#[derive(Debug)]
pub struct Image {
    store: Vec<u8>,
    journal: Vec<u8>,
}

impl Disk {
    /// The file of the journal.
    #[must_use]
    pub fn journal(&self) -> JournalFile {
        JournalFile(self.clone())
    }

    /// The bytes that were written to it since the last crash.
    pub fn written_bytes(&self) -> u64 {
        self.contents().written_bytes
    }

    /// Returns an empty disk, with a planted bug if one is given.
    pub fn new(bug: Option<DiskBug>) -> Self {
        Self(Arc::new(Mutex::new(Contents { bug, ..Contents::default() })))
    }

    /// Makes the next sync fail; those after it succeed.
    pub fn fail_next_sync(&self) {
        self.contents().sync_fails = true;
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap()
    }

    /// Makes writing fail after `writes` more writes and syncs.
    pub fn fail_after(&self, writes: u32) {
        self.contents().left = Some(writes);
    }

    /// Lets some sectors of the store rot: they cannot be read, also after a crash, until they are written again.
    pub fn rot(&self, sectors: usize, rng: &mut StdRng) {
        let store = &mut self.contents().store;
        let count = store.visible.len() / SECTOR_BYTES;
        store.rotten.extend((0..sectors.min(count)).map(|_| rng.random_range(0..count)));
    }

    /// Whether some sector cannot be read.
    pub fn is_rotten(&self) -> bool {
        !self.contents().store.rotten.is_empty()
    }

    /// Whether a read has failed since the start of the process.
    pub fn read_has_failed(&self) -> bool {
        self.contents().read_failed
    }

    /// Reading and writing work again.
    pub fn repair(&self) {
        let mut contents = self.contents();
        (contents.left, contents.sync_fails) = (None, false);
        contents.store.rotten.clear();
    }

    /// Whether anything has failed or is about to.
    pub fn is_failing(&self) -> bool {
        let contents = self.contents();
        let fails = contents.left.is_some() || contents.sync_fails || contents.sync_failed;
        fails || !contents.store.rotten.is_empty()
    }

    /// The part that a power cut would leave for certain.
    pub fn image(&self) -> Image {
        let contents = self.contents();
        Image { store: contents.store.durable.clone(), journal: contents.journal.durable.clone() }
    }

    /// A disk that holds what another held earlier.
    #[must_use]
    pub fn restored(&self, image: &Image) -> Self {
        let bug = self.contents().bug;
        let (store, journal) = (Content::of(image.store.clone()), Content::of(image.journal.clone()));
        Self(Arc::new(Mutex::new(Contents { store, journal, bug, ..Contents::default() })))
    }

    /// For a planted bug: empties the journal, which may hold what the store lacks.
    pub fn empty_journal(&self) {
        let journal = &mut self.contents().journal;
        journal.visible.fill(0);
        journal.durable.fill(0);
    }

    /// The machine loses power: of what was not synced, any part may have reached the disk. Gives the disk as the
    /// next start finds it; the dead process can no longer write to it.
    #[must_use]
    pub fn crash(&self, rng: &mut StdRng) -> Self {
        let mut contents = self.contents();
        contents.left = Some(0);
        let bug = contents.bug;
        let keeps_some = rng.random_bool(0.5) && bug != Some(DiskBug::SyncSkipped);
        let (store, journal) =
            (contents.store.crash(keeps_some, rng), contents.journal.crash(keeps_some, rng));
        Self(Arc::new(Mutex::new(Contents { store, journal, bug, ..Contents::default() })))
    }
}

impl Content {
    /// A file that holds this and nothing else.
    fn of(bytes: Vec<u8>) -> Self {
        Self { visible: bytes.clone(), durable: bytes, ..Self::default() }
    }

    /// The file after a loss of power; `keeps_some` is whether any part that was not synced is on the disk.
    fn crash(&mut self, keeps_some: bool, rng: &mut StdRng) -> Self {
        let mut durable = mem::take(&mut self.durable);
        if keeps_some {
            durable.resize(self.visible.len().max(durable.len()), 0);
            let unsure = self.unsynced.iter().chain(&self.dropped);
            for range in unsure.filter(|range| range.end <= self.visible.len()) {
                // A write may reach the disk in part: sectors are whole.
                for sector in sectors(range).filter(|_| rng.random_bool(0.5)) {
                    let sector = sector * SECTOR_BYTES..(sector + 1) * SECTOR_BYTES;
                    let part = sector.start.max(range.start)..sector.end.min(range.end);
                    durable[part.clone()].copy_from_slice(&self.visible[part]);
                }
            }
        }
        Self { rotten: mem::take(&mut self.rotten), ..Self::of(durable) }
    }

    fn read(&self, range: Range<usize>, out: &mut [u8]) -> Result<(), io::Error> {
        if self.rotten.range(sectors(&range)).next().is_some() {
            return Err(io::Error::other("the virtual disk cannot read a sector"));
        }
        out.copy_from_slice(&self.visible[range]);
        Ok(())
    }

    fn write(&mut self, range: Range<usize>, data: &[u8]) {
        self.visible[range.clone()].copy_from_slice(data);
        let written = sectors(&range);
        self.rotten.retain(|sector| !written.contains(sector));
        self.unsynced.push(range);
    }

    fn sync(&mut self) {
        let Self { durable, visible, unsynced, .. } = self;
        durable.resize(visible.len(), 0);
        for range in unsynced.drain(..) {
            // Written, then cut off by a shorter length.
            let range = range.start.min(visible.len())..range.end.min(visible.len());
            durable[range.clone()].copy_from_slice(&visible[range]);
        }
    }
}

impl Contents {
    fn spend(&mut self) -> Result<(), io::Error> {
        match &mut self.left {
            Some(0) => Err(io::Error::other("the virtual disk fails")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Syncs a file, unless the sync is to fail or does nothing.
    fn sync(&mut self, file: fn(&mut Self) -> &mut Content, skipped: &[DiskBug]) -> Result<(), io::Error> {
        self.spend()?;
        if mem::take(&mut self.sync_fails) {
            let file = file(self);
            let unsynced = mem::take(&mut file.unsynced);
            file.dropped.extend(unsynced);
            if self.bug != Some(DiskBug::SyncRetried) {
                self.sync_failed = true;
                return Err(io::Error::other("the virtual disk could not sync"));
            }
        }
        if !self.bug.is_some_and(|bug| skipped.contains(&bug)) {
            file(self).sync();
        }
        Ok(())
    }

    fn write(
        &mut self,
        file: fn(&mut Self) -> &mut Content,
        offset: u64,
        data: &[u8],
    ) -> Result<(), io::Error> {
        self.spend()?;
        file(self).write(range(offset, data.len()), data);
        self.written_bytes += data.len() as u64;
        Ok(())
    }
}

fn range(offset: u64, len: usize) -> Range<usize> {
    let start = usize::try_from(offset).unwrap();
    start..start + len
}

/// The sectors that a range touches.
fn sectors(range: &Range<usize>) -> Range<usize> {
    range.start / SECTOR_BYTES..range.end.div_ceil(SECTOR_BYTES)
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.contents().store.visible.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let mut contents = self.contents();
        let read = contents.store.read(range(offset, out.len()), out);
        contents.read_failed |= read.is_err();
        read
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        let mut contents = self.contents();
        contents.spend()?;
        contents.store.visible.resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.contents().sync(|disk| &mut disk.store, &[DiskBug::SyncSkipped])
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.contents().write(|disk| &mut disk.store, offset, data)
    }
}

impl StorageBackend for JournalFile {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.0.contents().journal.visible.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.0.contents().journal.read(range(offset, out.len()), out)
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        let mut contents = self.0.contents();
        contents.spend()?;
        contents.journal.visible.resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        let skipped = [DiskBug::SyncSkipped, DiskBug::JournalSyncSkipped];
        self.0.contents().sync(|disk| &mut disk.journal, &skipped)
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.0.contents().write(|disk| &mut disk.journal, offset, data)
    }
}
