//! The file of a journal on a real disk.

use std::{fs::File, io};

use redb::{DatabaseError, StorageBackend, backends::FileBackend};

/// The size of a page in the kernel's cache.
const PAGE_BYTES: usize = 4_096;

/// A file that is written page by page. The kernel keeps what one call writes in one large folio where it can, and a later sync
/// of a few bytes in it counts, and may write, all of it: 64 KiB for each small commit, measured on Linux 6.18 with ext4.
#[derive(Debug)]
pub struct JournalFile(FileBackend);

impl JournalFile {
    /// Locks the file.
    pub fn new(file: File) -> Result<Self, DatabaseError> {
        FileBackend::new(file).map(Self)
    }
}

impl StorageBackend for JournalFile {
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
        self.0.sync_data()
    }

    fn write(&self, mut offset: u64, mut data: &[u8]) -> io::Result<()> {
        while !data.is_empty() {
            let in_page = usize::try_from(offset).unwrap_or_default() % PAGE_BYTES;
            let (page, rest) = data.split_at(data.len().min(PAGE_BYTES - in_page));
            self.0.write(offset, page)?;
            offset += page.len() as u64;
            data = rest;
        }
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.0.close()
    }
}
