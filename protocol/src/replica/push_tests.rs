//! Tests of pushes: when they start, stop and go on, and how events are split into frames.

use super::tests::{Bench, OWN, PEER, event, in_sync_confirm};
use super::*;
use crate::frame::wire::WireVersion;
use crate::limits::EVENTS_CHUNK_BYTES_MAX;

fn pushes(frames: Vec<ReplicaFrame>) -> Vec<Vec<Bytes>> {
    let pushes = frames.into_iter().filter_map(|frame| match frame {
        ReplicaFrame::Push(events) => Some(events),
        _ => None,
    });
    pushes.collect()
}

fn confirm_nothing() -> Input {
    Input::Frame(LinkId(1), ReplicaFrame::Confirm(in_sync_confirm(vec![])))
}

fn pull(from: u64, to: u64) -> Input {
    Input::Frame(LinkId(1), ReplicaFrame::Pull { origin: OWN, from: Seq(from), to: Seq(to) })
}

fn read_done(from: u64, events: Vec<Bytes>) -> Input {
    Input::ReadDone { link: LinkId(1), origin: OWN, from: Seq(from), events }
}

/// Before its vector a peer may have more of the log than this process knows: it would get events twice.
#[test]
fn nothing_is_pushed_before_the_first_vector() {
    let mut bench = Bench { replica: Replica::new(VersionVector::default(), Millis(0)), now: Millis(0) };
    bench.step(Input::LinkUp { link: LinkId(1), peer: PEER, version: WireVersion::V2, folds: None });
    assert!(pushes(bench.commit(Seq(1))).is_empty());
    assert!(pushes(bench.sent(confirm_nothing())).is_empty());
    let vector = Input::Frame(LinkId(1), ReplicaFrame::Vector(VersionVector::default()));
    assert_eq!(pushes(bench.sent(vector)), [[event(OWN, Seq(1))]]);
    assert!(pushes(bench.sent(confirm_nothing())).is_empty(), "it is pushed once");
}

/// Promise 8: a full queue is not filled again with each frame that comes, only once in a heartbeat.
#[test]
fn pushing_to_a_full_queue_goes_on_with_the_next_heartbeat() {
    let mut bench = Bench::linked(VersionVector::default());
    bench.step(Input::SendRefused(LinkId(1)));
    assert!(pushes(bench.commit(Seq(1))).is_empty());
    assert!(pushes(bench.sent(confirm_nothing())).is_empty());
    bench.now = Millis(HEARTBEAT_MS);
    bench.step(Input::Tick);
    assert_eq!(pushes(bench.sent(confirm_nothing())), [[event(OWN, Seq(1))]]);
}

/// A push that overtakes the answer to a pull would leave a gap.
#[test]
fn pushing_goes_on_after_the_last_of_several_reads() {
    let mut bench = Bench::linked(VersionVector::default());
    bench.step(Input::SendRefused(LinkId(1)));
    for seq in 1..=3 {
        bench.commit(Seq(seq));
    }
    bench.step(pull(1, 1));
    bench.step(pull(2, 2));
    assert!(pushes(bench.sent(read_done(1, vec![event(OWN, Seq(1))]))).is_empty());
    assert!(pushes(bench.sent(confirm_nothing())).is_empty());
    assert_eq!(pushes(bench.sent(read_done(2, vec![event(OWN, Seq(2))]))), [[event(OWN, Seq(3))]]);
}

/// An answer without events says nothing about how far the peer is.
#[test]
fn a_read_that_finds_nothing_serves_nothing() {
    let mut bench = Bench::linked(VersionVector::default());
    bench.step(Input::SendRefused(LinkId(1)));
    bench.commit(Seq(1));
    bench.commit(Seq(2));
    bench.step(pull(1, 2));
    assert_eq!(pushes(bench.sent(read_done(1, vec![]))), [[event(OWN, Seq(1)), event(OWN, Seq(2))]]);
}

/// Reads of other origins don't hold up pushes of the own log.
#[test]
fn a_read_of_another_origin_does_not_stop_pushing() {
    let mut bench = Bench::linked(VersionVector::default());
    let origin = OriginId { node: NodeId([9; 16]), incarnation: 1 };
    bench.commit(Seq(1));
    bench.step(Input::Frame(LinkId(1), ReplicaFrame::Pull { origin, from: Seq(1), to: Seq(1) }));
    assert_eq!(pushes(bench.commit(Seq(2))), [[event(OWN, Seq(2))]]);
    let done = Input::ReadDone { link: LinkId(1), origin, from: Seq(1), events: vec![event(origin, Seq(1))] };
    assert_eq!(bench.sent(done), [ReplicaFrame::Pulled { origin, events: vec![event(origin, Seq(1))] }]);
    assert_eq!(pushes(bench.commit(Seq(3))), [[event(OWN, Seq(3))]]);
}

/// Promise 8: a frame has at most 512 KB of events, so that a new commit waits only milliseconds behind it.
#[test]
fn events_are_split_at_the_limit_of_a_frame() {
    let mut bench = Bench::linked(VersionVector::default());
    let half = EVENTS_CHUNK_BYTES_MAX / 2;
    let sizes = [half, half, 1, EVENTS_CHUNK_BYTES_MAX + 1, 1, half, half + 1];
    let events = sizes.map(|size| Bytes::from(vec![1; size])).to_vec();
    let sent = pushes(bench.sent(Input::Committed { origin: OWN, first: Seq(1), events }));
    let lengths: Vec<_> = sent.iter().map(|push| push.iter().map(Bytes::len).collect::<Vec<_>>()).collect();
    let expected =
        [vec![half, half], vec![1], vec![EVENTS_CHUNK_BYTES_MAX + 1], vec![1, half], vec![half + 1]];
    assert_eq!(lengths, expected);
    assert_eq!(bench.replica.held().get(OWN), Seq(7));
}

/// Promise 8: 2 MB of events are kept for peers that have just caught up; a peer that lacks more pulls.
#[test]
fn recent_events_are_kept_up_to_2_mb() {
    let mut bench = Bench { replica: Replica::new(VersionVector::default(), Millis(0)), now: Millis(0) };
    let size = 2 * 1024 * 1024 / 4;
    let commit = |bench: &mut Bench, first: u64| {
        let events = vec![Bytes::from(vec![0; size])];
        bench.step(Input::Committed { origin: OWN, first: Seq(first), events });
        bench.replica.queue_sizes().recent_bytes
    };
    let kept = [1, 2, 3, 4, 5, 6].map(|seq| commit(&mut bench, seq));
    assert_eq!(kept, [size, 2 * size, 3 * size, 4 * size, 4 * size, 4 * size]);
    for (link, has, pushed) in [(1, 2, 4), (2, 1, 0)] {
        bench.step(Input::LinkUp {
            link: LinkId(link),
            peer: NodeId([u8::try_from(link).unwrap() + 1; 16]),
            version: WireVersion::V2,
            folds: None,
        });
        let vector = ReplicaFrame::Vector(VersionVector::from_iter([(OWN, Seq(has))]));
        let sent = pushes(bench.sent(Input::Frame(LinkId(link), vector)));
        assert_eq!(sent.concat().len(), pushed, "to a peer that has {has}");
    }
}
