//! Tests of whom a node tells at once that events are durable here, and whom a little later.

use super::tests::{Bench, OTHER, PEER, THEIRS, in_sync_confirm};
use super::*;
use crate::{VersionVector, frame::peer::Confirm};

/// The confirmations among some outputs, by link.
fn confirms(outputs: &[Output]) -> Vec<(LinkId, Vec<(OriginId, Seq)>)> {
    let confirms = outputs.iter().filter_map(|output| match output {
        Output::Send(link, frame) => match PeerFrame::decode(frame).unwrap() {
            PeerFrame::Replica(ReplicaFrame::Confirm(Confirm { new_heads, .. })) => Some((*link, new_heads)),
            _ => None,
        },
        _ => None,
    });
    confirms.collect()
}

fn applied(bench: &mut Bench, seq: u64) -> Vec<(LinkId, Vec<(OriginId, Seq)>)> {
    confirms(&bench.step(Input::Applied(vec![(THEIRS, Seq(seq))])))
}

/// Two peers in sync both ways, on links 1 and 2. The second reaches the first, if so given.
fn bench(reaches: bool) -> Bench {
    let mut bench = Bench::with_two_peers();
    for link in [LinkId(1), LinkId(2)] {
        bench.step(Input::Frame(link, ReplicaFrame::Confirm(in_sync_confirm(vec![]))));
    }
    if reaches {
        bench.step(Input::Frame(LinkId(2), ReplicaFrame::Peers(vec![(PEER, 0)])));
    }
    bench
}

/// Promise 1: an ack waits for the confirmation to the node that wrote, so that one comes at once. To others many batches
/// are one frame, 50 ms later at most.
#[test]
fn the_writer_is_told_at_once_and_others_once_for_many_batches() {
    let mut bench = bench(true);
    for seq in 1..=3 {
        assert_eq!(applied(&mut bench, seq), [(LinkId(1), vec![(THEIRS, Seq(seq))])]);
        bench.now = bench.now + 10;
    }
    assert_eq!(bench.replica.next_tick(), Millis(50));
    bench.now = Millis(49);
    assert_eq!(confirms(&bench.step(Input::Tick)), []);
    bench.now = Millis(50);
    assert_eq!(confirms(&bench.step(Input::Tick)), [(LinkId(2), vec![(THEIRS, Seq(3))])]);
    assert_eq!(confirms(&bench.step(Input::Tick)), []);
    // The time begins anew with the next batch.
    bench.now = Millis(70);
    applied(&mut bench, 4);
    assert_eq!(bench.replica.next_tick(), Millis(120));
}

/// Promise 2 (what one node has, all get): a peer without a link to the writer pulls from here, so it is told at once.
#[test]
fn a_peer_that_does_not_reach_the_writer_is_told_at_once() {
    let mut first = bench(false);
    let both = [(LinkId(1), vec![(THEIRS, Seq(1))]), (LinkId(2), vec![(THEIRS, Seq(1))])];
    assert_eq!(applied(&mut first, 1), both);
    // Nor is it believed to reach it for longer than links may be silent.
    let mut second = bench(true);
    second.now = Millis(SILENCE_MS_MAX + 1);
    for link in [LinkId(1), LinkId(2)] {
        second.step(Input::Frame(link, ReplicaFrame::Confirm(in_sync_confirm(vec![]))));
    }
    assert_eq!(applied(&mut second, 1), both);
}

/// A name is given once (design, section 3): a claim counts on a confirmation only with all that the peer held then, so
/// none leaves out what has waited.
#[test]
fn no_confirmation_leaves_out_what_waits() {
    let mut bench = bench(true);
    applied(&mut bench, 1);
    let written = OriginId { node: OTHER, incarnation: 1 };
    let told = confirms(&bench.step(Input::Applied(vec![(written, Seq(1))])));
    let all = vec![(THEIRS, Seq(1)), (written, Seq(1))];
    assert!(told.contains(&(LinkId(2), all)), "{told:?}");
    // A heartbeat and a change of status are confirmations, too.
    applied(&mut bench, 2);
    let told = confirms(&bench.step(Input::LocalStatus { wall_ms: 0, stalled: true }));
    assert!(told.contains(&(LinkId(2), vec![(THEIRS, Seq(2))])), "{told:?}");
    assert!(bench.replica.next_tick() > bench.now + 50, "nothing waits any more");
}

/// Leaving (design, section 3): a peer counts as a holder only while it is in sync, and once it has confirmed all that is to be
/// handed over.
#[test]
fn holders_are_the_peers_in_sync_that_confirmed_everything() {
    let mut bench = bench(true);
    applied(&mut bench, 2);
    let wanted = bench.replica.held().clone();
    assert_eq!(bench.replica.holders(bench.now, &VersionVector::default()), [PEER, OTHER]);
    assert_eq!(bench.replica.holders(bench.now, &wanted), []);
    let confirm = |seq| ReplicaFrame::Confirm(in_sync_confirm(vec![(THEIRS, Seq(seq))]));
    bench.step(Input::Frame(LinkId(1), confirm(2)));
    bench.step(Input::Frame(LinkId(2), confirm(1)));
    assert_eq!(bench.replica.holders(bench.now, &wanted), [PEER]);
    bench.now = Millis(SILENCE_MS_MAX + 1);
    assert_eq!(bench.replica.holders(bench.now, &wanted), [], "it is silent");
}
