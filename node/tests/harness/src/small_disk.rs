//! A small disk of its own for a node's data, to be filled by something else and freed again: a tmpfs with a filler file.
//! Mounting needs root; it is unmounted when the disk is dropped, also by a failing test.

use std::ffi::CString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// The file that fills the disk, beside the node's data.
const FILLER: &str = "filler";

pub struct SmallDisk {
    at: PathBuf,
}

impl SmallDisk {
    /// Makes the folder and mounts a disk of so many MiB there; says why if that cannot be.
    pub fn mount(at: PathBuf, mib: u64) -> Result<Self, String> {
        fs::create_dir(&at).expect("a folder can be made");
        let options = CString::new(format!("size={mib}m,mode=0700")).expect("no NUL in it");
        mount("tmpfs", &at, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, options.as_c_str())
            .map_err(|error| format!("a tmpfs cannot be mounted: {error}"))?;
        Ok(Self { at })
    }

    pub fn path(&self) -> &Path {
        &self.at
    }

    pub fn free_bytes(&self) -> u64 {
        let disk = statvfs(&self.at).expect("a mounted disk says how full it is");
        disk.f_bavail * disk.f_frsize
    }

    /// Lets the filler grow until only so many bytes are free; it never shrinks by this.
    pub fn fill_to(&self, free: u64) {
        let filler =
            File::options().create(true).append(true).open(self.at.join(FILLER)).expect("a file can be made");
        let length = filler.metadata().expect("an open file has a length").len();
        let grow = self.free_bytes().saturating_sub(free);
        if grow > 0 {
            // The node writes too: what was free a moment ago may be taken.
            let _ = fallocate(&filler, FallocateFlags::empty(), length, grow);
        }
    }

    /// Removes the filler.
    pub fn free(&self) {
        let _ = fs::remove_file(self.at.join(FILLER));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if let Err(error) = unmount(&self.at, UnmountFlags::DETACH) {
            eprintln!("cannot unmount {}: {error}", self.at.display());
        }
    }
}
