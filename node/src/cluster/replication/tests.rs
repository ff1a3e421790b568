//! The decisions of a [`DriverCore`], one step at a time. The simulator (`node/tests/sim`) drives whole histories.

use bytes::Bytes;
use starling_protocol::{
    Event, EventBody, EventDraft, Hlc, NodeId, OriginId, RoomId, Scope, Seq, VersionVector,
    frame::{
        peer::{Confirm, PeerFrame, ReplicaFrame},
        wire::WireVersion,
    },
    replica::{ClaimOutcome, Input, LinkId, Millis, Output, Until},
};

use super::{CaughtUp, CommittedClaim, DriverCore, StartState};
use crate::writer::CopiesWait;

const LINK: LinkId = LinkId(1);
const PEER: NodeId = NodeId([2; 16]);
const OWN: OriginId = OriginId { node: NodeId([1; 16]), incarnation: 1 };
const WALL_MS: u64 = 1_700_000_000_000;

/// The start of a node in a cluster with other members.
const CLUSTERED: StartState = StartState { knows_peers: true, is_clustered: true, is_refilling: false };

/// A core whose clock is set by hand. The receivers of answers are names.
struct Bench {
    core: DriverCore<&'static str>,
    now: Millis,
    is_waiting_for_peer: bool,
}

impl Bench {
    fn new(start: StartState) -> Self {
        let core = DriverCore::new(Millis(0), VersionVector::default(), Vec::new(), start);
        let mut bench = Self { core, now: Millis(0), is_waiting_for_peer: false };
        bench.tick();
        bench
    }

    fn linked(start: StartState) -> Self {
        let mut bench = Self::new(start);
        bench.step(Input::LinkUp { link: LINK, peer: PEER, version: WireVersion::V2, folds: None });
        bench.step(Input::Frame(LINK, ReplicaFrame::Vector(VersionVector::default())));
        bench
    }

    fn step(&mut self, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        self.core.handle(self.now, input, &mut out);
        out
    }

    fn tick(&mut self) -> Vec<Output> {
        let mut out = Vec::new();
        self.core.tick(self.now, WALL_MS, false, &mut out);
        out
    }

    fn update(&mut self) -> Option<CaughtUp> {
        self.core.update(self.now, self.is_waiting_for_peer, &mut Vec::new())
    }

    /// Ticks whenever a tick is due until `now`; the peer's beats keep the link alive, but say nothing new.
    fn run_until(&mut self, now: Millis, peer_sees_us_in_sync: Option<bool>) {
        while self.core.next_tick(self.now) <= now {
            self.now = self.core.next_tick(self.now).max(self.now + 1);
            self.tick();
            if let Some(in_sync) = peer_sees_us_in_sync {
                self.beat(in_sync);
            }
        }
        self.now = now;
    }

    fn beat(&mut self, in_sync: bool) -> Vec<Output> {
        let confirm = Confirm { in_sync, wall_ms: WALL_MS, ..Confirm::default() };
        self.step(Input::Frame(LINK, ReplicaFrame::Confirm(confirm)))
    }

    /// Makes this process's first event durable here.
    fn commit(&mut self) {
        let body = EventBody::Unknown { kind: 999, payload: Bytes::new() };
        let draft = EventDraft { scope: Scope::room(RoomId([0; 10])), body, above_hlc: None };
        let events = vec![Event::new(OWN, Seq(1), Hlc::from_unix_ms(WALL_MS), draft).encoded().clone()];
        self.step(Input::Committed { origin: OWN, first: Seq(1), events });
    }

    fn wait(&mut self, upgrade_ms: u64, reply: &'static str) -> Vec<Output> {
        let wait_for =
            CopiesWait { origin: OWN, seq: Seq(1), until: Until::Copies(2), wait_ms: 200, upgrade_ms };
        let mut out = Vec::new();
        self.core.wait(self.now, wait_for, reply, &mut out);
        out
    }

    /// The answers among outputs: receiver, copies, and whether a better answer may follow.
    fn answers(&mut self, outputs: Vec<Output>) -> Vec<(&'static str, usize, bool)> {
        let mut answers = Vec::new();
        for output in outputs {
            if let Output::Settled { token, copies, may_upgrade } = output {
                let reply = if may_upgrade {
                    self.core.responder_mut(token).copied()
                } else {
                    self.core.take_responder(token)
                };
                answers.push((reply.expect("the receiver waits"), copies, may_upgrade));
            }
        }
        answers
    }
}

#[test]
fn a_node_without_peers_is_ready_from_its_start() {
    assert!(Bench::new(StartState { knows_peers: false, ..CLUSTERED }).core.is_ready());
    assert!(!Bench::new(CLUSTERED).core.is_ready());
}

#[test]
fn a_node_that_hears_no_peer_serves_alone_after_one_second() {
    let mut bench = Bench::new(CLUSTERED);
    bench.run_until(Millis(999), None);
    assert!(bench.update().is_none(), "a peer may still answer");
    bench.run_until(Millis(1_000), None);
    assert_eq!(bench.update().expect("it serves alone").peers_in_sync, 0);
    assert!(bench.core.is_ready());
    assert!(bench.update().is_none(), "it becomes ready once");
}

#[test]
fn a_node_that_expects_a_peer_does_not_serve_alone() {
    let mut bench = Bench::new(CLUSTERED);
    bench.is_waiting_for_peer = true;
    bench.run_until(Millis(60_000), None);
    assert!(bench.update().is_none());
    bench.is_waiting_for_peer = false;
    assert!(bench.update().is_some());
}

#[test]
fn a_node_that_hears_a_peer_is_ready_only_once_that_peer_sees_it_in_sync() {
    let mut bench = Bench::linked(CLUSTERED);
    bench.run_until(Millis(5_000), Some(false));
    assert!(bench.update().is_none(), "it may lack events of the peer");
    bench.beat(true);
    assert_eq!(bench.update().expect("it has caught up").peers_in_sync, 1);
}

#[test]
fn a_node_that_lost_its_store_waits_for_a_peer_and_says_so_until_then() {
    let mut bench = Bench::linked(StartState { is_refilling: true, ..CLUSTERED });
    bench.run_until(Millis(5_000), Some(false));
    assert!(says_refilling(&mut bench), "peers must know that it may lack events");
    bench.step(Input::LinkDown(LINK));
    bench.run_until(Millis(60_000), None);
    assert!(bench.update().is_none(), "it never serves alone");
    bench.step(Input::LinkUp { link: LINK, peer: PEER, version: WireVersion::V2, folds: None });
    bench.step(Input::Frame(LINK, ReplicaFrame::Vector(VersionVector::default())));
    bench.beat(true);
    assert!(bench.update().expect("a peer has given it all").refilled);
    assert!(!says_refilling(&mut bench));
}

/// Whether the next beat to the peer says that this node is refilling its store.
fn says_refilling(bench: &mut Bench) -> bool {
    bench.now = bench.core.next_tick(bench.now);
    let beat = bench.tick().into_iter().find_map(|output| match output {
        Output::Send(_, bytes) => match PeerFrame::decode(&bytes).unwrap() {
            PeerFrame::Replica(ReplicaFrame::Confirm(confirm)) => Some(confirm.refilling),
            _ => None,
        },
        _ => None,
    });
    beat.expect("a beat was due")
}

#[test]
fn a_suspended_node_is_not_ready_until_a_peer_sees_it_in_sync_again() {
    let mut bench = Bench::linked(CLUSTERED);
    bench.beat(true);
    assert!(bench.update().is_some());
    bench.now = bench.core.next_tick(bench.now) + 999;
    bench.tick();
    assert!(bench.core.is_ready(), "a busy machine is late, too");
    bench.now = bench.core.next_tick(bench.now) + 1_000;
    bench.tick();
    assert!(!bench.core.is_ready(), "its peers may have gone on without it");
    bench.beat(true);
    assert!(bench.update().is_none(), "the peer may have sent this before the suspension");
}

#[test]
fn a_suspended_node_that_hears_no_peer_serves_alone_after_four_seconds() {
    let mut bench = Bench::new(CLUSTERED);
    bench.run_until(Millis(1_000), None);
    assert!(bench.update().is_some());
    bench.now = Millis(60_000);
    bench.tick();
    bench.run_until(Millis(63_999), None);
    assert!(bench.update().is_none(), "its peers may have to dial it again");
    bench.run_until(Millis(64_000), None);
    assert!(bench.update().is_some());
}

#[test]
fn a_node_without_a_cluster_stays_ready_after_a_suspension() {
    let mut bench = Bench::new(StartState { knows_peers: false, is_clustered: false, is_refilling: false });
    bench.now = Millis(60_000);
    bench.tick();
    assert!(bench.core.is_ready());
}

/// Promise of names: a node that was suspended must not claim a name as if it knew its peers.
#[test]
fn a_claim_is_the_first_to_notice_a_suspension() {
    let mut bench = Bench::linked(CLUSTERED);
    bench.beat(true);
    bench.update();
    let peers = |bench: &mut Bench| bench.core.claim_peers(bench.now, &mut Vec::new());
    assert_eq!(peers(&mut bench), Some(vec![PEER]));
    bench.now = bench.now + 60_000;
    assert_eq!(peers(&mut bench), None);
}

#[test]
fn each_answer_goes_to_its_own_receiver_and_an_upgrade_to_the_same_again() {
    let mut bench = Bench::linked(CLUSTERED);
    bench.commit();
    assert!(bench.wait(10_000, "post").is_empty());
    assert!(bench.wait(0, "room").is_empty());
    assert_eq!(bench.core.pending_replies(), 2);
    bench.now = Millis(200);
    let outputs = bench.tick();
    assert_eq!(bench.answers(outputs), [("post", 1, true), ("room", 1, false)]);
    assert_eq!(bench.core.pending_replies(), 1, "only the post may get a better answer");
    let confirm = Confirm { new_heads: vec![(OWN, Seq(1))], in_sync: true, ..Confirm::default() };
    let outputs = bench.step(Input::Frame(LINK, ReplicaFrame::Confirm(confirm)));
    assert_eq!(bench.answers(outputs), [("post", 2, false)]);
    assert_eq!(bench.core.pending_replies(), 0);
}

#[test]
fn a_claim_waits_for_three_and_a_half_seconds_at_most() {
    let mut bench = Bench::linked(CLUSTERED);
    bench.commit();
    bench.beat(true);
    let claim = CommittedClaim { origin: OWN, seq: Seq(1), since: Millis(0), waited_for: vec![PEER] };
    bench.core.claim(Millis(0), claim, "claim", &mut Vec::new());
    let mut claimed = None;
    while claimed.is_none() && bench.now < Millis(10_000) {
        bench.now = bench.core.next_tick(bench.now).max(bench.now + 1);
        let outputs: Vec<_> = bench.tick().into_iter().chain(bench.beat(true)).collect();
        claimed = outputs.into_iter().find_map(|output| match output {
            Output::ClaimWaitEnded(token, outcome) => {
                Some((bench.now, bench.core.take_responder(token), outcome))
            }
            _ => None,
        });
    }
    assert_eq!(claimed, Some((Millis(3_500), Some("claim"), ClaimOutcome::NotConfirmed)));
}
