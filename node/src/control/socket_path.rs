//! Short paths for sockets in the data directory: the kernel takes about 100 bytes, and the path of a directory may be
//! longer.

use std::{
    ffi::OsStr,
    fs::File,
    io,
    os::{fd::AsRawFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
};

/// Bytes in a path of a socket, at most: `sun_path` has 108 on Linux and 104 on BSD, with a zero at its end.
const BYTES_MAX: usize = 103;

/// A path that is short enough, valid until this is dropped.
#[derive(Debug)]
pub(super) struct SocketPath {
    path: PathBuf,
    /// The open directory through which a long path is shortened.
    _dir: Option<File>,
}

impl SocketPath {
    /// The path itself, or one through an open directory (`/proc/self/fd/N/NAME`) if it is too long.
    pub(super) fn new(dir: &Path, name: &str) -> io::Result<Self> {
        let path = dir.join(name);
        if OsStr::as_bytes(path.as_os_str()).len() <= BYTES_MAX {
            return Ok(Self { path, _dir: None });
        }
        let dir = File::open(dir)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd()));
        // Only Linux has it. Elsewhere the kernel's own error would not say what is wrong.
        if !path.exists() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidFilename,
                "the path of the data directory is too long for a socket; choose a shorter one",
            ));
        }
        Ok(Self { path: path.join(name), _dir: Some(dir) })
    }
}

impl AsRef<Path> for SocketPath {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}
