//! Data directories as a test sees them: their whole content, copies of them, and putting a copy back.
//! Used by the tests of what must stay unchanged and of disks that were rolled back.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

/// Every path below `root` with its size and a hash of its content; `None` if there is no `root`.
pub fn listing(root: &Path) -> Option<BTreeMap<PathBuf, (u64, u64)>> {
    let kind = fs::symlink_metadata(root).ok()?;
    let mut found = BTreeMap::new();
    if kind.is_dir() {
        walk(root, root, &mut found);
    } else {
        found.insert(PathBuf::new(), summary(root));
    }
    Some(found)
}

fn walk(root: &Path, folder: &Path, found: &mut BTreeMap<PathBuf, (u64, u64)>) {
    for entry in fs::read_dir(folder).expect("the folder can be listed") {
        let path = entry.expect("the folder can be listed").path();
        let name = path.strip_prefix(root).expect("it lies below the root").to_owned();
        if path.is_dir() {
            found.insert(name, (0, 0));
            walk(root, &path, found);
        } else {
            found.insert(name, summary(&path));
        }
    }
}

fn summary(path: &Path) -> (u64, u64) {
    // A socket cannot be read; that it is there is all there is to say.
    let content = fs::read(path).unwrap_or_default();
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    (content.len() as u64, hasher.finish())
}

/// Copies the folder `from` to `to`, which must not exist yet. Only regular files and folders are taken.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder can be made");
    for entry in fs::read_dir(from).expect("the folder can be listed") {
        let entry = entry.expect("the folder can be listed");
        let kind = entry.file_type().expect("a file has a type");
        let target = to.join(entry.file_name());
        if kind.is_dir() {
            copy(&entry.path(), &target);
        } else if kind.is_file() {
            fs::copy(entry.path(), &target).expect("a file can be copied");
        }
    }
}

/// Throws `folder` away and puts a copy of `kept` in its place, as a disk that was rolled back.
pub fn put_back(kept: &Path, folder: &Path) {
    fs::remove_dir_all(folder).expect("the folder can be removed");
    copy(kept, folder);
}

/// The largest file below `root`: a stopped node's store.
pub fn largest_file(root: &Path) -> PathBuf {
    let files = listing(root).expect("there is a folder");
    let (name, _) = files.into_iter().max_by_key(|(_, (size, _))| *size).expect("there is a file");
    root.join(name)
}
