//! How a socket in the data directory is named to the kernel, which takes about 100 bytes: a directory may have a longer
//! path.

use std::{
    ffi::OsStr,
    fs::File,
    io,
    os::{fd::AsRawFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
};

/// Bytes that the kernel takes, at most: `sun_path` has 108 on Linux and 104 on BSD, with a zero at its end.
const BYTES_MAX: usize = 103;

/// A path that is short enough; it is valid as long as this lives.
#[derive(Debug)]
pub(super) struct SocketPath {
    path: PathBuf,
    /// The directory, through which a long path is shortened.
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
        // Only Linux has it. Elsewhere the kernel would only say that the path is wrong.
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
