//! Tests of commits that the journal alone has made durable: a process that ends at once loses none, and nothing is applied
//! twice.

use std::path::{Path, PathBuf};

use super::*;

const POSTS: u128 = 20;

/// A store in a file with a room and posts, whose process ends without a checkpoint. Calls `before_the_end` with it.
fn killed_after_posts(dir: &Path, before_the_end: impl FnOnce(&Store)) -> (PathBuf, Snapshot) {
    let path = dir.join("starling.redb");
    let store = Arc::new(Store::open_file(&path).unwrap());
    let mut committer = Committer::new(Arc::clone(&store), NodeId([1; 16]), 1_000).unwrap();
    committer.commit(1_000, 1, &[Op::CreateQuickRoom { room: ROOM, name: None }]).unwrap();
    for n in 0..POSTS {
        committer.commit(2_000, 1, &[post(ROOM, 1, n, "a post"), post(ROOM, 2, n, "same id")]).unwrap();
    }
    before_the_end(&store);
    let snapshot = store.snapshot().unwrap();
    // A database that is closed in order would write everything, so its files are copied before.
    let killed = dir.join("killed.redb");
    std::fs::copy(&path, &killed).unwrap();
    std::fs::copy(path.with_extension("journal"), killed.with_extension("journal")).unwrap();
    (killed, snapshot)
}

fn assert_same(path: &Path, before: &Snapshot) {
    let store = Store::open_file(path).unwrap();
    let after = store.snapshot().unwrap();
    assert_eq!((&after.vector, &after.scopes), (&before.vector, &before.scopes));
    store.verify().unwrap();
}

/// Promise 1: what was committed is there after a crash, although the store's own file was not written.
#[test]
fn a_killed_process_loses_no_commit() {
    let dir = tempfile::tempdir().unwrap();
    let (path, before) = killed_after_posts(dir.path(), |_| ());
    assert_same(&path, &before);
    // Nothing is left for a second time.
    assert_same(&path, &before);
}

/// Promise 4: commits that the file holds already are not applied again, whatever wrote it.
#[test]
fn the_tail_of_the_journal_is_not_applied_twice() {
    let dir = tempfile::tempdir().unwrap();
    let write_file = |store: &Store| store.in_tables(|_| Ok(())).unwrap();
    let (path, before) = killed_after_posts(dir.path(), write_file);
    assert_same(&path, &before);
}

/// A checkpoint makes the file complete: it needs no journal.
#[test]
fn a_checkpoint_leaves_nothing_to_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let (path, before) = killed_after_posts(dir.path(), |store| store.checkpoint().unwrap());
    std::fs::remove_file(path.with_extension("journal")).unwrap();
    assert_same(&path, &before);
}

/// Promise 15: a journal that is damaged before its end is refused in one line.
#[test]
fn a_damaged_journal_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _) = killed_after_posts(dir.path(), |_| ());
    let journal = path.with_extension("journal");
    let mut bytes = std::fs::read(&journal).unwrap();
    let start = bytes.windows(8).skip(64).position(|part| part == b"strljrn1").unwrap() + 64;
    bytes[start + 50] ^= 1;
    std::fs::write(&journal, bytes).unwrap();
    let error = Store::open_file(&path).unwrap_err();
    assert!(error.is_damage() && error.to_string().contains("journal"), "{error}");
}

/// A store that was removed takes its journal with it: a new one begins empty.
#[test]
fn a_new_store_ignores_the_journal_of_another() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _) = killed_after_posts(dir.path(), |_| ());
    std::fs::remove_file(&path).unwrap();
    let store = Store::open_file(&path).unwrap();
    assert_eq!(store.vector().unwrap(), VersionVector::default());
    store.remove().unwrap();
    assert!(!path.with_extension("journal").exists());
}
