//! Nodes that lost their stores, and when they may take what came back for all of it. Frames arrive in order, at once.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::tests::event;
use super::*;

/// Events of the node that has kept its store.
const EVENTS: u64 = 5;
/// The nodes, by their numbers: two that lost their stores, and one that holds all.
const FIRST: usize = 0;
const SECOND: usize = 1;
const WHOLE: usize = 2;

fn origin(node: usize) -> OriginId {
    OriginId { node: NodeId([u8::try_from(node).unwrap(); 16]), incarnation: 1 }
}

struct World {
    nodes: Vec<(Replica, BTreeMap<OriginId, Vec<Bytes>>)>,
    linked: Vec<[usize; 2]>,
    /// From whom to whom.
    frames: VecDeque<(usize, usize, ReplicaFrame)>,
    /// To whom no events come.
    starved: Option<usize>,
    now: Millis,
}

impl World {
    fn new() -> Self {
        let node = |_| (Replica::new(VersionVector::default(), 0), BTreeMap::new());
        let nodes = (0..3).map(node).collect();
        let mut world = Self { nodes, linked: Vec::new(), frames: VecDeque::new(), starved: None, now: 0 };
        for lost in [FIRST, SECOND] {
            world.step(lost, Input::Refilling(true));
        }
        let events: Vec<_> = (1..=EVENTS).map(|seq| event(origin(WHOLE), seq)).collect();
        world.nodes[WHOLE].1.insert(origin(WHOLE), events.clone());
        world.step(WHOLE, Input::Committed { origin: origin(WHOLE), first: 1, events });
        world
    }

    fn link(&mut self, a: usize, b: usize) {
        self.linked.push([a, b]);
        for (from, to) in [(a, b), (b, a)] {
            self.step(from, Input::LinkUp { link: to as LinkId, peer: origin(to).node });
        }
    }

    fn cut(&mut self, a: usize, b: usize) {
        self.linked.retain(|pair| *pair != [a, b]);
        for (from, to) in [(a, b), (b, a)] {
            self.step(from, Input::LinkDown(to as LinkId));
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
                        self.frames.push_back((node, usize::try_from(link).unwrap(), frame));
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
                            usize::try_from(from).unwrap() - 1..held.len().min(to.try_into().unwrap());
                        let events = held.get(range).unwrap_or_default().to_vec();
                        inputs.push_back(Input::ReadDone { link, origin, from, events });
                    }
                    _ => {}
                }
            }
        }
    }

    /// Lets some seconds pass.
    fn pass(&mut self) {
        for _ in 0..10 {
            self.now += BEAT_MS;
            for node in 0..self.nodes.len() {
                self.step(node, Input::Tick);
            }
            while let Some((from, to, frame)) = self.frames.pop_front() {
                let has_events = matches!(frame, ReplicaFrame::Push(_) | ReplicaFrame::Pulled { .. });
                let linked = self.linked.iter().any(|pair| pair.contains(&from) && pair.contains(&to));
                if linked && !(has_events && self.starved == Some(to)) {
                    self.step(to, Input::Frame(from as LinkId, frame));
                }
            }
        }
    }

    fn called_in_sync(&self, node: usize) -> Option<bool> {
        self.nodes[node].0.called_in_sync(self.now)
    }

    fn held(&self, node: usize) -> u64 {
        self.nodes[node].0.held().get(origin(WHOLE))
    }
}

/// Two nodes that lost their stores are in sync with each other while both hold nothing: neither is refilled by that,
/// but by the third, which holds the data.
#[test]
fn nodes_that_refill_their_stores_prove_nothing_to_each_other() {
    let mut world = World::new();
    world.link(FIRST, SECOND);
    world.pass();
    assert_eq!([FIRST, SECOND].map(|node| world.called_in_sync(node)), [None, None]);
    world.link(FIRST, WHOLE);
    world.link(SECOND, WHOLE);
    world.pass();
    assert_eq!([FIRST, SECOND].map(|node| world.called_in_sync(node)), [Some(true); 2]);
    assert_eq!([FIRST, SECOND].map(|node| world.held(node)), [EVENTS; 2]);
}

/// A node whose refill has ended calls another in sync by what it holds now. When they were linked it held nothing.
#[test]
fn a_refilled_node_measures_others_by_all_that_came_back() {
    let mut world = World::new();
    world.link(FIRST, SECOND);
    world.pass();
    world.starved = Some(SECOND);
    world.link(FIRST, WHOLE);
    world.pass();
    assert_eq!((world.called_in_sync(FIRST), world.held(FIRST)), (Some(true), EVENTS));
    world.step(FIRST, Input::Refilling(false));
    world.cut(FIRST, WHOLE);
    world.pass();
    assert_eq!((world.called_in_sync(SECOND), world.held(SECOND)), (Some(false), 0));
    world.starved = None;
    world.pass();
    assert_eq!((world.called_in_sync(SECOND), world.held(SECOND)), (Some(true), EVENTS));
}
