//! Tests of nodes that lost their stores: when a refill is complete. Frames arrive in order and without delay.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::tests::event;
use super::*;
use crate::frame::wire::WireVersion;

/// The number of events of the node that kept its store.
const EVENTS: u64 = 5;
/// The numbers of the nodes: two that lost their stores, and one that holds everything.
const FIRST: usize = 0;
const SECOND: usize = 1;
const INTACT: usize = 2;

fn origin(node: usize) -> OriginId {
    OriginId { node: NodeId([u8::try_from(node).unwrap(); 16]), incarnation: 1 }
}

struct World {
    nodes: Vec<(Replica, BTreeMap<OriginId, Vec<Bytes>>)>,
    linked: Vec<[usize; 2]>,
    /// Frames on their way: sender, receiver, frame.
    frames: VecDeque<(usize, usize, ReplicaFrame)>,
    /// A node that receives no events.
    starved: Option<usize>,
    now: Millis,
}

impl World {
    fn new() -> Self {
        let node = |_| (Replica::new(VersionVector::default(), Millis(0)), BTreeMap::new());
        let nodes = (0..3).map(node).collect();
        let mut world =
            Self { nodes, linked: Vec::new(), frames: VecDeque::new(), starved: None, now: Millis(0) };
        for lost in [FIRST, SECOND] {
            world.step(lost, Input::Refilling(true));
        }
        let events: Vec<_> = (1..=EVENTS).map(|seq| event(origin(INTACT), Seq(seq))).collect();
        world.nodes[INTACT].1.insert(origin(INTACT), events.clone());
        world.step(INTACT, Input::Committed { origin: origin(INTACT), first: Seq(1), events });
        world
    }

    fn link(&mut self, a: usize, b: usize) {
        self.linked.push([a, b]);
        for (from, to) in [(a, b), (b, a)] {
            self.step(
                from,
                Input::LinkUp {
                    link: LinkId(to as u64),
                    peer: origin(to).node,
                    version: WireVersion::V2,
                    folds: None,
                },
            );
        }
    }

    fn cut(&mut self, a: usize, b: usize) {
        self.linked.retain(|pair| *pair != [a, b]);
        for (from, to) in [(a, b), (b, a)] {
            self.step(from, Input::LinkDown(LinkId(to as u64)));
        }
    }

    fn step(&mut self, node: usize, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut outputs = Vec::new();
            let (replica, log) = &mut self.nodes[node];
            replica.handle(self.now, input, &mut outputs);
            for output in outputs {
                match output {
                    Output::Send(link, bytes) => {
                        let PeerFrame::Replica(frame) = PeerFrame::decode(&bytes).unwrap() else { continue };
                        self.frames.push_back((node, usize::try_from(link.0).unwrap(), frame));
                    }
                    Output::Apply(events) => {
                        let heads = events.iter().map(|event| (event.origin, event.seq)).collect();
                        for event in events {
                            log.entry(event.origin).or_default().push(event.encoded().clone());
                        }
                        inputs.push_back(Input::Applied(heads));
                    }
                    Output::Read { link, origin, from, to } => {
                        let held = log.get(&origin).map_or(&[][..], Vec::as_slice);
                        let range =
                            usize::try_from(from.0).unwrap() - 1..held.len().min(to.0.try_into().unwrap());
                        let events = held.get(range).unwrap_or_default().to_vec();
                        inputs.push_back(Input::ReadDone { link, origin, from, events });
                    }
                    _ => {}
                }
            }
        }
    }

    /// Lets 10 s pass.
    fn pass(&mut self) {
        for _ in 0..10 {
            self.now = self.now + HEARTBEAT_MS;
            for node in 0..self.nodes.len() {
                self.step(node, Input::Tick);
            }
            while let Some((from, to, frame)) = self.frames.pop_front() {
                let has_events = matches!(frame, ReplicaFrame::Push(_) | ReplicaFrame::Pulled { .. });
                let linked = self.linked.iter().any(|pair| pair.contains(&from) && pair.contains(&to));
                if linked && !(has_events && self.starved == Some(to)) {
                    self.step(to, Input::Frame(LinkId(from as u64), frame));
                }
            }
        }
    }

    fn peers_see_us_in_sync(&self, node: usize) -> Option<bool> {
        self.nodes[node].0.peers_see_us_in_sync(self.now)
    }

    fn held(&self, node: usize) -> u64 {
        self.nodes[node].0.held().get(origin(INTACT)).0
    }
}

/// Two nodes that lost their stores are in sync with each other while both hold nothing. That must not end their refill;
/// only the third node, which holds the data, may.
#[test]
fn nodes_that_refill_their_stores_prove_nothing_to_each_other() {
    let mut world = World::new();
    world.link(FIRST, SECOND);
    world.pass();
    assert_eq!([FIRST, SECOND].map(|node| world.peers_see_us_in_sync(node)), [None, None]);
    world.link(FIRST, INTACT);
    world.link(SECOND, INTACT);
    world.pass();
    assert_eq!([FIRST, SECOND].map(|node| world.peers_see_us_in_sync(node)), [Some(true); 2]);
    assert_eq!([FIRST, SECOND].map(|node| world.held(node)), [EVENTS; 2]);
}

/// When two refilling nodes were linked, both held nothing. Once one is refilled, the other must catch up with all of it.
#[test]
fn a_refilled_node_requires_others_to_catch_up_with_all_that_came_back() {
    let mut world = World::new();
    world.link(FIRST, SECOND);
    world.pass();
    world.starved = Some(SECOND);
    world.link(FIRST, INTACT);
    world.pass();
    assert_eq!((world.peers_see_us_in_sync(FIRST), world.held(FIRST)), (Some(true), EVENTS));
    world.step(FIRST, Input::Refilling(false));
    world.cut(FIRST, INTACT);
    world.pass();
    assert_eq!((world.peers_see_us_in_sync(SECOND), world.held(SECOND)), (Some(false), 0));
    world.starved = None;
    world.pass();
    assert_eq!((world.peers_see_us_in_sync(SECOND), world.held(SECOND)), (Some(true), EVENTS));
}
