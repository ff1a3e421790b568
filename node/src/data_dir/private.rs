//! Files that only the node's own user can open, whatever the umask is.

use std::{
    fs::{self, DirBuilder, File, Metadata, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// Permission bits of everybody but the owner.
const OTHERS: u32 = 0o077;
/// Files named in one log line, at most.
const NAMED_MAX: usize = 5;

/// Makes a file that only its owner can open, for reading and writing. Fails if it exists.
pub fn create_file(path: &Path) -> io::Result<File> {
    let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(path)?;
    // The umask may have removed too much.
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

/// The findings of closing a directory to other users.
#[derive(Debug, Default)]
pub struct Tightened {
    /// Whether others could enter or list the directory itself; if not, they could reach nothing in it.
    pub was_open: bool,
    /// Files that others could use, with their permissions in octal, such as `starling.redb (0644)`.
    pub open: Vec<String>,
    /// Files that could not be closed, and why.
    pub failed: Vec<String>,
}

impl Tightened {
    /// Joins names for a log line; shortens a long list.
    pub fn list(names: &[String]) -> String {
        let more = names.len().saturating_sub(NAMED_MAX);
        let list = names[..names.len() - more].join(", ");
        if more == 0 { list } else { format!("{list} and {more} more") }
    }
}

/// Closes a directory and all in it to other users. Doesn't follow links: their targets may belong to anybody.
pub(super) fn tighten(dir: &Path) -> io::Result<Tightened> {
    let mut found = Tightened::default();
    let metadata = fs::symlink_metadata(dir)?;
    // The directory itself may be a link.
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
            // A temporary file may vanish at any time.
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            // File systems put this folder into the root of a volume; it belongs to root.
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
    // Files are never executed.
    let closed = if metadata.is_dir() { mode & !OTHERS } else { mode & 0o600 };
    if let Err(error) = fs::set_permissions(path, Permissions::from_mode(closed)) {
        found.failed.push(format!("{} ({error})", name(dir, path)));
    }
    found.open.push(named);
}

/// Names a path for the operator, relative to the directory.
fn name(dir: &Path, path: &Path) -> String {
    let within: PathBuf = path.strip_prefix(dir).unwrap_or(path).into();
    if within.as_os_str().is_empty() { dir.display().to_string() } else { within.display().to_string() }
}
