//! Promise 13: who makes folds and when, and what cursors may be written over.

use std::sync::Arc;

use crate::{
    Fold, NodeId, OriginId, Seq, VectorFolded, VersionVector,
    frame::{
        peer::{Confirm, PeerFrame, ReplicaFrame},
        wire::WireVersion,
    },
    replica::{
        FoldPlan, HEARTBEAT_MS, Input, LinkId, Millis, Output, SILENCE_MS_MAX, UNFOLDED_ORIGINS_MAX,
        tests::{Bench, OTHER, OWN, PEER, THEIRS},
    },
};

/// Origins of processes that have ended.
fn ended(count: usize) -> Vec<(OriginId, Seq)> {
    (1..=count as u64).map(|incarnation| (OriginId { node: NodeId([9; 16]), incarnation }, Seq(1))).collect()
}

/// A node with `count` origins of ended processes, linked to a peer that has them, too.
fn bench(count: usize) -> Bench {
    let mut bench = Bench::linked(ended(count).into_iter().collect());
    bench.step(Input::Applied(ended(count)));
    set_version(&mut bench, WireVersion::V2);
    bench
}

fn set_version(bench: &mut Bench, version: WireVersion) {
    bench.replica.links.get_mut(&LinkId(1)).unwrap().version = version;
}

fn plan(bench: &mut Bench, me: NodeId) -> Option<FoldPlan> {
    let now = bench.now;
    bench.replica.plan_fold(now, me)
}

const FIRST: NodeId = NodeId([0; 16]);

fn fold(entries: Vec<(OriginId, Seq)>, event: (OriginId, Seq)) -> Arc<Fold> {
    Fold::expand(None, [(event, VectorFolded::new(None, entries))]).unwrap()
}

#[test]
fn a_fold_is_made_for_more_than_eight_ended_processes() {
    assert_eq!(plan(&mut bench(UNFOLDED_ORIGINS_MAX), FIRST), None);
    let made = plan(&mut bench(UNFOLDED_ORIGINS_MAX + 1), FIRST).unwrap();
    assert_eq!(made.unfolded_max, UNFOLDED_ORIGINS_MAX);
}

/// An origin that a live process calls its own is not folded: its entry would change at once.
#[test]
fn origins_of_live_processes_do_not_count() {
    let mut bench = bench(UNFOLDED_ORIGINS_MAX + 1);
    let (own, theirs) = (OWN, ended(1)[0]);
    bench.commit(Seq(1));
    let confirm = Confirm { own_head: Some(theirs), in_sync: true, ..Confirm::default() };
    bench.step(Input::Frame(LinkId(1), ReplicaFrame::Confirm(confirm)));
    assert_eq!(plan(&mut bench, FIRST), None);
    bench.step(Input::Applied(vec![(THEIRS, Seq(1))]));
    assert_eq!(plan(&mut bench, FIRST).unwrap().live, [own, theirs.0].into());
}

/// A process to which the maker of folds has no link is live as long as a peer says that it has one.
#[test]
fn origins_of_processes_that_a_peer_is_linked_to_do_not_count() {
    let mut bench = bench(UNFOLDED_ORIGINS_MAX + 1);
    let behind_the_peer = ended(1)[0].0;
    bench.step(Input::Frame(LinkId(1), ReplicaFrame::LiveOrigins(vec![behind_the_peer])));
    bench.now = Millis(SILENCE_MS_MAX);
    assert_eq!(plan(&mut bench, FIRST), None);
    // The peer is still heard, and does not speak of that process any more.
    let heartbeat = ReplicaFrame::Confirm(Confirm { in_sync: true, ..Confirm::default() });
    bench.step(Input::Frame(LinkId(1), heartbeat));
    bench.now = Millis(SILENCE_MS_MAX + 1);
    assert!(plan(&mut bench, FIRST).is_some());
}

#[test]
fn each_heartbeat_names_the_processes_that_other_peers_may_not_reach() {
    let mut bench = Bench::with_two_peers();
    let mut named = |input| {
        let origins = |output| match output {
            Output::Send(link, bytes) => match PeerFrame::decode(&bytes).unwrap() {
                PeerFrame::Replica(ReplicaFrame::LiveOrigins(origins)) => Some((link, origins)),
                _ => None,
            },
            _ => None,
        };
        bench.now = bench.now + HEARTBEAT_MS;
        bench.step(input);
        bench.step(Input::Tick).into_iter().filter_map(origins).collect::<Vec<_>>()
    };
    let heartbeat = Confirm { own_head: Some((THEIRS, Seq(1))), ..Confirm::default() };
    let heard = Input::Frame(LinkId(1), ReplicaFrame::Confirm(heartbeat));
    assert_eq!(named(heard), [(LinkId(2), vec![THEIRS])]);
    // Of a silent peer it is not known whether it lives.
    for _ in 1..=3 {
        assert_eq!(named(Input::Heard(LinkId(2))), [(LinkId(2), vec![THEIRS])]);
    }
    assert_eq!(named(Input::Heard(LinkId(2))), []);
}

#[test]
fn the_smallest_node_in_sync_that_knows_folds_makes_them() {
    let larger = NodeId([255; 16]);
    let mut bench = bench(9);
    assert_eq!(plan(&mut bench, larger), None, "the peer makes it");
    set_version(&mut bench, WireVersion::V1);
    assert!(plan(&mut bench, larger).is_some(), "the peer does not know folds");
}

#[test]
fn a_process_makes_its_first_fold_at_once_and_then_one_a_minute() {
    let mut bench = bench(9);
    assert!(plan(&mut bench, FIRST).is_some());
    bench.now = bench.now + 59_999;
    assert_eq!(plan(&mut bench, FIRST), None);
    bench.now = bench.now + 1;
    assert!(plan(&mut bench, FIRST).is_some());
    bench.step(Input::Folded(fold(ended(9), (THEIRS, Seq(1)))));
    bench.now = bench.now + 60_000;
    assert_eq!(plan(&mut bench, FIRST), None, "all is folded");
}

/// A node that catches up would fold what it lacks, and soon what it then has.
#[test]
fn a_node_that_lacks_events_makes_no_fold() {
    let mut bench = bench(9);
    bench.step(Input::Frame(LinkId(1), ReplicaFrame::Vector(VersionVector::from_iter([(THEIRS, Seq(5))]))));
    assert_eq!(plan(&mut bench, FIRST), None);
    bench.step(Input::Applied(vec![(THEIRS, Seq(5))]));
    assert!(plan(&mut bench, FIRST).is_some());
}

/// A cursor over a fold that a peer lacks would be unreadable there.
#[test]
fn cursors_are_written_over_a_fold_that_every_peer_in_sync_has() {
    let mut bench = bench(9);
    let cursor_fold = |bench: &Bench| bench.replica.cursor_fold(bench.now).map(|fold| fold.rank());
    assert_eq!(cursor_fold(&bench), None);
    let events = [(OWN, Seq(1)), (OWN, Seq(2))];
    let folds = [fold(ended(9), events[0]), fold(ended(8), events[1])];
    bench.commit(Seq(1));
    bench.step(Input::Folded(Arc::clone(&folds[0])));
    assert_eq!(cursor_fold(&bench), None, "the peer has not confirmed it");
    let confirm = |bench: &mut Bench, event| {
        let confirm = Confirm { new_heads: vec![event], in_sync: true, ..Confirm::default() };
        bench.step(Input::Frame(LinkId(1), ReplicaFrame::Confirm(confirm)));
    };
    confirm(&mut bench, events[0]);
    assert_eq!(cursor_fold(&bench), Some(folds[0].rank()));
    bench.commit(Seq(2));
    bench.step(Input::Folded(Arc::clone(&folds[1])));
    assert_eq!(cursor_fold(&bench), Some(folds[0].rank()), "the one before, until it has");
    confirm(&mut bench, events[1]);
    assert_eq!(cursor_fold(&bench), Some(folds[1].rank()));
    set_version(&mut bench, WireVersion::V1);
    assert_eq!(cursor_fold(&bench), None, "it does not know folds");
    bench.step(Input::LinkDown(LinkId(1)));
    assert_eq!(cursor_fold(&bench), Some(folds[1].rank()), "no peer is in sync");
}

/// Promise 13: after a fold all vectors of replication are as small as what differs from it.
#[test]
fn a_fold_makes_the_vectors_of_replication_small() {
    let mut bench = bench(9);
    assert_eq!(bench.replica.held().difference().len(), 9);
    bench.step(Input::Folded(fold(ended(9), (THEIRS, Seq(1)))));
    assert_eq!(bench.replica.held().difference().len(), 0);
    assert_eq!(bench.replica.held(), &ended(9).into_iter().collect());
    let link = &bench.replica.links[&LinkId(1)];
    assert_eq!((link.peer, link.confirmed.difference().len()), (PEER, 0));
    bench.step(Input::LinkUp { link: LinkId(2), peer: OTHER, version: WireVersion::V2, folds: None });
    let beyond: Vec<_> = bench.replica.held().beyond(&bench.replica.links[&LinkId(2)].confirmed).collect();
    assert_eq!(beyond, ended(9), "a new link has confirmed nothing");
}
