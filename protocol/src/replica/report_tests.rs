//! Tests of what a replica reports of itself and of its peers, and of when it wants to be called.

use super::tests::{Bench, OTHER, OWN, PEER, THEIRS, event, in_sync_confirm, settled};
use super::*;
use crate::clock_majority::ClockVerdict;
use crate::digest::{Digest, ScopeDigest};
use crate::frame::peer::Confirm;
use crate::frame::wire::WireVersion;

fn confirm_from(link: LinkId, confirm: Confirm) -> Input {
    Input::Frame(link, ReplicaFrame::Confirm(confirm))
}

/// Operators see how many events each peer lacks: all origins together, and whether it is in sync.
#[test]
fn the_lag_of_a_peer_counts_the_events_that_it_lacks() {
    let mut bench = Bench::linked(VersionVector::default());
    for seq in 1..=5 {
        bench.commit(Seq(seq));
    }
    bench.step(Input::Applied(vec![(THEIRS, Seq(3))]));
    bench.confirm(Seq(2));
    let lag = |bench: &Bench, now| bench.replica.lag(now).collect::<Vec<_>>();
    assert_eq!(lag(&bench, Millis(0)), [(PEER, 3 + 3, true)]);
    assert_eq!(lag(&bench, Millis(SILENCE_MS_MAX + 1)), [(PEER, 6, false)]);
}

/// Operators see how many events this node lacks of each origin.
#[test]
fn missing_events_are_counted_by_origin() {
    let other = OriginId { node: OTHER, incarnation: 1 };
    let mut bench = Bench::linked(VersionVector::from_iter([(THEIRS, Seq(9)), (other, Seq(4))]));
    bench.step(Input::Applied(vec![(THEIRS, Seq(2))]));
    assert_eq!(bench.replica.missing().collect::<Vec<_>>(), [(THEIRS, 7), (other, 4)]);
    assert_eq!(bench.replica.queue_sizes().missing_origins, 2);
    bench.step(Input::Applied(vec![(THEIRS, Seq(9)), (other, Seq(4))]));
    assert_eq!(bench.replica.missing().count(), 0);
}

/// A node may say 'not found' of another node's events only if somebody who is linked has them all.
#[test]
fn what_a_linked_peer_holds_is_reachable() {
    let mut bench = Bench::linked(VersionVector::from_iter([(THEIRS, Seq(3))]));
    bench.commit(Seq(1));
    let reachable = |origin, seq| bench.replica.reachable(&VersionVector::from_iter([(origin, seq)]));
    assert!(reachable(THEIRS, Seq(3)) && reachable(OWN, Seq(1)));
    assert!(!reachable(THEIRS, Seq(4)) && !reachable(OWN, Seq(2)));
}

/// Promise 1: an ack counts this node and each peer that confirmed.
#[test]
fn copies_count_this_node_and_each_peer_that_confirmed() {
    let mut bench = Bench::with_two_peers();
    bench.commit(Seq(1));
    assert_eq!(bench.replica.copies(OWN, Seq(1)), 1);
    for (link, copies) in [(1, 2), (2, 3)] {
        bench.step(confirm_from(LinkId(link), in_sync_confirm(vec![(OWN, Seq(1))])));
        assert_eq!(bench.replica.copies(OWN, Seq(1)), copies);
    }
    assert_eq!(bench.replica.copies(OWN, Seq(2)), 1);
    assert_eq!(
        (bench.replica.in_sync_count(Millis(0)), bench.replica.in_sync_count(Millis(SILENCE_MS_MAX + 1))),
        (2, 0)
    );
}

/// The peer that has confirmed the most limits the cursors: one copy on another node is enough.
#[test]
fn cursors_follow_the_peer_in_sync_that_has_confirmed_the_most() {
    let mut bench = Bench::with_two_peers();
    for seq in 1..=3 {
        bench.commit(Seq(seq));
    }
    for (link, seq) in [(1, 3), (2, 1)] {
        bench.step(confirm_from(LinkId(link), in_sync_confirm(vec![(OWN, Seq(seq))])));
    }
    assert_eq!(bench.replica.cursor_limit(Millis(0)), Some(Seq(3)));
}

/// A node starts to serve once all peers see it in sync. A peer that refills its store says nothing about another one.
#[test]
fn all_peers_must_see_a_node_in_sync_and_one_of_them_must_have_kept_its_store() {
    let alone = Bench { replica: Replica::new(VersionVector::default(), Millis(0)), now: Millis(0) };
    assert_eq!(alone.replica.peers_see_us_in_sync(Millis(0)), None);
    let mut bench = Bench::with_two_peers();
    bench.step(confirm_from(LinkId(1), in_sync_confirm(vec![])));
    assert_eq!(bench.replica.peers_see_us_in_sync(Millis(0)), Some(false), "one is not enough");
    bench.step(confirm_from(LinkId(2), in_sync_confirm(vec![])));
    assert_eq!(bench.replica.peers_see_us_in_sync(Millis(0)), Some(true));
    assert_eq!(bench.replica.peers_see_us_in_sync(Millis(SILENCE_MS_MAX + 1)), None);
    for link in [1, 2] {
        bench.step(confirm_from(LinkId(link), Confirm { refilling: true, ..in_sync_confirm(vec![]) }));
    }
    assert_eq!(bench.replica.peers_see_us_in_sync(Millis(0)), Some(true), "this node has kept its store");
    bench.step(Input::Refilling(true));
    assert_eq!(bench.replica.peers_see_us_in_sync(Millis(0)), None);
    bench.step(confirm_from(LinkId(2), in_sync_confirm(vec![])));
    assert_eq!(bench.replica.peers_see_us_in_sync(Millis(0)), Some(true));
}

/// Promise 8: everything that waits is counted, so that its limits can be tested.
#[test]
fn all_that_waits_is_counted() {
    let mut bench = Bench::linked(VersionVector::default());
    bench.commit(Seq(1));
    bench.wait(Token(1), Seq(1), Until::Copies(2));
    for token in 2..=4 {
        let waited_for = vec![PEER];
        bench.confirm(Seq(0));
        bench.step(Input::Claim(Claim {
            token: Token(token),
            origin: OWN,
            seq: Seq(1),
            since: Millis(0),
            wait_ms: 500,
            waited_for,
        }));
    }
    assert_eq!(bench.replica.waiting(), 4);
    bench.step(Input::Barrier(Token(5)));
    bench.step(Input::Barrier(Token(6)));
    let recent_bytes = event(OWN, Seq(1)).len();
    let sizes = QueueSizes { links: 1, missing_origins: 0, barrier: 2, recent_bytes };
    assert_eq!(bench.replica.queue_sizes(), sizes);
}

/// The driver sleeps until then: a later time would delay answers, an earlier one would spin.
#[test]
fn the_next_tick_is_the_first_of_all_deadlines() {
    let mut bench = Bench::linked(VersionVector::default());
    assert_eq!(bench.replica.next_tick(), Millis(HEARTBEAT_MS));
    bench.now = Millis(10);
    bench.commit(Seq(1));
    let waited_for = vec![PEER];
    bench.confirm(Seq(0));
    bench.step(Input::Claim(Claim {
        token: Token(9),
        origin: OWN,
        seq: Seq(1),
        since: Millis(10),
        wait_ms: 700,
        waited_for,
    }));
    assert_eq!(bench.replica.next_tick(), Millis(710), "the end of the claim");
    bench.step(Input::Barrier(Token(8)));
    assert_eq!(bench.replica.next_tick(), Millis(260), "the end of the barrier");
    bench.wait(Token(7), Seq(1), Until::Copies(2));
    assert_eq!(bench.replica.next_tick(), Millis(210), "the end of the wait");
    bench.now = Millis(210);
    assert_eq!(settled(&bench.step(Input::Tick)), [(Token(7), 1)]);
    assert_eq!(bench.replica.next_tick(), Millis(260), "the upgrade ends much later");
}

#[test]
fn the_next_tick_is_also_the_end_of_an_upgrade() {
    let mut bench = Bench::linked(VersionVector::default());
    bench.commit(Seq(1));
    let waiter = Waiter {
        token: Token(7),
        origin: OWN,
        seq: Seq(1),
        until: Until::Copies(2),
        wait_ms: 10,
        upgrade_ms: 20,
    };
    bench.step(Input::Await(waiter));
    for (now, next) in [(10, 30), (30, HEARTBEAT_MS)] {
        bench.now = Millis(now);
        bench.step(Input::Tick);
        assert_eq!(bench.replica.next_tick(), Millis(next));
    }
}

/// Each confirmation says how far this node's own log goes, so that a peer misses nothing when a push was dropped.
#[test]
fn a_heartbeat_says_how_far_the_own_log_goes() {
    let mut bench = Bench::linked(VersionVector::default());
    bench.commit(Seq(1));
    bench.step(Input::LocalStatus { wall_ms: 5_000, stalled: false });
    bench.now = Millis(HEARTBEAT_MS);
    let frames = bench.sent(Input::Tick);
    let own_heads = frames.iter().filter_map(|frame| match frame {
        ReplicaFrame::Confirm(confirm) => Some((confirm.own_head, confirm.wall_ms)),
        _ => None,
    });
    assert_eq!(own_heads.collect::<Vec<_>>(), [(Some((OWN, Seq(1))), 5_000 + HEARTBEAT_MS)]);
    assert_eq!(bench.replica.next_tick(), Millis(2 * HEARTBEAT_MS));
}

/// A second link to a peer replaces the first: it is one peer.
#[test]
fn a_second_link_to_a_peer_replaces_the_first() {
    let mut bench = Bench::with_two_peers();
    bench.step(Input::LinkUp { link: LinkId(3), peer: PEER, version: WireVersion::V2, folds: None });
    let peers: Vec<_> = bench.replica.lag(Millis(0)).map(|(peer, ..)| peer).collect();
    assert_eq!(peers, [OTHER, PEER]);
    assert!(bench.sent(Input::Frame(LinkId(1), ReplicaFrame::Probe(1))).is_empty(), "the first is gone");
}

/// Operators see with how many shards of a peer this node agrees, and one digest of everything.
#[test]
fn equal_shards_are_counted_and_all_of_them_have_one_digest() {
    let digest = |n: u8| {
        let half = Digest::hash_row("t", &[n], &[]);
        ScopeDigest { applied: half, views: half }
    };
    let mut bench = Bench::linked(VersionVector::default());
    bench.step(Input::Digests(vec![(1, digest(1)), (2, digest(2)), (3, digest(3))]));
    let received = vec![(1, digest(1)), (2, digest(2)), (3, digest(4))];
    bench.step(Input::Frame(LinkId(1), ReplicaFrame::Digests(received)));
    let agreements: Vec<_> = bench.replica.agreements().collect();
    assert_eq!(agreements, [Agreement { peer: PEER, equal: 2, diverged: 0 }]);
    let mut sum = digest(1);
    sum.add(digest(2));
    sum.add(digest(3));
    assert_eq!(bench.replica.digest(), sum);
}

/// A peer gets all digests once, and then those that change. After a dropped frame it gets all again.
#[test]
fn heartbeats_send_all_digests_once_and_then_changes() {
    let digest = |n: u8| ScopeDigest { applied: Digest::hash_row("t", &[n], &[]), ..ScopeDigest::default() };
    let mut bench = Bench::linked(VersionVector::default());
    let heartbeat = |bench: &mut Bench| {
        bench.now = bench.now + HEARTBEAT_MS;
        let sent = bench.sent(Input::Tick).into_iter().filter_map(|frame| match frame {
            ReplicaFrame::Digests(digests) => Some(digests),
            _ => None,
        });
        sent.collect::<Vec<_>>()
    };
    bench.step(Input::Digests(vec![(1, digest(1)), (2, digest(2))]));
    assert_eq!(heartbeat(&mut bench), [[(1, digest(1)), (2, digest(2))]]);
    assert!(heartbeat(&mut bench).is_empty());
    bench.step(Input::Digests(vec![(2, digest(3))]));
    assert_eq!(heartbeat(&mut bench), [[(2, digest(3))]]);
    bench.step(Input::SendRefused(LinkId(1)));
    assert_eq!(heartbeat(&mut bench), [[(1, digest(1)), (2, digest(3))]]);
}

/// Promise 10: a wrong clock is judged by peers in sync both ways; what others say may have waited in a queue.
#[test]
fn the_clock_is_judged_by_the_peers_in_sync() {
    const HOUR: u64 = 3_600_000;
    let mut bench = Bench::with_two_peers();
    bench.now = Millis(100);
    bench.step(Input::LocalStatus { wall_ms: 5 * HOUR, stalled: false });
    let ahead = |in_sync, hours| Confirm { in_sync, wall_ms: 5 * HOUR + hours * HOUR, ..Confirm::default() };
    bench.step(confirm_from(LinkId(1), ahead(true, 1)));
    bench.step(confirm_from(LinkId(2), ahead(false, 1)));
    let spread = i64::try_from(HOUR).unwrap();
    assert_eq!(bench.replica.judge_clock(Millis(100)), ClockVerdict::Disputed(spread), "one against one");
    bench.step(confirm_from(LinkId(2), ahead(true, 1)));
    assert_eq!(bench.replica.judge_clock(Millis(100)), ClockVerdict::Wrong(-spread));
    assert_eq!(
        bench.replica.judge_clock(Millis(100 + SILENCE_MS_MAX + 1)),
        ClockVerdict::Agrees,
        "nobody is heard"
    );
}

/// Peers learn at once that a node has stalled, and that this is over, since they wait for its copies.
#[test]
fn peers_are_told_at_once_when_a_stall_begins_and_ends() {
    let mut bench = Bench::linked(VersionVector::default());
    for (stalled, told) in
        [(false, vec![]), (true, vec![true]), (true, vec![]), (false, vec![false]), (false, vec![])]
    {
        let frames = bench.sent(Input::LocalStatus { wall_ms: 0, stalled });
        let said = frames.into_iter().map(|frame| match frame {
            ReplicaFrame::Confirm(confirm) => confirm.stalled,
            other => panic!("{other:?}"),
        });
        assert_eq!(said.collect::<Vec<_>>(), told);
    }
}

/// A heartbeat has the whole vector while the peer lacks something, and once after a dropped frame.
#[test]
fn a_heartbeat_has_the_vector_while_it_is_needed() {
    let mut bench = Bench::linked(VersionVector::default());
    bench.confirm(Seq(0));
    let vectors = |bench: &mut Bench| {
        bench.now = bench.now + HEARTBEAT_MS;
        let frames = bench.sent(Input::Tick);
        frames.into_iter().filter(|frame| matches!(frame, ReplicaFrame::Vector(_))).count()
    };
    assert_eq!([vectors(&mut bench), vectors(&mut bench)], [0, 0], "it has everything");
    bench.step(Input::SendRefused(LinkId(1)));
    assert_eq!([vectors(&mut bench), vectors(&mut bench)], [1, 0], "once after a dropped frame");
    bench.commit(Seq(1));
    assert_eq!([vectors(&mut bench), vectors(&mut bench)], [1, 1], "it lacks an event");
    bench.confirm(Seq(1));
    assert_eq!(vectors(&mut bench), 0);
    bench.step(confirm_from(LinkId(1), Confirm::default()));
    assert_eq!([vectors(&mut bench), vectors(&mut bench)], [1, 1], "it doesn't see this node in sync");
}

/// Promise 8: a peer asks to compare as many scopes as fit, and only of shards that have diverged.
#[test]
fn scopes_are_read_for_a_peer_within_its_limits() {
    let mut bench = Bench::linked(VersionVector::default());
    let ask = || Input::Frame(LinkId(1), ReplicaFrame::AskScopes(9));
    let read = bench.step(ask());
    assert!(matches!(read[..], [Output::ReadScopes { link: LinkId(1), shard: 9 }]), "{read:?}");
    assert_eq!((1..20).map(|_| bench.step(ask()).len()).sum::<usize>(), 15, "16 reads at a time");
    let scope = || (crate::Scope::room(crate::RoomId([0; 10])), ScopeDigest::default());
    let scopes = (0..1_001).map(|_| scope()).collect();
    let sent = bench.sent(Input::ScopesRead { link: LinkId(1), shard: 9, scopes });
    assert!(matches!(&sent[..], [ReplicaFrame::Scopes(9, scopes)] if scopes.len() == 1_000));
    assert_eq!((bench.step(ask()).len(), bench.step(ask()).len()), (1, 0), "one has ended");
    assert!(
        bench.step(Input::Frame(LinkId(1), ReplicaFrame::Scopes(9, vec![scope()]))).is_empty(),
        "it has not diverged"
    );
}
