//! Tests of vectors on links: over folds, in parts, and plain for peers that know neither.

use std::{collections::VecDeque, sync::Arc};

use proptest::prelude::*;

use super::tests::{OTHER, PEER};
use super::vectors::{ENTRIES_MAX, LinkVectors};
use super::*;
use crate::{
    Fold, FoldRank, VectorFolded,
    frame::{
        peer::{ClaimAnswer, Confirm},
        vector_part::{VectorFrame, VectorPart},
        wire::WireVersion,
    },
    limits::{EVENTS_CHUNK_BYTES_MAX, PEER_FRAME_BYTES_MAX},
};

const LINK: LinkId = LinkId(1);

fn origin(n: u64) -> OriginId {
    OriginId { node: NodeId([u8::try_from(n % 3).unwrap() + 7; 16]), incarnation: u64::MAX - n }
}

fn entries(count: u64, seq: u64) -> impl Iterator<Item = (OriginId, Seq)> {
    (0..count).map(move |n| (origin(n), Seq(seq + n % 5)))
}

fn fold(base: Option<&Arc<Fold>>, count: u64, seq: u64) -> Arc<Fold> {
    let folded = VectorFolded::new(base.map(|base| base.rank()), entries(count, seq));
    Fold::expand(base.map(|base| &**base), [((origin(0), Seq(1)), folded)]).unwrap()
}

fn over(fold: &Arc<Fold>, changed: &[(u64, u64)]) -> VersionVector {
    VersionVector::over(Arc::clone(fold), changed.iter().map(|&(n, seq)| (origin(n), Seq(seq))))
}

#[expect(clippy::unnecessary_wraps, reason = "it stands where a peer may name none")]
fn hello(own: &[Arc<Fold>], peers: &[Arc<Fold>]) -> Option<HelloFolds> {
    let peers = peers.iter().map(|fold| fold.rank()).collect();
    Some(HelloFolds { own: own.to_vec(), peers })
}

/// Two nodes with a link, whose frames arrive in order, and all that they sent.
struct Pair {
    nodes: [Replica; 2],
    now: Millis,
    sent: Vec<(usize, ReplicaFrame)>,
    closed: Vec<String>,
    /// The frames to lose next, by the node that sends them.
    is_lost: fn(usize, &ReplicaFrame) -> bool,
}

impl Pair {
    fn new(held: [VersionVector; 2]) -> Self {
        let nodes = held.map(|held| Replica::new(held, Millis(0)));
        Self { nodes, now: Millis(0), sent: Vec::new(), closed: Vec::new(), is_lost: |_, _| false }
    }

    /// A new link; each hello names the newest folds of its sender.
    fn link(&mut self) {
        let [own, peers] = [0, 1].map(|node| self.nodes[node].newest_folds().to_vec());
        self.link_with([hello(&own, &peers), hello(&peers, &own)]);
    }

    fn link_with(&mut self, folds: [Option<HelloFolds>; 2]) {
        let inputs = folds.into_iter().zip([PEER, OTHER]).map(|(folds, peer)| Input::LinkUp {
            link: LINK,
            peer,
            version: WireVersion::V2,
            folds,
        });
        self.run(inputs.enumerate().collect());
    }

    fn step(&mut self, node: usize, input: Input) {
        self.run(vec![(node, input)]);
    }

    fn run(&mut self, inputs: Vec<(usize, Input)>) {
        let mut inputs = VecDeque::from(inputs);
        while let Some((node, input)) = inputs.pop_front() {
            let mut out = Vec::new();
            self.nodes[node].handle(self.now, input, &mut out);
            for output in out {
                match output {
                    Output::Send(link, bytes) => {
                        assert!(bytes.len() <= PEER_FRAME_BYTES_MAX, "{} bytes", bytes.len());
                        let PeerFrame::Replica(frame) = PeerFrame::decode(&bytes).unwrap() else {
                            unreachable!("a replica sends its own frames")
                        };
                        if !(self.is_lost)(node, &frame) {
                            inputs.push_back((1 - node, Input::Frame(link, frame.clone())));
                        }
                        self.sent.push((node, frame));
                    }
                    Output::Close(_, breach) => self.closed.push(breach.to_string()),
                    _ => {}
                }
            }
        }
        assert!(self.sent.len() < 1_000, "frames beget frames");
    }

    /// The nodes know of each other what they hold.
    fn assert_confirmed(&self) {
        for (node, other) in [(0, 1), (1, 0)] {
            let confirmed = &self.nodes[node].links[&LINK].confirmed;
            assert_eq!(confirmed, self.nodes[other].held(), "what node {other} holds, to node {node}");
        }
        assert_eq!(self.closed, [""; 0]);
    }

    /// Forgets and returns the frames that a node has sent with its vector: the fold of each, and the number of its entries.
    fn vectors_sent(&mut self, by: usize) -> Vec<(Option<FoldRank>, usize)> {
        let vector = |(node, frame)| match frame {
            _ if node != by => None,
            ReplicaFrame::Vector(vector) => Some((None, vector.iter().len())),
            ReplicaFrame::VectorPart(part) if part.frame == VectorFrame::Vector => {
                Some((part.fold, part.entries().count()))
            }
            _ => None,
        };
        std::mem::take(&mut self.sent).into_iter().filter_map(vector).collect()
    }

    fn tick(&mut self) {
        self.now = self.now + HEARTBEAT_MS;
        self.run(vec![(0, Input::Tick), (1, Input::Tick)]);
    }
}

/// Promise 13: however many processes there were, no frame is longer than a chunk of events to a peer that joins parts, and
/// than the longest frame to another.
#[test]
fn a_vector_of_any_length_passes() {
    for count in [40_000, 160_000] {
        let held: VersionVector = entries(count, 1_000_000).collect();
        for folds in [hello(&[], &[]), None] {
            let knows_parts = folds.is_some();
            let mut pair = Pair::new([held.clone(), VersionVector::default()]);
            pair.link_with([folds.clone(), folds]);
            pair.assert_confirmed();
            // Neither a confirmation of many heads, nor of all, is longer.
            pair.step(1, Input::Applied(entries(count, 1_000_000).collect()));
            pair.tick();
            pair.assert_confirmed();
            let longest =
                pair.sent.into_iter().map(|(_, frame)| PeerFrame::Replica(frame).encode().len()).max();
            assert!(!knows_parts || longest < Some(EVENTS_CHUNK_BYTES_MAX), "{longest:?} for {count}");
        }
    }
}

/// A frame that counts on a whole vector is never sent as several that a peer would take for whole ones.
#[test]
fn a_peer_that_knows_no_parts_gets_no_part_of_a_probed_vector() {
    let long: VersionVector = entries(150_000, 1).collect();
    let mut vectors = LinkVectors::new(None);
    assert!(vectors.frames(&long, VectorFrame::Probed(1), ENTRIES_MAX).is_empty());
    let frames = vectors.frames(&long, VectorFrame::Vector, ENTRIES_MAX);
    let mut joined = VersionVector::default();
    for frame in &frames {
        let ReplicaFrame::Vector(part) = frame else { panic!("no plain vector") };
        joined.merge(part);
    }
    assert_eq!((frames.len(), joined), (2, long));
}

/// A node of an earlier build gets what it got before, whatever folds there are.
#[test]
fn a_peer_whose_hello_names_no_folds_gets_plain_vectors() {
    let fold = fold(None, 20, 1);
    let held = over(&fold, &[(0, 9)]);
    let mut pair = Pair::new([held.clone(), held.clone()]);
    pair.link_with([None, None]);
    pair.step(0, Input::Folded(fold));
    pair.tick();
    pair.assert_confirmed();
    assert!(pair.sent.contains(&(0, ReplicaFrame::Vector(held))));
    let is_new = |frame: &ReplicaFrame| matches!(frame, ReplicaFrame::VectorPart(_) | ReplicaFrame::Folds(_));
    assert!(!pair.sent.iter().any(|(_, frame)| is_new(frame)), "{:?}", pair.sent);
}

/// The hellos name folds, so that the first vectors on a link are small already. A peer whose disk was rolled back names on its
/// new link what it has: what it named before does not count.
#[test]
fn a_new_link_begins_with_the_folds_of_its_hellos_alone() {
    let fold = fold(None, 1_000, 1);
    let held = over(&fold, &[(0, 9), (1, 0), (5_000, 1)]);
    let mut pair = Pair::new([held.clone(), held.clone()]);
    pair.link();
    pair.assert_confirmed();
    assert_eq!(pair.vectors_sent(0), [(Some(fold.rank()), 3)]);
    pair.nodes[1] = Replica::new(VersionVector::default(), Millis(0));
    pair.link();
    pair.assert_confirmed();
    assert_eq!(pair.vectors_sent(0), [(None, 1_000)], "the peer has no folds any more");
    assert!(pair.nodes[1].links[&LINK].vectors.names().is_empty());
}

/// A fold is used once the peer has named it, so once it has applied it; then the next, never an earlier one again.
#[test]
fn vectors_are_written_over_the_newest_fold_that_the_peer_has_named() {
    let first = fold(None, 100, 1);
    let second = fold(Some(&first), 100, 2);
    let held = over(&first, &[(0, 9)]);
    let mut pair = Pair::new([held.clone(), held]);
    pair.link();
    pair.vectors_sent(0);
    pair.step(0, Input::Folded(Arc::clone(&second)));
    pair.step(0, Input::Applied(vec![(origin(0), Seq(10))]));
    pair.tick();
    assert_eq!(pair.vectors_sent(0), [(Some(first.rank()), 1)], "the peer has not named the second");
    pair.step(1, Input::Folded(Arc::clone(&second)));
    pair.step(0, Input::Applied(vec![(origin(0), Seq(11))]));
    pair.tick();
    let differing = second.iter().filter(|&(origin, seq)| seq != pair.nodes[0].held().get(origin)).count();
    assert_eq!(pair.vectors_sent(0), [(Some(second.rank()), differing)]);
    pair.tick();
    assert_eq!(pair.nodes[1].links[&LINK].vectors.names(), [second.rank()], "the first is not read any more");
    assert_eq!(pair.closed, [""; 0]);
}

/// A peer that was away knows only the newest of many folds: the others were applied with it.
#[test]
fn a_peer_that_has_caught_up_uses_the_newest_fold_at_once() {
    let mut folds = vec![fold(None, 100, 1)];
    let held = over(&folds[0], &[]);
    let mut pair = Pair::new([held.clone(), held]);
    pair.link();
    for seq in 2..20 {
        folds.push(fold(folds.last(), 100, seq));
        pair.step(0, Input::Folded(Arc::clone(&folds[folds.len() - 1])));
    }
    let newest = folds.last().unwrap();
    pair.step(1, Input::Folded(Arc::clone(newest)));
    pair.vectors_sent(0);
    for node in [0, 1] {
        pair.step(node, Input::Applied(vec![(origin(node as u64), Seq(100))]));
    }
    pair.tick();
    pair.assert_confirmed();
    for node in [0, 1] {
        let sent = pair.sent.iter().filter(|(by, _)| *by == node);
        let folds: Vec<_> = sent
            .filter_map(|(_, frame)| match frame {
                ReplicaFrame::VectorPart(part) => Some(part.fold),
                _ => None,
            })
            .collect();
        assert!(!folds.is_empty() && folds.iter().all(|fold| *fold == Some(newest.rank())), "{folds:?}");
    }
    assert!(pair.nodes.iter().all(|node| node.links[&LINK].vectors.names().len() <= 8));
}

/// The name of a fold that a full queue dropped is sent again.
#[test]
fn lost_names_are_sent_again() {
    let fold = fold(None, 100, 1);
    let mut pair = Pair::new([VersionVector::default(), VersionVector::default()]);
    pair.link();
    pair.is_lost = |_, frame| matches!(frame, ReplicaFrame::Folds(_));
    for node in [0, 1] {
        pair.step(node, Input::Folded(Arc::clone(&fold)));
        pair.step(node, Input::SendRefused(LINK));
    }
    pair.is_lost = |_, _| false;
    pair.tick();
    pair.vectors_sent(0);
    pair.step(0, Input::Applied(vec![(origin(0), Seq(7))]));
    pair.tick();
    assert_eq!(pair.vectors_sent(0), [(Some(fold.rank()), 100)]);
    pair.assert_confirmed();
}

/// An unknown fold is never taken as empty: a peer that uses one breaks the protocol.
#[test]
fn a_vector_over_a_fold_that_was_not_named_closes_the_link() {
    let (known, unknown) = (fold(None, 20, 1), fold(None, 20, 2));
    let mut pair = Pair::new([over(&known, &[]), VersionVector::default()]);
    pair.link_with([hello(&[Arc::clone(&known)], &[]), hello(&[], &[])]);
    let held = over(&unknown, &[(1, 40)]);
    let parts = LinkVectors::new(hello(&[], &[Arc::clone(&unknown)])).written(&unknown, &held);
    for part in parts {
        pair.step(0, Input::Frame(LINK, part));
    }
    let line =
        format!("a vector over fold {}, which this node has not named on this link", unknown.rank().id);
    assert_eq!(pair.closed, [line]);
    assert_eq!(pair.nodes[0].links[&LINK].confirmed, VersionVector::default());
}

/// A frame of which a part is missing is lost as a whole; the next heartbeat makes up for it.
#[test]
fn a_frame_without_one_of_its_parts_is_lost() {
    let held: VersionVector = entries(40_000, 1).collect();
    let mut pair = Pair::new([held, VersionVector::default()]);
    pair.is_lost = |_, frame| matches!(frame, ReplicaFrame::VectorPart(VectorPart { part: 2, .. }));
    pair.link();
    assert_eq!(pair.nodes[1].links[&LINK].confirmed, VersionVector::default());
    assert!(!pair.nodes[1].links[&LINK].vector_received);
    pair.is_lost = |_, _| false;
    pair.tick();
    pair.assert_confirmed();
}

/// Bad input: impossible numbers of parts.
#[test]
fn parts_that_cannot_be_are_refused() {
    let mut part = VectorPart::split(1, None, BTreeMap::new(), 1, &VectorFrame::Vector).remove(0);
    for (number, parts) in [(0, 0), (1, 1), (5, 2), (0, u32::MAX)] {
        (part.part, part.parts) = (number, parts);
        let refused = LinkVectors::new(hello(&[], &[])).receive(part.clone());
        assert!(matches!(refused, Err(Breach::Parts(..))), "part {number} of {parts}");
    }
}

fn frame() -> impl Strategy<Value = VectorFrame> {
    let confirm =
        Confirm { in_sync: true, wall_ms: 5, own_head: Some((origin(1), Seq(2))), ..Confirm::default() };
    let (origin, seq, answered_by, held) = (origin(1), Seq(2), Some(OTHER), None);
    let answer = ClaimAnswer { origin, seq, answered_by, held, would_wait_for_claimer: true };
    prop::sample::select(vec![
        VectorFrame::Vector,
        VectorFrame::Confirm(confirm),
        VectorFrame::Probed(7),
        VectorFrame::ClaimAnswer(answer),
    ])
}

fn changes() -> impl Strategy<Value = Vec<(u64, u64)>> {
    prop::collection::vec((0_u64..12, 0_u64..8), 0..12)
}

proptest! {
    /// For every frame with a vector, whatever folds its ends know: decoded at the receiver it says what the sender's says.
    #[test]
    fn what_is_sent_is_read(
        frame in frame(),
        (seqs, bases) in (prop::array::uniform3(1_u64..4), prop::array::uniform3(0_u64..10)),
        (own, peers) in (prop::array::uniform3(any::<bool>()), prop::array::uniform3(any::<bool>())),
        (base, changed, entries_max) in (0_usize..4, changes(), 1_usize..6),
    ) {
        let first = fold(None, bases[0], seqs[0]);
        let second = fold(Some(&first), bases[1], seqs[1] + 1);
        let folds = [Arc::clone(&first), second, fold(None, bases[2], seqs[2] + 2)];
        let chosen = |which: [bool; 3]| -> Vec<_> {
            folds.iter().zip(which).filter(|(_, chosen)| *chosen).map(|(fold, _)| Arc::clone(fold)).collect()
        };
        let (own, peers) = (chosen(own), chosen(peers));
        let vector = match folds.get(base) {
            Some(fold) => over(fold, &changed),
            None => changed.iter().map(|&(n, seq)| (origin(n), Seq(seq))).collect(),
        };
        let mut sender = LinkVectors::new(hello(&own, &peers));
        sender.update(&own);
        let mut receiver = LinkVectors::new(hello(&peers, &own));
        let frames = sender.frames(&vector, frame.clone(), entries_max);
        let common = own.iter().filter(|fold| peers.iter().any(|peers| peers.rank() == fold.rank()));
        let expected = common.map(|fold| fold.rank()).max();
        let plain = frame.clone().with(vector.clone());
        if frames.len() == 1 && frames[0] == plain {
            prop_assert!(expected.is_none() && vector.iter().len() <= entries_max);
            return Ok(());
        }
        let mut received = None;
        for frame in &frames {
            prop_assert!(received.is_none(), "a part follows the whole");
            let bytes = PeerFrame::Replica(frame.clone()).encode();
            let Ok(PeerFrame::Replica(ReplicaFrame::VectorPart(part))) = PeerFrame::decode(&bytes) else {
                panic!("no part: {frame:?}")
            };
            prop_assert_eq!(part.fold, expected);
            prop_assert!(part.entries().count() <= entries_max);
            received = receiver.receive(part).unwrap();
        }
        let (received_frame, received) = received.expect("all parts arrived");
        prop_assert_eq!(received_frame.with(received), plain);
    }
}
