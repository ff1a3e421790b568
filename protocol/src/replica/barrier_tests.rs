//! Tests of barriers: before 'not found', a node must hold what its peers in sync held.

use super::tests::{Bench, OTHER, THEIRS};
use super::*;
use crate::frame::wire::WireVersion;

fn probed(link: LinkId, id: u64, held: u64) -> Input {
    let vector = [(THEIRS, Seq(held))].into_iter().filter(|&(_, seq)| seq > Seq::NONE).collect();
    Input::Frame(link, ReplicaFrame::Probed(id, vector))
}

fn passed(outputs: Vec<Output>) -> Vec<(Token, Option<usize>)> {
    let passed = outputs.into_iter().filter_map(|output| match output {
        Output::BarrierEnded(token, answered) => Some((token, answered)),
        _ => None,
    });
    passed.collect()
}

/// Promise 6: the answer counts each peer once, and only answers to this probe.
#[test]
fn a_barrier_counts_the_peers_that_answered() {
    let mut bench = Bench::with_two_peers();
    assert_eq!(bench.sent(Input::Barrier(Token(7))), [ReplicaFrame::Probe(1), ReplicaFrame::Probe(1)]);
    assert_eq!(passed(bench.step(probed(LinkId(1), 1, 0))), []);
    assert_eq!(passed(bench.step(probed(LinkId(1), 1, 0))), [], "the same peer");
    assert_eq!(passed(bench.step(probed(LinkId(2), 9, 0))), [], "another probe");
    assert_eq!(passed(bench.step(probed(LinkId(2), 1, 0))), [(Token(7), Some(2))]);
}

#[test]
fn a_barrier_needs_nobody_else_without_peers_in_sync() {
    let mut bench = Bench { replica: Replica::new(VersionVector::default(), Millis(0)), now: Millis(0) };
    assert_eq!(passed(bench.step(Input::Barrier(Token(7)))), [(Token(7), Some(0))]);
}

/// A peer whose link is gone will not answer, and is not counted.
#[test]
fn a_barrier_does_not_wait_for_a_peer_whose_link_goes_down() {
    let mut bench = Bench::with_two_peers();
    bench.step(Input::Barrier(Token(7)));
    bench.step(probed(LinkId(1), 1, 0));
    assert_eq!(passed(bench.step(Input::LinkDown(LinkId(2)))), [(Token(7), Some(1))]);
}

/// A peer that comes back on another link was not asked there.
#[test]
fn a_barrier_does_not_wait_for_a_link_that_was_replaced() {
    let mut bench = Bench::with_two_peers();
    bench.step(Input::Barrier(Token(7)));
    bench.step(probed(LinkId(1), 1, 0));
    assert_eq!(
        passed(bench.step(Input::LinkUp {
            link: LinkId(3),
            peer: OTHER,
            version: WireVersion::V2,
            folds: None
        })),
        [(Token(7), Some(1))]
    );
}

/// Promise 8: many requests share one exchange, which starts 20 ms after the one before at the earliest.
#[test]
fn exchanges_start_at_least_20_ms_apart() {
    let mut bench = Bench::linked(VersionVector::default());
    bench.now = Millis(100);
    assert_eq!(bench.sent(Input::Barrier(Token(1))), [ReplicaFrame::Probe(1)]);
    assert!(bench.sent(Input::Barrier(Token(2))).is_empty());
    assert!(bench.sent(Input::Barrier(Token(3))).is_empty());
    assert_eq!(bench.replica.queue_sizes().barrier, 3);
    bench.now = Millis(105);
    assert_eq!(
        passed(bench.step(probed(LinkId(1), 1, 0))),
        [(Token(1), Some(1))],
        "the others came after it began"
    );
    assert_eq!(bench.replica.queue_sizes().barrier, 2);
    assert_eq!(bench.replica.next_tick(), Millis(120));
    bench.now = Millis(119);
    assert!(bench.sent(Input::Tick).is_empty());
    bench.now = Millis(120);
    assert_eq!(bench.sent(Input::Tick), [ReplicaFrame::Probe(2)]);
    assert_eq!(bench.replica.next_tick(), Millis(350), "the first of them came at 100 ms");
    assert_eq!(passed(bench.step(probed(LinkId(1), 2, 0))), [(Token(2), Some(1)), (Token(3), Some(1))]);
    assert_eq!(bench.replica.queue_sizes().barrier, 0);
}

/// Events that a peer held are waited for 250 ms, and the answer then says that some may be missing.
#[test]
fn a_barrier_that_lacks_events_ends_after_250_ms_without_a_count() {
    let mut bench = Bench::linked(VersionVector::default());
    bench.step(Input::Barrier(Token(7)));
    assert_eq!(passed(bench.step(probed(LinkId(1), 1, 5))), []);
    assert_eq!(bench.replica.next_tick(), Millis(250));
    bench.now = Millis(249);
    assert_eq!(passed(bench.step(Input::Tick)), []);
    bench.now = Millis(250);
    assert_eq!(passed(bench.step(Input::Tick)), [(Token(7), None)]);
    assert_eq!(bench.replica.queue_sizes().barrier, 0);
}
