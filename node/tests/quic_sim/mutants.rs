//! Bugs planted around the node, to see that they are found. The node itself knows of no mutants: a check of what it
//! does inside is seen to fail once by breaking its source by hand.

use std::io;

use redb::StorageBackend;

use harness::disk::Disk;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// The disk says that it has synced what is only in its cache.
    DiskForgets,
    /// Once all were linked, no connection is opened any more.
    NobodyDialsAgain,
    /// A session ends, and its presence does not.
    LeaseOutlivesSession,
}

impl Mutant {
    pub const ALL: [Self; 3] = [Self::DiskForgets, Self::NobodyDialsAgain, Self::LeaseOutlivesSession];
}

/// Never syncs, and says that it has.
#[derive(Debug)]
pub struct ForgetfulDisk(pub Disk);

impl StorageBackend for ForgetfulDisk {
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
