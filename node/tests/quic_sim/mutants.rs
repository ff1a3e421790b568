//! Bugs planted around the node, to see that they are found. The node itself has no hooks: to see a check of its inside
//! fail, break its source by hand.

use std::io;

use redb::StorageBackend;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// The disk confirms a sync of writes that are only in its cache.
    DiskForgets,
    /// After the first links, no connection can be opened.
    NobodyDialsAgain,
    /// Presence outlives its session.
    LeaseOutlivesSession,
}

impl Mutant {
    pub const ALL: [Self; 3] = [Self::DiskForgets, Self::NobodyDialsAgain, Self::LeaseOutlivesSession];
}

/// Confirms syncs without doing them.
#[derive(Debug)]
pub struct ForgetfulFile<T>(pub T);

impl<T: StorageBackend> StorageBackend for ForgetfulFile<T> {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}
