//! Promise 13: the log's vector over folds. What it says is what the log holds, and what is stored of it stays small.

use std::collections::BTreeSet;

use redb::ReadableTable;
use starling_protocol::{FoldRank, VectorFolded, codec, replica::FoldPlan};

use super::*;

/// Folds as a node does that runs alone and calls only its own origin live.
fn fold(own: OriginId, unfolded_max: usize) -> Op {
    let plan = FoldPlan { live: [own].into(), unfolded_max };
    Op::Decide(Decide::new(move |tables: &Tables<'_>| tables.decide_fold(&plan)))
}

/// Rows of the stored vector, and of its folds.
fn rows(store: &Store) -> (usize, usize) {
    let read = store.db.begin_read().unwrap();
    let heads = read.open_table(tables::HEADS).unwrap().iter().unwrap().count();
    (heads, read.open_table(tables::FOLDS).unwrap().iter().unwrap().count())
}

/// The heads of the log, read from its keys.
fn heads_of_log(store: &Store) -> VersionVector {
    let log = store.db.begin_read().unwrap().open_table(tables::LOG).unwrap();
    log.iter().unwrap().map(|row| tables::parse_log_key(row.unwrap().0.value())).collect()
}

/// Checks that the stored vector is that of the log, and that the store is sound.
fn check(store: &Store) -> VersionVector {
    let vector = store.vector().unwrap();
    assert_eq!(vector, heads_of_log(store));
    store.verify().unwrap();
    vector
}

/// An event of a fold of another node.
fn folded_elsewhere(seq: u64, folded: VectorFolded) -> Event {
    Event::new(ELSEWHERE, Seq(seq), Hlc(seq), EventDraft::new(Scope::cluster(), folded))
}

fn receive(committer: &mut Committer, event: Event) -> Commit {
    committer.commit(3_000, 1, &[Op::Received(vec![event])]).unwrap()
}

fn base(vector: &VersionVector) -> Option<FoldRank> {
    vector.base().map(|base| base.rank())
}

/// Each start opens an origin, and each node that was replaced has left some. The stored vector and that of commits stay
/// small.
#[test]
fn a_thousand_starts_and_replaced_nodes_leave_a_small_vector() {
    let (store, committer) = with_room();
    drop(committer);
    for start in 2..1_002_u64 {
        let mut committer = Committer::new(Arc::clone(&store), NodeId([1; 16]), start * 1_000).unwrap();
        let own = OriginId { node: NodeId([1; 16]), incarnation: start };
        let mut node = [5; 16];
        node[..8].copy_from_slice(&start.to_be_bytes());
        let replaced = OriginId { node: NodeId(node), incarnation: start };
        let body = EventBody::MessagePosted(message(2, u128::from(start) << 64, "b"));
        let draft = EventDraft { scope: Scope::room(ROOM), body, above_hlc: None };
        let received = Op::Received(vec![Event::new(replaced, Seq(1), Hlc(start), draft)]);
        committer.commit(start * 1_000, start, &[post(ROOM, 1, start.into(), "a"), received]).unwrap();
        let commit = committer.commit(start * 1_000, start, &[fold(own, 8)]).unwrap();
        let difference = commit.vector.difference().len();
        assert!(difference <= 10 && rows(&store).0 == difference, "{difference} after {start} starts");
        assert_eq!(&store.vector().unwrap(), commit.vector.as_ref());
    }
    assert_eq!(check(&store).iter().len(), 2_001);
    // One fold for each 9 origins at most.
    let folds = rows(&store).1;
    assert!((150..=2_001 / 9).contains(&folds), "{folds} folds");
    // A rebuild derives views alone.
    store.rebuild(|_| ()).unwrap();
    assert_eq!((check(&store).iter().len(), rows(&store).1), (2_001, folds));
    store.verify_against_rebuild(&super::store(), |_| Ok(())).unwrap();
}

/// The clock of a start is above the stamps that folds cover.
#[test]
fn a_start_stamps_above_what_is_folded() {
    let (store, mut committer) = with_room();
    committer.commit(20_000, 1, &[post(ROOM, 1, 1, "a")]).unwrap();
    let other = OriginId { node: NodeId([1; 16]), incarnation: 2 };
    let mut committer = Committer::new(Arc::clone(&store), NodeId([1; 16]), 1_000).unwrap();
    committer.commit(1_000, 2, &[fold(other, 0)]).unwrap();
    assert_eq!(store.vector().unwrap().difference().count(), 1);
    let mut committer = Committer::new(Arc::clone(&store), NodeId([1; 16]), 1_000).unwrap();
    committer.commit(1_000, 3, &[post(ROOM, 1, 2, "b")]).unwrap();
    assert_eq!(listed(&store), [(1, "a".to_owned()), (2, "b".to_owned())]);
}

/// A fold whose base is missing is unknown; it is used once the base is here.
#[test]
fn a_fold_is_used_once_its_bases_are_here() {
    let (store, mut committer) = with_room();
    let origin = |n| OriginId { node: NodeId([5; 16]), incarnation: n };
    let first = VectorFolded::new(None, [(origin(1), Seq(3)), (origin(2), Seq(4))]);
    let second = VectorFolded::new(Some(first.rank()), [(origin(2), Seq(5))]);
    let third = VectorFolded::new(Some(second.rank()), [(origin(3), Seq(6))]);
    for (seq, folded) in [(1, &third), (2, &second)] {
        assert!(receive(&mut committer, folded_elsewhere(seq, folded.clone())).folded.is_none());
        assert!(store.fold(folded.rank()).unwrap().is_none(), "its base is missing");
    }
    let commit = receive(&mut committer, folded_elsewhere(3, first.clone()));
    assert_eq!(commit.folded.map(|fold| fold.rank()), Some(third.rank()));
    // This node lacks all that they say: the vector says so.
    let vector = check(&store);
    assert_eq!((base(&vector), vector.get(origin(2))), (Some(third.rank()), Seq::NONE));
    assert_eq!(store.fold(second.rank()).unwrap().unwrap().get(origin(2)), Seq(5));
    let reopened = Committer::new(Arc::clone(&store), NodeId([1; 16]), 4_000).unwrap();
    assert_eq!((base(reopened.vector()), reopened.vector().as_ref()), (Some(third.rank()), &vector));
}

/// On two sides of a split two folds are made of one base: all nodes take the same one.
#[test]
fn the_newest_fold_is_the_same_in_any_order() {
    let origin = |n| OriginId { node: NodeId([5; 16]), incarnation: n };
    let folds = [3, 4].map(|seq| VectorFolded::new(None, [(origin(1), Seq(seq))]));
    let newest = folds.iter().map(VectorFolded::rank).max();
    for order in [[0, 1], [1, 0]] {
        let (store, mut committer) = with_room();
        for (seq, n) in (1..).zip(order) {
            receive(&mut committer, folded_elsewhere(seq, folds[n].clone()));
        }
        assert_eq!(base(&check(&store)), newest);
    }
    // The same fold made twice is one.
    let (store, mut committer) = with_room();
    for seq in 1..=2 {
        receive(&mut committer, folded_elsewhere(seq, folds[0].clone()));
    }
    assert_eq!((rows(&store).1, check(&store).get(ELSEWHERE)), (1, Seq(2)));
}

/// `verify` finds a vector or a fold that is not the log's.
#[test]
fn verify_finds_wrong_heads_and_a_missing_fold() {
    let (store, mut committer) = with_room();
    let own = OriginId { node: NodeId([1; 16]), incarnation: 2 };
    committer.commit(2_000, 1, &[post(ROOM, 1, 1, "a"), fold(own, 0)]).unwrap();
    check(&store);
    assert_eq!(rows(&store), (1, 1), "the fold's own event is beyond it");
    let break_it = |change: &dyn Fn(&redb::WriteTransaction)| {
        let transaction = store.db.begin_write().unwrap();
        change(&transaction);
        transaction.commit().unwrap();
        assert!(matches!(store.verify(), Err(StoreError::Corrupt(_))));
    };
    let key = OriginId { node: NodeId([1; 16]), incarnation: 1 }.to_bytes();
    let heads = |transaction: &redb::WriteTransaction, seq| {
        transaction.open_table(tables::HEADS).unwrap().insert(&key, seq).unwrap();
    };
    let held = store.vector().unwrap().get(OriginId::from_bytes(key));
    break_it(&|transaction| heads(transaction, held.0 - 1));
    let transaction = store.db.begin_write().unwrap();
    heads(&transaction, held.0);
    transaction.commit().unwrap();
    check(&store);
    break_it(&|transaction| {
        let rank = base(&store.vector().unwrap()).unwrap();
        transaction.open_table(tables::FOLDS).unwrap().remove(&rank.to_bytes()).unwrap();
    });
}

/// Promise 12: an earlier version stored folds without knowing them. They are known after the upgrade, and count in digests.
#[test]
fn folds_that_an_earlier_version_stored_are_known_after_the_upgrade() {
    let folded = VectorFolded::new(None, [(ELSEWHERE, Seq(1))]);
    let (store, mut committer) = with_room();
    receive(&mut committer, folded_elsewhere(1, folded.clone()));
    let digests = store.snapshot().unwrap().scopes;

    let (old, mut committer) = with_room();
    let unknown = EventBody::Unknown { kind: 999, payload: codec::encode(&folded) };
    let draft = EventDraft::new(Scope::cluster(), unknown);
    receive(&mut committer, Event::new(ELSEWHERE, Seq(1), Hlc(1), draft));
    // The bytes are those of the fold.
    let transaction = old.db.begin_write().unwrap();
    let event = folded_elsewhere(1, folded.clone());
    let key = tables::log_key(ELSEWHERE, Seq(1));
    transaction.open_table(tables::LOG).unwrap().insert(&key, &event.encoded()[..]).unwrap();
    transaction.delete_table(tables::FOLDS).unwrap();
    transaction.delete_table(tables::HEADS_BASE).unwrap();
    transaction.open_table(tables::META).unwrap().insert("schema_version", 8).unwrap();
    transaction.commit().unwrap();
    migrations::migrate(&old.db, migrations::STEPS).unwrap();
    old.resume_rebuild(&mut |_| ()).unwrap();
    assert_eq!(base(&check(&old)), Some(folded.rank()));
    assert_eq!(old.snapshot().unwrap().scopes, digests);
    let touched: BTreeSet<_> = old.vector().unwrap().difference().collect();
    assert!(!touched.contains(&(ELSEWHERE, Seq(1))), "the fold says it");
}
