//! Tests of pulls: from whom, when, how much, and what follows an answer that is late, empty or refused.

use super::tests::{Bench, OTHER, OWN, PEER, THEIRS, event};
use super::*;
use crate::frame::wire::WireVersion;
use std::collections::VecDeque;

const DEAD: OriginId = OriginId { node: NodeId([9; 16]), incarnation: 1 };

/// A replica with peers that hold these events, on links 1, 2, …
fn linked(peers: &[(NodeId, &[(OriginId, Seq)])]) -> (Bench, Vec<(LinkId, ReplicaFrame)>) {
    let mut bench = Bench { replica: Replica::new(VersionVector::default(), Millis(0)), now: Millis(0) };
    for (link, &(peer, _)) in (1..).zip(peers) {
        bench.step(Input::LinkUp { link: LinkId(link), peer, version: WireVersion::V2, folds: None });
    }
    let mut sent = Vec::new();
    for (link, &(_, held)) in (1..).zip(peers) {
        let vector = ReplicaFrame::Vector(held.iter().copied().collect());
        sent.extend(pulls(bench.step(Input::Frame(LinkId(link), vector))));
    }
    (bench, sent)
}

fn pulls(outputs: Vec<Output>) -> Vec<(LinkId, ReplicaFrame)> {
    let pulls = outputs.into_iter().filter_map(|output| match output {
        Output::Send(link, bytes) => match PeerFrame::decode(&bytes) {
            Ok(PeerFrame::Replica(frame @ ReplicaFrame::Pull { .. })) => Some((link, frame)),
            _ => None,
        },
        _ => None,
    });
    pulls.collect()
}

fn pull(origin: OriginId, from: u64, to: u64) -> ReplicaFrame {
    ReplicaFrame::Pull { origin, from: Seq(from), to: Seq(to) }
}

fn tick(bench: &mut Bench, now: Millis) -> Vec<(LinkId, ReplicaFrame)> {
    bench.now = now;
    pulls(bench.step(Input::Tick))
}

fn answer(link: LinkId, origin: OriginId, seqs: &[u64]) -> Input {
    let events = seqs.iter().map(|&seq| event(origin, Seq(seq))).collect();
    Input::Frame(link, ReplicaFrame::Pulled { origin, events })
}

/// The push of the node that wrote the events is on its way, so others are asked only if it doesn't come.
#[test]
fn others_are_asked_100_ms_after_the_writer_should_have_pushed() {
    let (mut bench, sent) = linked(&[(PEER, &[(DEAD, Seq(1))]), (DEAD.node, &[])]);
    assert_eq!(sent, []);
    assert_eq!(bench.replica.next_tick(), Millis(100));
    assert_eq!(tick(&mut bench, Millis(99)), []);
    assert_eq!(tick(&mut bench, Millis(100)), [(LinkId(1), pull(DEAD, 1, 1))]);
}

/// The writer has read its log last and need not have fetched the events itself.
#[test]
fn the_writer_is_asked_first() {
    let (_, sent) = linked(&[(PEER, &[(DEAD, Seq(2))]), (DEAD.node, &[(DEAD, Seq(2))])]);
    assert_eq!(sent, [(LinkId(2), pull(DEAD, 1, 2))]);
}

#[test]
fn a_peer_that_does_not_answer_within_5_s_is_followed_by_the_next() {
    let (mut bench, sent) = linked(&[(DEAD.node, &[(DEAD, Seq(2))]), (PEER, &[(DEAD, Seq(2))])]);
    assert_eq!(sent, [(LinkId(1), pull(DEAD, 1, 2))]);
    assert_eq!(tick(&mut bench, Millis(4_999)), []);
    assert_eq!(tick(&mut bench, Millis(5_000)), [(LinkId(2), pull(DEAD, 1, 2))]);
    assert_eq!(tick(&mut bench, Millis(10_000)), [(LinkId(1), pull(DEAD, 1, 2))]);
}

#[test]
fn an_empty_answer_makes_another_peer_be_asked_after_200_ms() {
    let (mut bench, sent) = linked(&[(PEER, &[(DEAD, Seq(2))]), (OTHER, &[(DEAD, Seq(2))])]);
    assert_eq!(sent, [(LinkId(1), pull(DEAD, 1, 2))]);
    bench.now = Millis(10);
    assert_eq!(pulls(bench.step(answer(LinkId(2), DEAD, &[]))), [], "that one was not asked");
    assert_eq!(tick(&mut bench, Millis(300)), []);
    assert_eq!(pulls(bench.step(answer(LinkId(1), DEAD, &[]))), []);
    assert_eq!(bench.replica.next_tick(), Millis(500));
    assert_eq!(tick(&mut bench, Millis(499)), []);
    assert_eq!(tick(&mut bench, Millis(500)), [(LinkId(2), pull(DEAD, 1, 2))]);
}

/// A peer whose link is gone will not answer.
#[test]
fn another_peer_is_asked_at_once_when_the_link_goes_down() {
    let (mut bench, sent) = linked(&[(PEER, &[(DEAD, Seq(2))]), (OTHER, &[(DEAD, Seq(2))])]);
    assert_eq!(sent, [(LinkId(1), pull(DEAD, 1, 2))]);
    assert_eq!(pulls(bench.step(Input::LinkDown(LinkId(1)))), [(LinkId(2), pull(DEAD, 1, 2))]);
    bench.step(Input::LinkDown(LinkId(2)));
    assert_eq!(bench.replica.missing().count(), 0, "nobody has them");
}

/// Promise 8: a peer reads 8 ranges and 4,000 events at a time, whatever this node lacks; the next is asked for as soon as one
/// has come, and each origin has its turn.
#[test]
fn a_peer_is_asked_for_a_few_ranges_at_a_time() {
    let origins: Vec<_> = (1..=10).map(|incarnation| OriginId { incarnation, ..DEAD }).collect();
    let short: Vec<_> = origins.iter().map(|&origin| (origin, Seq(1))).collect();
    let (mut bench, sent) = linked(&[(PEER, &short)]);
    let first: Vec<_> = origins[..8].iter().map(|&origin| (LinkId(1), pull(origin, 1, 1))).collect();
    assert_eq!(sent, first);
    for (at, next) in [(0, 8), (1, 9)] {
        let sent = pulls(bench.step(answer(LinkId(1), origins[at], &[1])));
        bench.step(Input::Applied(vec![(origins[at], Seq(1))]));
        assert_eq!(sent, [(LinkId(1), pull(origins[next], 1, 1))]);
    }
    let long: Vec<_> = origins[..3].iter().map(|&origin| (origin, Seq(3_000))).collect();
    let (mut bench, sent) = linked(&[(PEER, &long)]);
    let both = [(LinkId(1), pull(origins[0], 1, 2_000)), (LinkId(1), pull(origins[1], 1, 2_000))];
    assert_eq!(sent, both);
    let sent = pulls(bench.step(answer(LinkId(1), origins[0], &[1])));
    assert_eq!(sent, [(LinkId(1), pull(origins[2], 1, 2_000))], "not the first one again");
}

/// Promise: a new node catches up with a cluster whose nodes were started very often. Each range takes the time of one answer,
/// and the work for it does not grow with the number of origins that are still missing.
#[test]
fn many_short_origins_are_pulled_without_pauses_from_all_peers() {
    const ORIGINS: u64 = 2_000;
    let held: Vec<_> = (1..=ORIGINS).map(|incarnation| (OriginId { incarnation, ..DEAD }, Seq(1))).collect();
    let (mut bench, first) = linked(&[(PEER, &held), (OTHER, &held)]);
    let mut asked: VecDeque<_> = first.into();
    let mut from_second = 0;
    while let Some((link, frame)) = asked.pop_front() {
        let ReplicaFrame::Pull { origin, .. } = frame else { panic!("{frame:?}") };
        from_second += u64::from(link == LinkId(2));
        asked.extend(pulls(bench.step(answer(link, origin, &[1]))));
        asked.extend(pulls(bench.step(Input::Applied(vec![(origin, Seq(1))]))));
    }
    assert_eq!(bench.replica.missing().count(), 0);
    assert_eq!(bench.now, Millis(0), "nothing waited for a time");
    assert!((ORIGINS / 4..ORIGINS).contains(&from_second), "{from_second} were pulled from the second peer");
}

/// Promise 8: one range has at most 2,000 events.
#[test]
fn a_range_has_at_most_2_000_events() {
    let (mut bench, sent) = linked(&[(PEER, &[(THEIRS, Seq(5_000))])]);
    assert_eq!(sent, [(LinkId(1), pull(THEIRS, 1, 2_000))]);
    let sent = pulls(bench.step(answer(LinkId(1), THEIRS, &[1, 2, 3])));
    assert_eq!(sent, [(LinkId(1), pull(THEIRS, 4, 2_003))]);
    // The pulls of a peer are limited in the same way.
    for (from, to, read) in
        [(1, 9_000, Some((1, 2_000))), (5, 2_005, Some((5, 2_004))), (5, 7, Some((5, 7))), (0, 9, None)]
    {
        let outputs = bench.step(Input::Frame(LinkId(1), pull(THEIRS, from, to)));
        let reads = outputs.iter().find_map(|output| match *output {
            Output::Read { from, to, .. } => Some((from.0, to.0)),
            _ => None,
        });
        assert_eq!(reads, read, "{from} to {to}");
    }
}

/// Promise 8: a peer has at most 16 reads running; it asks for the others again.
#[test]
fn a_peer_has_at_most_16_reads_running() {
    let (mut bench, _) = linked(&[(PEER, &[])]);
    let reads = |bench: &mut Bench| {
        let outputs = bench.step(Input::Frame(LinkId(1), pull(OWN, 1, 1)));
        outputs.iter().filter(|output| matches!(output, Output::Read { .. })).count()
    };
    assert_eq!((1..=20).map(|_| reads(&mut bench)).sum::<usize>(), 16);
    bench.step(Input::ReadDone {
        link: LinkId(1),
        origin: OWN,
        from: Seq(1),
        events: vec![event(OWN, Seq(1))],
    });
    assert_eq!((reads(&mut bench), reads(&mut bench)), (1, 0));
}

/// Promise 8: a store that refuses everything is asked less and less often, and soon again once it takes something.
#[test]
fn refusals_by_the_store_make_pauses_that_double_up_to_5_s() {
    let (mut bench, sent) = linked(&[(PEER, &[(THEIRS, Seq(2))])]);
    assert_eq!(sent, [(LinkId(1), pull(THEIRS, 1, 2))]);
    let mut now = 0;
    for pause in [200, 400, 800, 1_600, 3_200, 5_000, 5_000] {
        let outputs = bench.step(answer(LinkId(1), THEIRS, &[1]));
        assert!(outputs.iter().any(|output| matches!(output, Output::Apply(_))), "{outputs:?}");
        assert_eq!(pulls(bench.step(Input::ApplyRefused)), []);
        now += pause;
        assert_eq!(tick(&mut bench, Millis(now - 1)), [], "after {pause} ms");
        assert_eq!(tick(&mut bench, Millis(now)), [(LinkId(1), pull(THEIRS, 1, 2))], "after {pause} ms");
    }
    bench.step(answer(LinkId(1), THEIRS, &[1]));
    assert_eq!(pulls(bench.step(Input::Applied(vec![(THEIRS, Seq(1))]))), []);
    bench.step(answer(LinkId(1), THEIRS, &[2]));
    bench.step(Input::ApplyRefused);
    assert_eq!(tick(&mut bench, Millis(now + 199)), []);
    assert_eq!(tick(&mut bench, Millis(now + 200)), [(LinkId(1), pull(THEIRS, 2, 2))]);
}

/// Pushed events that the store refused are pulled, though nothing was missing before.
#[test]
fn pushed_events_that_the_store_refused_are_pulled() {
    let (mut bench, _) = linked(&[(PEER, &[])]);
    bench.step(Input::Frame(LinkId(1), ReplicaFrame::Push(vec![event(THEIRS, Seq(1))])));
    assert_eq!(bench.replica.missing().count(), 0);
    bench.step(Input::ApplyRefused);
    assert_eq!(bench.replica.missing().collect::<Vec<_>>(), [(THEIRS, 1)]);
    assert_eq!(bench.replica.next_tick(), Millis(200));
    assert_eq!(tick(&mut bench, Millis(200)), [(LinkId(1), pull(THEIRS, 1, 1))]);
}
