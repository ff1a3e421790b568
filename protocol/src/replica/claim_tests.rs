//! Tests of claims to usernames in single steps: each promise of `claims.rs`. `claim_model` tests whole histories.

use super::tests::{Bench, OWN, THEIRS, event};
use super::*;
use crate::frame::peer::{ClaimAnswer, Confirm};
use crate::frame::wire::WireVersion;

const WAIT_MS: u64 = 4_000;

fn claim(token: Token, seq: Seq, since: Millis) -> Input {
    let waited_for = vec![THEIRS.node];
    Input::Claim(Claim { token, origin: OWN, seq, since, wait_ms: WAIT_MS, waited_for })
}

/// The outcome of a granted claim, confirmed by the peer or by nobody.
fn granted(token: Token, confirmed: bool) -> Vec<(Token, ClaimOutcome)> {
    vec![(token, ClaimOutcome::Confirmed(confirmed.then_some(THEIRS.node).into_iter().collect()))]
}

fn outcomes(outputs: &[Output]) -> Vec<(Token, ClaimOutcome)> {
    let outcomes = outputs.iter().filter_map(|output| match output {
        Output::ClaimWaitEnded(token, outcome) => Some((*token, outcome.clone())),
        _ => None,
    });
    outcomes.collect()
}

fn answer(seq: Seq, held: &[(OriginId, Seq)]) -> Input {
    let held = Some(held.iter().copied().collect());
    let answer = ClaimAnswer { origin: OWN, seq, answered_by: None, held, would_wait_for_claimer: true };
    Input::Frame(LinkId(1), ReplicaFrame::ClaimAnswer(answer))
}

/// The peer confirms the first claim, while it holds its own log up to `own_head`.
fn confirmed(own_head: u64) -> Input {
    let mut held = vec![(OWN, Seq(1))];
    held.extend((own_head > 0).then_some((THEIRS, Seq(own_head))));
    answer(Seq(1), &held)
}

fn peer_sees_us(in_sync: bool) -> Input {
    Input::Frame(LinkId(1), ReplicaFrame::Confirm(Confirm { in_sync, ..Confirm::default() }))
}

/// A replica with a peer in sync both ways.
fn in_sync() -> Bench {
    let mut bench = Bench::linked(VersionVector::default());
    bench.step(peer_sees_us(true));
    bench
}

fn push(seq: Seq) -> Input {
    Input::Frame(LinkId(1), ReplicaFrame::Push(vec![event(THEIRS, seq)]))
}

/// A replica with a peer in sync both ways that waits with claim 7, its first event.
fn claiming() -> Bench {
    let mut bench = in_sync();
    bench.commit(Seq(1));
    assert_eq!(outcomes(&bench.step(claim(Token(7), Seq(1), Millis(0)))), []);
    bench
}

#[test]
fn a_node_without_peers_is_granted_its_claim_at_once() {
    let mut bench = Bench { replica: Replica::new(VersionVector::default(), Millis(0)), now: Millis(0) };
    bench.step(Input::LocalStatus { wall_ms: 0, stalled: true });
    bench.commit(Seq(1));
    let waited_for = bench.replica.claim_peers(Millis(0));
    let claim =
        Claim { token: Token(7), origin: OWN, seq: Seq(1), since: Millis(0), wait_ms: WAIT_MS, waited_for };
    assert_eq!(outcomes(&bench.step(Input::Claim(claim))), granted(Token(7), false));
}

/// Received events are not in the views yet: an earlier claim among them would be missed.
#[test]
fn a_confirmation_counts_once_all_of_its_vector_is_durable_here() {
    let mut bench = claiming();
    bench.step(push(Seq(1)));
    assert_eq!(outcomes(&bench.step(confirmed(1))), []);
    assert_eq!(outcomes(&bench.step(Input::Applied(vec![(THEIRS, Seq(1))]))), granted(Token(7), true));
}

/// The peer's queue was full: its events and its confirmation were dropped, and it must pull the claim.
#[test]
fn a_claim_waits_for_events_that_a_full_queue_dropped() {
    let mut bench = in_sync();
    bench.step(Input::SendRefused(LinkId(1)));
    assert_eq!(bench.commit(Seq(1)), [], "nothing is pushed to it");
    assert_eq!(outcomes(&bench.step(claim(Token(7), Seq(1), Millis(0)))), [], "but the claim waits for it");
    bench.step(Input::SendRefused(LinkId(1)));
    bench.now = Millis(HEARTBEAT_MS);
    let question = ReplicaFrame::AskClaim { origin: OWN, seq: Seq(1), relay_to: None };
    assert!(bench.sent(Input::Tick).contains(&question), "it is asked again");
    bench.step(Input::Frame(LinkId(1), ReplicaFrame::Pull { origin: OWN, from: Seq(1), to: Seq(1) }));
    bench.step(Input::ReadDone {
        link: LinkId(1),
        origin: OWN,
        from: Seq(1),
        events: vec![event(OWN, Seq(1))],
    });
    // Its answer lists all that was dropped.
    assert_eq!(outcomes(&bench.step(confirmed(2))), []);
    let events = vec![event(THEIRS, Seq(1)), event(THEIRS, Seq(2))];
    bench.step(Input::Frame(LinkId(1), ReplicaFrame::Pulled { origin: THEIRS, events }));
    assert_eq!(outcomes(&bench.step(Input::Applied(vec![(THEIRS, Seq(1))]))), []);
    assert_eq!(outcomes(&bench.step(Input::Applied(vec![(THEIRS, Seq(2))]))), granted(Token(7), true));
}

#[test]
fn a_peer_that_goes_on_writing_does_not_hold_up_a_claim() {
    let mut bench = claiming();
    bench.step(push(Seq(1)));
    bench.step(confirmed(1));
    bench.step(push(Seq(2)));
    bench.step(confirmed(2));
    assert_eq!(outcomes(&bench.step(Input::Applied(vec![(THEIRS, Seq(1))]))), granted(Token(7), true));
}

#[test]
fn a_claim_does_not_wait_for_a_peer_that_falls_out_of_sync() {
    let ends: [(fn() -> Input, Millis); 4] = [
        (|| Input::Tick, Millis(SILENCE_MS_MAX + 1)),
        (|| Input::LinkDown(LinkId(1)), Millis(0)),
        (|| peer_sees_us(false), Millis(0)),
        (
            || {
                Input::Frame(
                    LinkId(1),
                    ReplicaFrame::Confirm(Confirm { stalled: true, ..Confirm::default() }),
                )
            },
            Millis(0),
        ),
    ];
    for (end, now) in ends {
        // Either its confirmation is missing, or the events that this lists.
        for owes_events in [false, true] {
            let mut bench = claiming();
            if owes_events {
                assert_eq!(outcomes(&bench.step(confirmed(9))), []);
            }
            bench.now = now;
            assert_eq!(outcomes(&bench.step(end())), granted(Token(7), false), "{:?}", end());
        }
    }
}

#[test]
fn a_claim_that_is_not_confirmed_in_time_ends() {
    let mut bench = claiming();
    for now in [1_000, 2_000, 3_000] {
        bench.now = Millis(now);
        assert_eq!(outcomes(&bench.step(peer_sees_us(true))), []);
    }
    assert!(bench.replica.next_tick() <= Millis(WAIT_MS) && bench.replica.waiting() == 1);
    bench.now = Millis(WAIT_MS);
    assert_eq!(outcomes(&bench.step(Input::Tick)), [(Token(7), ClaimOutcome::NotConfirmed)]);
    assert_eq!((outcomes(&bench.step(confirmed(0))), bench.replica.waiting()), (vec![], 0));
}

/// Peers that know of a stall, or have heard nothing for long, don't wait for this node: they may have decided already.
#[test]
fn a_node_that_stalled_during_a_claim_is_not_granted_it() {
    let stalled = |stalled| Input::LocalStatus { wall_ms: 0, stalled };
    for input in [stalled(true), Input::Resumed] {
        let mut bench = claiming();
        assert_eq!(outcomes(&bench.step(input)), [(Token(7), ClaimOutcome::Stalled)]);
    }
    // The stall was over when the claim came, or just before it began.
    let mut bench = in_sync();
    bench.now = Millis(5_000);
    bench.step(stalled(true));
    bench.now = Millis(5_500);
    bench.step(stalled(false));
    bench.commit(Seq(1));
    bench.now = Millis(8_000);
    bench.step(peer_sees_us(true));
    assert_eq!(
        outcomes(&bench.step(claim(Token(7), Seq(1), Millis(0)))),
        [(Token(7), ClaimOutcome::Stalled)]
    );
    assert_eq!(
        outcomes(&bench.step(claim(Token(8), Seq(1), Millis(7_499)))),
        [(Token(8), ClaimOutcome::Stalled)]
    );
    assert_eq!(outcomes(&bench.step(claim(Token(9), Seq(1), Millis(7_500)))), []);
    assert_eq!(outcomes(&bench.step(confirmed(0))), granted(Token(9), true));
}

const COMMON: NodeId = NodeId([3; 16]);

/// A claim waits for a node without a link through a common peer, until 3 s after that peer heard it last.
#[test]
fn a_claim_waits_for_a_node_behind_a_peer() {
    let mut bench = in_sync();
    bench.now = Millis(5_000);
    bench.step(peer_sees_us(true));
    bench.step(Input::Frame(LinkId(1), ReplicaFrame::Peers(vec![(COMMON, 1_000)])));
    assert_eq!(bench.replica.claim_peers(Millis(5_000)), [THEIRS.node, COMMON]);
    bench.commit(Seq(1));
    let waited_for = vec![THEIRS.node, COMMON];
    let claim = |token| {
        Input::Claim(Claim {
            token,
            origin: OWN,
            seq: Seq(1),
            since: Millis(0),
            wait_ms: WAIT_MS,
            waited_for: waited_for.clone(),
        })
    };
    let ask = |relay_to| ReplicaFrame::AskClaim { origin: OWN, seq: Seq(1), relay_to };
    assert_eq!(bench.sent(claim(Token(7))), [ask(None), ask(Some(COMMON))]);
    bench.step(claim(Token(8)));
    assert_eq!(outcomes(&bench.step(confirmed(0))), []);
    // It holds an event that this node lacks.
    let vector: VersionVector = [(OWN, Seq(1)), (THEIRS, Seq(1))].into_iter().collect();
    let relayed = |held, would_wait_for_claimer| {
        let answered_by = Some(COMMON);
        let answer = ClaimAnswer { origin: OWN, seq: Seq(1), answered_by, held, would_wait_for_claimer };
        Input::Frame(LinkId(1), ReplicaFrame::ClaimAnswer(answer))
    };
    assert_eq!(outcomes(&bench.step(relayed(Some(vector), true))), []);
    bench.step(push(Seq(1)));
    let out = bench.step(Input::Applied(vec![(THEIRS, Seq(1))]));
    let both = ClaimOutcome::Confirmed(waited_for.clone());
    assert_eq!(outcomes(&out), [(Token(7), both.clone()), (Token(8), both)]);
    // A node that doesn't wait for this one is on the other side of a partition. So is a node that was silent for long.
    bench.step(claim(Token(9)));
    bench.step(confirmed(0));
    assert_eq!(outcomes(&bench.step(relayed(None, false))), granted(Token(9), true));
    bench.step(claim(Token(10)));
    bench.step(confirmed(0));
    bench.step(Input::Tick);
    assert!(bench.replica.next_tick() <= Millis(6_000));
    bench.now = Millis(6_900);
    bench.step(Input::Tick);
    bench.step(peer_sees_us(true));
    assert_eq!(bench.replica.next_tick(), Millis(7_001), "it checks as soon as the silence is too long");
    bench.now = Millis(7_001);
    assert_eq!(outcomes(&bench.step(Input::Tick)), granted(Token(10), true));
    assert_eq!(bench.replica.claim_peers(Millis(7_001)), [THEIRS.node]);
}

/// A common peer relays questions and answers between two nodes without a link, if it is in sync with both.
#[test]
fn a_common_peer_relays() {
    let mut bench = in_sync();
    let claimer = OriginId { node: COMMON, incarnation: 1 };
    bench.step(Input::LinkUp { link: LinkId(2), peer: COMMON, version: WireVersion::V2, folds: None });
    bench.step(Input::Frame(LinkId(2), ReplicaFrame::Vector(VersionVector::default())));
    let ask = |relay_to| ReplicaFrame::AskClaim { origin: claimer, seq: Seq(1), relay_to };
    let relayed = Input::Frame(LinkId(2), ask(Some(THEIRS.node)));
    assert_eq!(bench.sent(relayed), [ask(None)]);
    let answer = |answered_by| {
        let held = Some(VersionVector::default());
        ReplicaFrame::ClaimAnswer(ClaimAnswer {
            origin: claimer,
            seq: Seq(1),
            answered_by,
            held,
            would_wait_for_claimer: true,
        })
    };
    assert_eq!(bench.sent(Input::Frame(LinkId(1), answer(None))), [answer(Some(THEIRS.node))]);
    let from_afar = answer(Some(NodeId([4; 16])));
    assert_eq!(bench.sent(Input::Frame(LinkId(1), from_afar)), [], "else an answer could circulate forever");
    bench.step(peer_sees_us(false));
    assert_eq!(bench.sent(Input::Frame(LinkId(2), ask(Some(THEIRS.node)))), []);
}

/// Each peer learns which nodes this one can relay to, and how long ago these were heard.
#[test]
fn a_heartbeat_lists_the_other_peers_in_sync_both_ways() {
    let mut bench = in_sync();
    bench.now = Millis(400);
    for (link, node) in [(2, COMMON), (3, NodeId([4; 16]))] {
        bench.step(Input::LinkUp { link: LinkId(link), peer: node, version: WireVersion::V2, folds: None });
        bench.step(Input::Frame(LinkId(link), ReplicaFrame::Vector(VersionVector::default())));
    }
    let confirm = Confirm { in_sync: true, ..Confirm::default() };
    bench.step(Input::Frame(LinkId(2), ReplicaFrame::Confirm(confirm)));
    bench.now = Millis(HEARTBEAT_MS);
    let lists = bench.sent(Input::Tick).into_iter().filter_map(|frame| match frame {
        ReplicaFrame::Peers(peers) => Some(peers),
        _ => None,
    });
    let (first, second) = ((THEIRS.node, 1_000), (COMMON, 600));
    assert_eq!(lists.collect::<Vec<_>>(), [vec![second], vec![first], vec![first, second]]);
}

/// A node confirms a claim once it is durable, with its whole vector. A node that wouldn't wait for the claimer answers so
/// at once.
#[test]
fn a_confirmation_has_the_whole_vector() {
    let mut bench = in_sync();
    bench.commit(Seq(1));
    let ask = Input::Frame(LinkId(1), ReplicaFrame::AskClaim { origin: THEIRS, seq: Seq(1), relay_to: None });
    assert_eq!(bench.sent(ask), []);
    bench.step(push(Seq(1)));
    let held = Some([(OWN, Seq(1)), (THEIRS, Seq(1))].into_iter().collect());
    let answer =
        ClaimAnswer { origin: THEIRS, seq: Seq(1), answered_by: None, held, would_wait_for_claimer: true };
    let sent = bench.sent(Input::Applied(vec![(THEIRS, Seq(1))]));
    assert!(sent.contains(&ReplicaFrame::ClaimAnswer(answer)), "{sent:?}");
    bench.step(peer_sees_us(false));
    let ask = Input::Frame(LinkId(1), ReplicaFrame::AskClaim { origin: THEIRS, seq: Seq(2), relay_to: None });
    let no = ClaimAnswer {
        origin: THEIRS,
        seq: Seq(2),
        answered_by: None,
        held: None,
        would_wait_for_claimer: false,
    };
    assert_eq!(bench.sent(ask), [ReplicaFrame::ClaimAnswer(no)]);
}

/// Promise 8: the number of waiting claims is bounded.
#[test]
fn waiting_claims_are_bounded() {
    let mut bench = claiming();
    for token in 8..2_000 {
        bench.step(claim(Token(token), Seq(1), Millis(0)));
    }
    assert_eq!(bench.replica.waiting(), 1_024);
    assert_eq!(
        outcomes(&bench.step(claim(Token(2_000), Seq(1), Millis(0)))),
        [(Token(2_000), ClaimOutcome::NotConfirmed)]
    );
}
