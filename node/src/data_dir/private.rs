//! Files that nobody but the node's own user can open, whatever the umask is.

use std::{
    fs::{self, DirBuilder, File, Metadata, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// Permissions of everybody but the owner.
const OTHERS: u32 = 0o077;
/// What is named of the files that were open, at most.
const NAMED_MAX: usize = 5;

/// Makes a file that only its owner can open, to be read and written. It must not be there yet.
pub fn create_file(path: &Path) -> io::Result<File> {
    let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(path)?;
    // The umask may have taken more than it should.
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

/// Makes a directory that only its owner can use, if it is missing.
pub(super) fn create_dir(path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(0o700)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// What was found when a directory was closed to other users.
#[derive(Debug, Default)]
pub struct Tightened {
    /// Whether others could enter or list the directory itself: if not, nothing in it was within their reach.
    pub was_open: bool,
    /// What others could use, with its permissions in octal, as `starling.redb (0644)`.
    pub open: Vec<String>,
    /// What could not be closed, and why.
    pub failed: Vec<String>,
}

impl Tightened {
    /// A list for a log line, cut if it is long.
    pub fn list(names: &[String]) -> String {
        let more = names.len().saturating_sub(NAMED_MAX);
        let list = names[..names.len() - more].join(", ");
        if more == 0 { list } else { format!("{list} and {more} more") }
    }
}

/// Closes a directory and all in it to other users. What links lead to is left alone: it may be anybody's.
pub(super) fn tighten(dir: &Path) -> io::Result<Tightened> {
    let mut found = Tightened::default();
    let metadata = fs::symlink_metadata(dir)?;
    // The directory itself may be reached by a link.
    let metadata = if metadata.is_symlink() { fs::metadata(dir)? } else { metadata };
    found.was_open = metadata.permissions().mode() & OTHERS != 0;
    close(dir, dir, &metadata, &mut found);
    let mut dirs = vec![dir.to_owned()];
    while let Some(within) = dirs.pop() {
        let entries = match fs::read_dir(&within) {
            Ok(entries) => entries,
            Err(error) => {
                found.failed.push(format!("{} ({error})", name(dir, &within)));
                continue;
            }
        };
        for entry in entries {
            let path = entry?.path();
            // A temporary file may go at any time.
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            // What file systems put into the root of a volume is root's.
            if metadata.is_symlink() || path.ends_with(super::LOST_AND_FOUND) {
                continue;
            }
            close(dir, &path, &metadata, &mut found);
            if metadata.is_dir() {
                dirs.push(path);
            }
        }
    }
    Ok(found)
}

fn close(dir: &Path, path: &Path, metadata: &Metadata, found: &mut Tightened) {
    let mode = metadata.permissions().mode();
    if mode & OTHERS == 0 {
        return;
    }
    let named = format!("{} ({:04o})", name(dir, path), mode & 0o7777);
    // Files are not run.
    let closed = if metadata.is_dir() { mode & !OTHERS } else { mode & 0o600 };
    if let Err(error) = fs::set_permissions(path, Permissions::from_mode(closed)) {
        found.failed.push(format!("{} ({error})", name(dir, path)));
    }
    found.open.push(named);
}

/// How a path is named to the operator: as it lies in the directory.
fn name(dir: &Path, path: &Path) -> String {
    let within: PathBuf = path.strip_prefix(dir).unwrap_or(path).into();
    if within.as_os_str().is_empty() { dir.display().to_string() } else { within.display().to_string() }
}
