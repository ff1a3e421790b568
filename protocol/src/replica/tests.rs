//! Tests of single steps of the state machine. The simulator (`node/tests/sim`) tests whole histories.

use super::*;
use crate::digest::{Digest, ScopeDigest, VIEWS_VERSION};
use crate::frame::{peer::Confirm, wire::WireVersion};
use crate::{Event, EventBody, MessagePosted};
use crate::{EventDraft, GuestId, GuestName, Hlc, MessageId, MessageText, RoomId, Scope, Sender};

pub(super) const PEER: NodeId = NodeId([2; 16]);
pub(super) const OTHER: NodeId = NodeId([3; 16]);
pub(super) const OWN: OriginId = OriginId { node: NodeId([1; 16]), incarnation: 1 };
pub(super) const THEIRS: OriginId = OriginId { node: PEER, incarnation: 1 };

pub(super) fn event(origin: OriginId, seq: Seq) -> Bytes {
    let sender = Sender::Guest { id: GuestId([0; 16]), name: GuestName::parse("x").unwrap() };
    let text = MessageText::parse("text").unwrap();
    let posted = MessagePosted::new(MessageId::from_u128(u128::from(seq.0)), sender, text);
    let body = EventBody::MessagePosted(posted);
    let draft = EventDraft { scope: Scope::room(RoomId([0; 10])), body, above_hlc: None };
    Event::new(origin, seq, Hlc(seq.0), draft).encoded().clone()
}

pub(super) fn in_sync_confirm(new_heads: Vec<(OriginId, Seq)>) -> Confirm {
    Confirm { new_heads, in_sync: true, ..Confirm::default() }
}

/// A replica with one link to a peer that has confirmed `theirs`.
pub(super) struct Bench {
    pub(super) replica: Replica,
    pub(super) now: Millis,
}

impl Bench {
    pub(super) fn linked(theirs: VersionVector) -> Self {
        let mut bench = Self { replica: Replica::new(VersionVector::default(), Millis(0)), now: Millis(0) };
        bench.step(Input::LinkUp { link: LinkId(1), peer: PEER, version: WireVersion::V2, folds: None });
        bench.step(Input::Frame(LinkId(1), ReplicaFrame::Vector(theirs)));
        bench.step(Input::Frame(LinkId(1), ReplicaFrame::Views(VIEWS_VERSION)));
        bench
    }

    /// Two peers in sync, on links 1 and 2, which have confirmed nothing.
    pub(super) fn with_two_peers() -> Self {
        let mut bench = Self::linked(VersionVector::default());
        bench.step(Input::LinkUp { link: LinkId(2), peer: OTHER, version: WireVersion::V2, folds: None });
        bench.step(Input::Frame(LinkId(2), ReplicaFrame::Vector(VersionVector::default())));
        bench
    }

    pub(super) fn step(&mut self, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        self.replica.handle(self.now, input, &mut out);
        out
    }

    pub(super) fn sent(&mut self, input: Input) -> Vec<ReplicaFrame> {
        let frames = self.step(input).into_iter().filter_map(|output| match output {
            Output::Send(_, bytes) => Some(PeerFrame::decode(&bytes).unwrap()),
            _ => None,
        });
        frames
            .map(|frame| match frame {
                PeerFrame::Replica(frame) => frame,
                other => panic!("a replica must not send {other:?}"),
            })
            .collect()
    }

    pub(super) fn commit(&mut self, seq: Seq) -> Vec<ReplicaFrame> {
        self.sent(Input::Committed { origin: OWN, first: seq, events: vec![event(OWN, seq)] })
    }

    pub(super) fn confirm(&mut self, seq: Seq) -> Vec<Output> {
        let confirm = in_sync_confirm(vec![(OWN, seq)]);
        self.step(Input::Frame(LinkId(1), ReplicaFrame::Confirm(confirm)))
    }

    pub(super) fn wait(&mut self, token: Token, seq: Seq, until: Until) -> Vec<Output> {
        let waiter = Waiter { token, origin: OWN, seq, until, wait_ms: 200, upgrade_ms: 10_000 };
        self.step(Input::Await(waiter))
    }
}

pub(super) fn settled(outputs: &[Output]) -> Vec<(Token, usize)> {
    let settled = outputs.iter().filter_map(|output| match output {
        Output::Settled { token, copies, .. } => Some((*token, *copies)),
        _ => None,
    });
    settled.collect()
}

#[test]
fn a_commit_is_pushed_at_once_and_copies_count_confirmations() {
    let mut bench = Bench::linked(VersionVector::default());
    assert_eq!(bench.commit(Seq(1)), [ReplicaFrame::Push(vec![event(OWN, Seq(1))])]);
    assert_eq!(settled(&bench.wait(Token(7), Seq(1), Until::Copies(2))), []);
    assert_eq!(settled(&bench.confirm(Seq(1))), [(Token(7), 2)]);
}

#[test]
fn a_wait_ends_at_its_deadline_with_the_present_number_of_copies() {
    let mut bench = Bench::linked(VersionVector::default());
    bench.commit(Seq(1));
    bench.wait(Token(7), Seq(1), Until::Copies(2));
    bench.now = Millis(199);
    assert_eq!(settled(&bench.step(Input::Tick)), []);
    bench.now = Millis(200);
    assert_eq!(settled(&bench.step(Input::Tick)), [(Token(7), 1)]);
}

#[test]
fn waiters_do_not_wait_for_peers_out_of_sync() {
    let mut bench = Bench::linked(VersionVector::default());
    bench.commit(Seq(1));
    bench.now = Millis(SILENCE_MS_MAX + 1);
    assert_eq!(settled(&bench.wait(Token(7), Seq(1), Until::Copies(2))), [(Token(7), 1)]);
    assert_eq!(settled(&bench.wait(Token(8), Seq(1), Until::InSync)), [(Token(8), 1)]);
}

#[test]
fn a_missed_push_is_pulled_and_pushing_continues_after_it() {
    let mut bench = Bench::linked(VersionVector::default());
    bench.step(Input::SendRefused(LinkId(1)));
    assert_eq!(bench.commit(Seq(1)), []);
    let pull = ReplicaFrame::Pull { origin: OWN, from: Seq(1), to: Seq(1) };
    let read = bench.step(Input::Frame(LinkId(1), pull));
    assert!(matches!(read[..], [Output::Read { link: LinkId(1), from: Seq(1), to: Seq(1), .. }]), "{read:?}");
    // A commit during the read follows the answer, and later commits follow that.
    assert_eq!(bench.commit(Seq(2)), []);
    let answer =
        Input::ReadDone { link: LinkId(1), origin: OWN, from: Seq(1), events: vec![event(OWN, Seq(1))] };
    let pulled = ReplicaFrame::Pulled { origin: OWN, events: vec![event(OWN, Seq(1))] };
    assert_eq!(bench.sent(answer), [pulled, ReplicaFrame::Push(vec![event(OWN, Seq(2))])]);
    assert_eq!(bench.commit(Seq(3)), [ReplicaFrame::Push(vec![event(OWN, Seq(3))])]);
}

#[test]
fn only_gap_free_events_are_applied() {
    let mut bench = Bench::linked(VersionVector::default());
    let push = |seqs: &[u64]| {
        Input::Frame(LinkId(1), ReplicaFrame::Push(seqs.iter().map(|&seq| event(THEIRS, Seq(seq))).collect()))
    };
    let applied = |outputs: &[Output]| {
        let events = outputs.iter().filter_map(|output| match output {
            Output::Apply(events) => Some(events.iter().map(|event| event.seq).collect::<Vec<_>>()),
            _ => None,
        });
        events.flatten().collect::<Vec<_>>()
    };
    assert_eq!(applied(&bench.step(push(&[1, 2]))), [Seq(1), Seq(2)]);
    assert!(applied(&bench.step(push(&[2, 4]))).is_empty());
    assert_eq!(applied(&bench.step(push(&[3, 4]))), [Seq(3), Seq(4)]);
}

#[test]
fn events_of_a_dead_writer_are_pulled_from_another_peer() {
    let dead = OriginId { node: NodeId([9; 16]), incarnation: 1 };
    let mut bench = Bench { replica: Replica::new(VersionVector::default(), Millis(0)), now: Millis(0) };
    bench.step(Input::LinkUp { link: LinkId(1), peer: PEER, version: WireVersion::V2, folds: None });
    let vector = ReplicaFrame::Vector([(dead, Seq(5))].into_iter().collect());
    let sent = bench.sent(Input::Frame(LinkId(1), vector));
    assert!(sent.contains(&ReplicaFrame::Pull { origin: dead, from: Seq(1), to: Seq(5) }), "{sent:?}");
}

#[test]
fn a_barrier_waits_for_the_events_of_peers_in_sync() {
    let mut bench = Bench::linked(VersionVector::default());
    let passed = |outputs: &[Output]| outputs.iter().any(|o| matches!(o, Output::BarrierEnded(Token(3), _)));
    assert_eq!(bench.sent(Input::Barrier(Token(3))), [ReplicaFrame::Probe(1)]);
    let probed = ReplicaFrame::Probed(1, [(THEIRS, Seq(1))].into_iter().collect());
    assert!(!passed(&bench.step(Input::Frame(LinkId(1), probed))));
    assert!(passed(&bench.step(Input::Applied(vec![(THEIRS, Seq(1))]))));
}

#[test]
fn cursors_include_only_events_that_a_peer_in_sync_has_confirmed() {
    let mut bench = Bench::linked(VersionVector::default());
    // Cursors don't include the first commit before the replica knows of it.
    assert_eq!(bench.replica.cursor_limit(Millis(0)), Some(Seq(0)));
    bench.commit(Seq(1));
    assert_eq!(bench.replica.cursor_limit(Millis(0)), Some(Seq(0)));
    bench.confirm(Seq(1));
    assert_eq!(bench.replica.cursor_limit(Millis(0)), Some(Seq(1)));
    assert_eq!(bench.replica.cursor_limit(Millis(SILENCE_MS_MAX + 1)), None);
}

#[test]
fn a_malformed_event_closes_the_link() {
    let mut bench = Bench::linked(VersionVector::default());
    let push = ReplicaFrame::Push(vec![Bytes::from_static(b"\x01nonsense")]);
    assert!(matches!(bench.step(Input::Frame(LinkId(1), push))[..], [Output::Close(LinkId(1), _), ..]));
}

/// Promise 1: an ack has the true number of copies. At most one later ack upgrades it, within 10 s.
#[test]
fn an_answer_with_too_few_copies_is_upgraded_once() {
    let mut bench = Bench::linked(VersionVector::default());
    for seq in 1..=3 {
        bench.commit(Seq(seq));
        bench.wait(Token(seq), Seq(seq), Until::Copies(2));
    }
    bench.now = Millis(200);
    assert_eq!(settled(&bench.step(Input::Tick)), [(Token(1), 1), (Token(2), 1), (Token(3), 1)]);
    assert_eq!(settled(&bench.confirm(Seq(2))), [(Token(1), 2), (Token(2), 2)]);
    assert_eq!(settled(&bench.confirm(Seq(2))), [], "once is enough");
    bench.now = Millis(10_200);
    assert!(bench.step(Input::Tick).iter().any(|output| matches!(output, Output::UpgradeExpired(Token(3)))));
    assert_eq!((settled(&bench.confirm(Seq(3))), bench.replica.waiting()), (vec![], 0));
}

/// Promise 8: the number of waiters for an upgrade is bounded, even without peers.
#[test]
fn waiters_for_an_upgrade_are_bounded() {
    let mut bench = Bench { replica: Replica::new(VersionVector::default(), Millis(0)), now: Millis(0) };
    for seq in 1..=70_000 {
        bench.commit(Seq(seq));
        bench.wait(Token(seq), Seq(seq), Until::Copies(2));
    }
    assert_eq!(bench.replica.waiting(), 65_536);
}

#[test]
fn waiters_do_not_wait_for_a_stalled_peer() {
    let mut bench = Bench::linked(VersionVector::default());
    bench.commit(Seq(1));
    let stalled = |stalled| {
        Input::Frame(LinkId(1), ReplicaFrame::Confirm(Confirm { stalled, ..in_sync_confirm(vec![]) }))
    };
    bench.step(stalled(true));
    assert_eq!(settled(&bench.wait(Token(7), Seq(1), Until::InSync)), [(Token(7), 1)]);
    bench.step(stalled(false));
    assert_eq!(settled(&bench.wait(Token(8), Seq(1), Until::InSync)), []);
}

#[test]
fn a_node_that_is_not_seen_in_sync_sends_its_vector_again() {
    let mut bench = Bench::linked(VersionVector::default());
    let sends_vector = |bench: &mut Bench, now| {
        bench.now = now;
        bench.sent(Input::Tick).iter().any(|frame| matches!(frame, ReplicaFrame::Vector(_)))
    };
    assert!(sends_vector(&mut bench, Millis(HEARTBEAT_MS)), "the first may be lost");
    bench.step(Input::Frame(LinkId(1), ReplicaFrame::Confirm(in_sync_confirm(Vec::new()))));
    assert!(!sends_vector(&mut bench, Millis(2 * HEARTBEAT_MS)));
}

/// After a suspension a node exchanges vectors before it sees itself or anybody else in sync.
#[test]
fn a_resumed_node_exchanges_vectors_first() {
    let mut bench = Bench::linked(VersionVector::default());
    bench.confirm(Seq(0));
    assert_eq!(bench.replica.peers_see_us_in_sync(bench.now), Some(true));
    let sent = bench.sent(Input::Resumed);
    assert!(matches!(sent[..], [ReplicaFrame::Vector(_), ReplicaFrame::Probe(1)]), "{sent:?}");
    // The peer may have sent these during the suspension.
    bench.step(Input::Frame(LinkId(1), ReplicaFrame::Vector(VersionVector::default())));
    bench.confirm(Seq(0));
    assert_eq!(bench.replica.peers_see_us_in_sync(bench.now), Some(false));
    assert_eq!(bench.replica.in_sync_count(bench.now), 0);
    bench.step(Input::Frame(LinkId(1), ReplicaFrame::Probed(1, VersionVector::default())));
    bench.confirm(Seq(0));
    assert_eq!(bench.replica.peers_see_us_in_sync(bench.now), Some(true));
    assert_eq!(bench.replica.in_sync_count(bench.now), 1);
}

/// Promise 4: different views of the same events are found and reported, and cleared once they are equal.
#[test]
fn different_views_of_the_same_events_are_found() {
    let digest = |applied: u8, views: u8| ScopeDigest {
        applied: Digest::hash_row("events", &[applied], &[]),
        views: Digest::hash_row("rows", &[views], &[]),
    };
    let mut bench = Bench::linked(VersionVector::default());
    let received = |digest| Input::Frame(LinkId(1), ReplicaFrame::Digests(vec![(9, digest)]));
    let diverged = |bench: &Bench| bench.replica.agreements().map(|peer| peer.diverged).sum::<usize>();
    let asked = |bench: &mut Bench, now| {
        bench.now = now;
        bench.sent(Input::Tick).contains(&ReplicaFrame::AskScopes(9))
    };
    bench.step(Input::Digests(vec![(9, digest(1, 1))]));
    bench.step(received(digest(2, 2)));
    assert!(!asked(&mut bench, Millis(20_000)), "it has applied other events: that is only lag");
    bench.step(received(digest(1, 2)));
    assert!(
        !asked(&mut bench, Millis(21_000)) && !asked(&mut bench, Millis(30_000)) && diverged(&bench) == 0,
        "it may be temporary"
    );
    assert!(asked(&mut bench, Millis(31_000)) && diverged(&bench) == 1);
    assert!(!asked(&mut bench, Millis(40_000)), "asked once");
    bench.step(received(digest(2, 1)));
    assert!(!asked(&mut bench, Millis(41_000)) && diverged(&bench) == 1, "lag doesn't clear it");
    let scopes = vec![(Scope::room(RoomId([0; 10])), digest(1, 2))];
    let compare = bench.step(Input::Frame(LinkId(1), ReplicaFrame::Scopes(9, scopes)));
    assert!(matches!(compare[..], [Output::CompareScopes { peer: PEER, .. }]), "{compare:?}");
    bench.step(received(digest(1, 1)));
    assert!(!asked(&mut bench, Millis(42_000)) && diverged(&bench) == 0);
}

/// Promise 12: views of different versions are not compared, so that a rolling upgrade raises no alarm on either node.
#[test]
fn views_of_other_versions_are_not_compared() {
    let digest =
        |views: u8| ScopeDigest { views: Digest::hash_row("rows", &[views], &[]), ..Default::default() };
    let compares = |wire: WireVersion, views: Option<u32>| {
        let mut bench = Bench { replica: Replica::new(VersionVector::default(), Millis(0)), now: Millis(0) };
        let link_up = Input::LinkUp { link: LinkId(1), peer: PEER, version: wire, folds: None };
        let says_version = bench.sent(link_up).contains(&ReplicaFrame::Views(VIEWS_VERSION));
        assert_eq!(says_version, wire >= WireVersion::V2, "an older peer takes the frame for a broken one");
        if let Some(version) = views {
            bench.step(Input::Frame(LinkId(1), ReplicaFrame::Views(version)));
        }
        bench.step(Input::Digests(vec![(9, digest(1))]));
        bench.step(Input::Frame(LinkId(1), ReplicaFrame::Digests(vec![(9, digest(2))])));
        let mut sent = Vec::new();
        for now in [1_000, 20_000] {
            bench.now = Millis(now);
            sent.extend(bench.sent(Input::Tick));
        }
        let tells = sent.iter().any(|frame| matches!(frame, ReplicaFrame::Digests(_)));
        let asks = sent.contains(&ReplicaFrame::AskScopes(9));
        assert_eq!(tells, asks);
        asks
    };
    assert!(compares(WireVersion::V2, Some(VIEWS_VERSION)));
    assert!(!compares(WireVersion::V2, Some(VIEWS_VERSION + 1)) && !compares(WireVersion::V2, None));
    assert!(!compares(WireVersion::V1, None));
}

/// Promise 8: pulled ranges wait for the writer, so at most two are pulled: the one that it writes, and the next.
#[test]
fn pulls_stay_two_ranges_ahead_of_the_writer() {
    let mut bench = Bench::linked(VersionVector::from_iter([(THEIRS, Seq(9))]));
    let mut asked = Vec::new();
    for seq in 1..=3 {
        let answer = ReplicaFrame::Pulled { origin: THEIRS, events: vec![event(THEIRS, Seq(seq))] };
        let pulls = |frame: ReplicaFrame| matches!(frame, ReplicaFrame::Pull { .. }).then_some(seq);
        asked.extend(bench.sent(Input::Frame(LinkId(1), answer)).into_iter().filter_map(pulls));
    }
    assert_eq!(asked, [1], "two ranges wait");
    let sent = bench.sent(Input::Applied(vec![(THEIRS, Seq(2))]));
    assert!(sent.iter().any(|frame| matches!(frame, ReplicaFrame::Pull { from: Seq(4), .. })), "{sent:?}");
}

/// Thousands of small pushes at once would fill the queue of the peer's writer.
#[test]
fn many_missed_small_pushes_are_sent_as_one() {
    let mut bench = Bench { replica: Replica::new(VersionVector::default(), Millis(0)), now: Millis(0) };
    for seq in 1..=100 {
        bench.commit(Seq(seq));
    }
    bench.step(Input::LinkUp { link: LinkId(1), peer: PEER, version: WireVersion::V2, folds: None });
    let sent = bench.sent(Input::Frame(LinkId(1), ReplicaFrame::Vector(VersionVector::default())));
    let pushes: Vec<_> = sent.iter().filter(|frame| matches!(frame, ReplicaFrame::Push(_))).collect();
    assert!(
        matches!(pushes[..], [ReplicaFrame::Push(events)] if events.len() == 100),
        "{} frames",
        pushes.len()
    );
}

/// The limit of 250 ms also holds for a waiter that comes while an exchange runs.
#[test]
fn a_barrier_takes_at_most_250_ms() {
    let mut bench = Bench::linked(VersionVector::default());
    let passed = |outputs: Vec<Output>| {
        outputs.iter().any(|output| matches!(output, Output::BarrierEnded(Token(2), _)))
    };
    bench.step(Input::Barrier(Token(1)));
    bench.now = Millis(200);
    bench.step(Input::Barrier(Token(2)));
    bench.now = Millis(250);
    assert!(!passed(bench.step(Input::Tick)), "the second exchange begins");
    bench.now = Millis(450);
    assert!(passed(bench.step(Input::Tick)));
}

/// Promise 1: the confirmation that brings a peer into sync upgrades acks, too. It may be the peer's last.
#[test]
fn a_peer_that_catches_up_upgrades_earlier_acks() {
    let mut bench = Bench { replica: Replica::new(VersionVector::default(), Millis(0)), now: Millis(0) };
    bench.commit(Seq(1));
    assert_eq!(settled(&bench.wait(Token(7), Seq(1), Until::Copies(2))), [(Token(7), 1)]);
    bench.step(Input::LinkUp { link: LinkId(1), peer: PEER, version: WireVersion::V2, folds: None });
    bench.step(Input::Frame(LinkId(1), ReplicaFrame::Vector(VersionVector::default())));
    assert_eq!(settled(&bench.confirm(Seq(1))), [(Token(7), 2)]);
}

/// A probe that a full queue dropped is sent again. Otherwise the node would never be in sync.
#[test]
fn a_resumed_node_probes_until_it_is_answered() {
    let mut bench = Bench::linked(VersionVector::default());
    bench.step(Input::Resumed);
    bench.step(Input::SendRefused(LinkId(1)));
    bench.now = Millis(HEARTBEAT_MS);
    assert!(bench.sent(Input::Tick).contains(&ReplicaFrame::Probe(1)));
    bench.step(Input::Frame(LinkId(1), ReplicaFrame::Probed(1, VersionVector::default())));
    bench.now = Millis(2 * HEARTBEAT_MS);
    assert!(!bench.sent(Input::Tick).contains(&ReplicaFrame::Probe(1)));
}
