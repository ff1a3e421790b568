//! A virtual disk for the real store: what was not synced may be lost in a crash, whole or in part, writing can be made
//! to fail at any point of a commit, and one sync can fail. An earlier state of it can be put back.

use std::{
    collections::BTreeSet,
    io,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard},
};

use rand::{RngExt, rngs::StdRng};
use redb::StorageBackend;

/// The size of the smallest part that can rot.
const SECTOR_BYTES: usize = 4_096;

#[derive(Debug, Default)]
struct Contents {
    /// The bytes that survive a crash.
    durable: Vec<u8>,
    /// The bytes that the process reads.
    visible: Vec<u8>,
    /// Written since the last sync.
    unsynced: Vec<Range<usize>>,
    /// Writes and syncs that still succeed; `None` is all of them.
    left: Option<u32>,
    /// The next sync fails.
    sync_fails: bool,
    /// A sync has failed, and the process knows it.
    sync_failed: bool,
    /// Sectors that cannot be read until they are written again.
    rotten: BTreeSet<usize>,
    /// A read has failed since the start of the process.
    read_failed: bool,
    /// Dirty when a sync failed: the kernel takes these pages for clean, so no later sync writes them.
    dropped: Vec<Range<usize>>,
    bug: Option<DiskBug>,
    /// The bytes that were written since the last crash.
    written_bytes: u64,
}

/// A bug that can be planted in a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskBug {
    /// A sync does nothing and succeeds.
    SyncSkipped,
    /// A failed sync is tried again, and the second one succeeds.
    SyncRetried,
}

/// A disk; clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct Disk(Arc<Mutex<Contents>>);

/// A copy of a disk at some moment.
#[derive(Debug)]
pub struct Image(Vec<u8>);

impl Disk {
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

    /// Lets some sectors rot: they cannot be read, also after a crash, until they are written again.
    pub fn rot(&self, sectors: usize, rng: &mut StdRng) {
        let mut contents = self.contents();
        let count = contents.visible.len() / SECTOR_BYTES;
        contents.rotten.extend((0..sectors.min(count)).map(|_| rng.random_range(0..count)));
    }

    /// Whether some sector cannot be read.
    pub fn is_rotten(&self) -> bool {
        !self.contents().rotten.is_empty()
    }

    /// Whether a read has failed since the start of the process.
    pub fn read_has_failed(&self) -> bool {
        self.contents().read_failed
    }

    /// Reading and writing work again.
    pub fn repair(&self) {
        let mut contents = self.contents();
        (contents.left, contents.sync_fails) = (None, false);
        contents.rotten.clear();
    }

    /// Whether anything has failed or is about to.
    pub fn is_failing(&self) -> bool {
        let contents = self.contents();
        contents.left.is_some() || contents.sync_fails || contents.sync_failed || !contents.rotten.is_empty()
    }

    /// The part that a power cut would leave for certain.
    pub fn image(&self) -> Image {
        Image(self.contents().durable.clone())
    }

    /// A disk that holds what another held earlier.
    #[must_use]
    pub fn restored(&self, image: &Image) -> Self {
        let bug = self.contents().bug;
        let (durable, visible) = (image.0.clone(), image.0.clone());
        Self(Arc::new(Mutex::new(Contents { durable, visible, bug, ..Contents::default() })))
    }

    /// The machine loses power: of what was not synced, any part may have reached the disk. Gives the disk as the
    /// next start finds it; the dead process can no longer write to it.
    #[must_use]
    pub fn crash(&self, rng: &mut StdRng) -> Self {
        let mut contents = self.contents();
        contents.left = Some(0);
        let mut durable = std::mem::take(&mut contents.durable);
        if rng.random_bool(0.5) && contents.bug != Some(DiskBug::SyncSkipped) {
            durable.resize(contents.visible.len().max(durable.len()), 0);
            let unsure = contents.unsynced.iter().chain(&contents.dropped);
            for range in unsure.filter(|range| range.end <= contents.visible.len()) {
                if rng.random_bool(0.5) {
                    durable[range.clone()].copy_from_slice(&contents.visible[range.clone()]);
                }
            }
        }
        let (bug, rotten) = (contents.bug, std::mem::take(&mut contents.rotten));
        let after = Contents { visible: durable.clone(), durable, bug, rotten, ..Contents::default() };
        Self(Arc::new(Mutex::new(after)))
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
        Ok(self.contents().visible.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let mut contents = self.contents();
        let range = range(offset, out.len());
        if contents.rotten.range(sectors(&range)).next().is_some() {
            contents.read_failed = true;
            return Err(io::Error::other("the virtual disk cannot read a sector"));
        }
        out.copy_from_slice(&contents.visible[range]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        let mut contents = self.contents();
        contents.spend()?;
        contents.visible.resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        let mut contents = self.contents();
        contents.spend()?;
        let Contents { durable, visible, unsynced, sync_fails, sync_failed, dropped, bug, .. } =
            &mut *contents;
        if std::mem::take(sync_fails) {
            dropped.append(unsynced);
            if *bug != Some(DiskBug::SyncRetried) {
                *sync_failed = true;
                return Err(io::Error::other("the virtual disk could not sync"));
            }
        }
        if *bug == Some(DiskBug::SyncSkipped) {
            return Ok(());
        }
        durable.resize(visible.len(), 0);
        for range in unsynced.drain(..) {
            // Written, then cut off by a shorter length.
            let range = range.start.min(visible.len())..range.end.min(visible.len());
            durable[range.clone()].copy_from_slice(&visible[range]);
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        let mut contents = self.contents();
        contents.spend()?;
        let range = range(offset, data.len());
        contents.visible[range.clone()].copy_from_slice(data);
        let written = sectors(&range);
        contents.rotten.retain(|sector| !written.contains(sector));
        contents.unsynced.push(range);
        contents.written_bytes += data.len() as u64;
        Ok(())
    }
}
