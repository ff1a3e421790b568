//! Tests that deleted text leaves the store's file, free pages included.

use std::{fs, path::Path};

use starling_protocol::{UserId, event::MessageDeleted};

use super::*;

const MESSAGES: u128 = 200;

fn text(n: u128) -> String {
    format!("secret number {n:05} {}", "of some length ".repeat(usize::try_from(n % 40).unwrap()))
}

/// Counts the texts that are still in the store's file or in its journal.
fn found(path: &Path) -> usize {
    let in_file = |path: &Path| {
        let bytes = fs::read(path).unwrap();
        bytes.windows(14).filter(|part| *part == b"secret number ").count()
    };
    in_file(path) + in_file(&path.with_extension("journal"))
}

fn scrub(store: &Store) -> usize {
    let (mut scrub, mut steps) = (store.begin_scrub().unwrap().expect("something was erased"), 1);
    while store.scrub_step(&mut scrub).unwrap() {
        steps += 1;
    }
    steps
}

fn delete(n: u128) -> Op {
    let body = MessageDeleted { message: message(1, n, "x").key(), by: UserId([1; 16]) };
    Op::Decide(Decide::new(move |_: &Tables<'_>| Ok(Decision::one(Scope::room(ROOM), body.clone()))))
}

/// A store in a file with a room, and its writer.
fn with_room_in(path: &Path) -> (Arc<Store>, Committer) {
    let store = Arc::new(Store::open_file(path).unwrap());
    let mut committer = Committer::new(Arc::clone(&store), NodeId([1; 16]), 1_000).unwrap();
    committer.commit(1_000, 1, &[Op::CreateQuickRoom { room: ROOM, name: None }]).unwrap();
    (store, committer)
}

#[test]
fn deleted_text_leaves_free_pages_and_a_scrub_is_only_done_when_something_was_erased() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("starling.redb");
    let (store, mut committer) = with_room_in(&path);
    assert!(store.begin_scrub().unwrap().is_none(), "nothing was erased yet");
    for n in 0..MESSAGES {
        let stays = message(2, n, &format!("what stays {n:05}"));
        let stays = Op::Post { room: ROOM, posted: stays, above_hlc: None, check: in_quick_rooms };
        committer.commit(2_000, 1, &[post(ROOM, 1, n, &text(n)), stays]).unwrap();
    }
    for n in 0..MESSAGES {
        // Deletes some alone, some together, some in the commit of their posts.
        let mut ops = vec![delete(n)];
        if n % 10 == 0 {
            ops.extend([post(ROOM, 1, 1_000 + n, &text(n)), delete(1_000 + n)]);
        }
        committer.commit(3_000, 1, &ops).unwrap();
    }
    let left = found(&path);
    assert!(left > 0, "redb leaves them in free pages");
    let bytes = fs::metadata(&path).unwrap().len();
    let steps = scrub(&store);
    assert_eq!(found(&path), 0, "of {left} copies, after {steps} steps");
    assert!(store.begin_scrub().unwrap().is_none(), "it is done once");
    let grown = fs::metadata(&path).unwrap().len();
    assert!(grown <= 2 * bytes + 4 * 1024 * 1024, "{bytes} bytes became {grown}");
    let messages = store.page(ROOM, None, 1_000, None).unwrap().messages;
    let stays = messages.iter().filter(|message| message.posted.body().starts_with("what stays"));
    assert_eq!(stays.count() as u128, MESSAGES);
    store.verify().unwrap();
    // A scrub that a crash ended begins again.
    committer.commit(4_000, 1, &[post(ROOM, 1, 5_000, &text(7)), delete(5_000)]).unwrap();
    let mut begun = store.begin_scrub().unwrap().unwrap();
    for _ in 0..3 {
        assert!(store.scrub_step(&mut begun).unwrap());
    }
    drop((committer, store));
    let store = Store::open_file(&path).unwrap();
    scrub(&store);
    assert_eq!(found(&path), 0);
}

/// redb changes a page in place once it was copied in the same transaction, and leaves the bytes behind its last row as
/// they were. The page of a log that is full is not written again, so that they would stay for ever.
#[test]
fn deleted_text_leaves_the_unused_ends_of_used_pages() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("starling.redb");
    let (store, mut committer) = with_room_in(&path);
    for group in 1..=40 {
        // Long texts first: what follows moves by more than its own length when they are deleted.
        let ids: Vec<_> = (0..8).map(|n| group * 100 + 40 * n + (group + 39 - 5 * n) % 40).collect();
        let posts: Vec<_> = ids.iter().map(|&n| post(ROOM, 1, n, &text(n))).collect();
        committer.commit(2_000, 1, &posts).unwrap();
        let deletes: Vec<_> = ids.iter().map(|&n| delete(n)).collect();
        committer.commit(3_000, 1, &deletes).unwrap();
    }
    scrub(&store);
    assert_eq!(found(&path), 0);
    store.verify().unwrap();
}
