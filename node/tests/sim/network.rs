//! The virtual network: links between pairs, frames under way, and the faults of both. Each end of a
//! link notices by itself, by silence, that the other no longer reaches it, as QUIC's idle time-out does.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use rand::RngExt;
use starling_protocol::{
    NodeId,
    frame::{
        peer::{PeerFrame, ReplicaFrame},
        wire::WireVersion,
    },
    replica::{HelloFolds, Input, LinkId, SILENCE_MS_MAX},
};

use crate::{
    invariants,
    membership::Notice,
    mutants::Mutant,
    world::{Event, World},
};

/// Two nodes, the smaller first.
pub type Pair = (usize, usize);

/// The interval at which missing links are dialled and silent ones ended.
const DIAL_MS: u64 = 200;

pub fn pair(a: usize, b: usize) -> Pair {
    (a.min(b), a.max(b))
}

/// A link between two processes.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    pub id: LinkId,
    /// The ends.
    pub nodes: [usize; 2],
    /// The identity of each end.
    ids: [NodeId; 2],
    version: WireVersion,
    /// The number of the start of each end's process.
    pub starts: [u32; 2],
    /// The ends that count the link as up.
    pub up: [bool; 2],
    /// The time at which each end last heard the other.
    heard: [u64; 2],
    /// The arrival of the last frame to each end: streams are ordered.
    arrives: [u64; 2],
    /// The arrival of the last notice to each end.
    notices: [u64; 2],
}

impl Link {
    /// Returns the time at which a node last heard the other.
    pub fn heard_by(&self, node: usize) -> u64 {
        self.heard[self.end(node)]
    }

    /// Returns the identity that a node had when the link was made.
    pub fn node_at(&self, node: usize) -> NodeId {
        self.ids[self.end(node)]
    }

    /// Returns the index of a node's end.
    fn end(&self, node: usize) -> usize {
        usize::from(self.nodes[1] == node)
    }
}

#[derive(Debug, Default)]
pub struct Network {
    pub links: BTreeMap<Pair, Link>,
    /// The ways (from, to) on which nothing arrives.
    pub cut: BTreeSet<(usize, usize)>,
    /// Pairs between which frames take long.
    pub slow: BTreeSet<Pair>,
    /// Chance of a frame being lost, sent twice, or overtaken, in a thousand.
    pub disorder: u32,
    /// Chance of a full queue, in a thousand.
    pub refusal: u32,
    next_link: u64,
}

impl Network {
    /// Whether the network has no fault.
    pub fn is_calm(&self) -> bool {
        self.cut.is_empty() && self.slow.is_empty() && (self.disorder, self.refusal) == (0, 0)
    }

    /// Blocks one way.
    pub fn cut_one_way(&mut self, from: usize, to: usize) {
        self.cut.insert((from, to));
    }

    /// Blocks both ways between two.
    pub fn cut_both_ways(&mut self, (a, b): Pair) {
        self.cut.extend([(a, b), (b, a)]);
    }

    /// Mends both ways of a pair.
    pub fn mend(&mut self, (a, b): Pair) {
        self.cut.remove(&(a, b));
        self.cut.remove(&(b, a));
        self.slow.remove(&(a, b));
    }

    fn link(&self, id: LinkId) -> Option<&Link> {
        self.links.values().find(|link| link.id == id)
    }

    /// Returns the links that a node counts as up, with the nodes at their other ends.
    pub fn links_of(&self, node: usize) -> Vec<(usize, LinkId)> {
        let linked = self.links.values().filter(|link| link.nodes.contains(&node) && link.up[link.end(node)]);
        linked.map(|link| (link.nodes[1 - link.end(node)], link.id)).collect()
    }

    /// Returns the node at the other end of a link.
    pub fn other_end(&self, link: LinkId, node: usize) -> Option<usize> {
        self.link(link).map(|link| link.nodes[1 - link.end(node)])
    }

    /// Returns the number of the start of a peer's process, if a node counts its link to it as up.
    pub fn linked_start(&self, node: usize, peer: usize) -> Option<u32> {
        let link = self.links.get(&pair(node, peer))?;
        link.up[link.end(node)].then_some(link.starts[link.end(peer)])
    }
}

impl World {
    /// Dials missing links, and ends links that were silent for too long.
    pub fn dial(&mut self) {
        for b in 0..self.nodes.len() {
            for a in 0..b {
                self.end_silent((a, b));
                let is_linked = self.network.links.get(&(a, b)).is_some_and(|link| link.up == [true; 2]);
                let reach = [(a, b), (b, a)].iter().all(|way| !self.network.cut.contains(way));
                if is_linked && reach {
                    self.learn_members(a, b);
                    self.learn_members(b, a);
                }
                // The dialler may take a while.
                if !is_linked
                    && reach
                    && [a, b].iter().all(|&n| self.is_awake(n))
                    && self.rng.random_bool(0.7)
                {
                    self.connect_nodes((a, b));
                }
            }
        }
        self.see_what_is_left();
        for node in 0..self.nodes.len() {
            self.leave_when_safe(node);
            self.step_membership(node);
        }
        if self.healed_at.is_some() {
            self.forget_the_dead();
            self.restart_stuck_leavers();
        }
        self.erase();
        self.schedule(DIAL_MS, Event::Dial);
    }

    pub fn is_awake(&self, node: usize) -> bool {
        self.nodes[node].run.is_some() && self.nodes[node].hung_until <= self.now
    }

    /// Ends each end that has not heard the other for long, or whose process has ended.
    fn end_silent(&mut self, pair: Pair) {
        let Some(&link) = self.network.links.get(&pair) else { return };
        for end in [0, 1] {
            let node = link.nodes[end];
            let is_dead = self.nodes[node].run.is_none() || self.nodes[node].starts != link.starts[end];
            let is_silent = self.is_awake(node) && self.now > link.heard[end] + SILENCE_MS_MAX;
            if link.up[end] && (is_dead || is_silent) {
                self.unlink(pair, end);
            }
        }
    }

    fn connect_nodes(&mut self, pair: Pair) {
        let nodes = [pair.0, pair.1];
        let ids = nodes.map(|node| self.nodes[node].id);
        // The end of an earlier link learns by this one that it is over, but not if another node answers there now.
        if self.network.links.get(&pair).is_some_and(|earlier| earlier.ids != ids) {
            self.break_link(pair);
        }
        if self.refuses(nodes) {
            return;
        }
        self.network.next_link += 1;
        let id = LinkId(self.network.next_link);
        let starts = nodes.map(|node| self.nodes[node].starts);
        let [heard, arrives, notices] = [[self.now; 2]; 3];
        let version = self.wire_version(pair.0).min(self.wire_version(pair.1));
        let link = Link { id, nodes, ids, version, starts, up: [true; 2], heard, arrives, notices };
        self.network.links.insert(pair, link);
        // Before either end sends anything.
        let hellos = nodes.map(|node| self.nodes[node].newest_folds());
        for (end, node) in nodes.into_iter().enumerate() {
            let (own, peers) = (hellos[end].clone(), &hellos[1 - end]);
            let peers = if self.mutant == Some(Mutant::LinkFoldUsedTooEarly) { &own } else { peers };
            let peers = peers.iter().map(|fold| fold.rank()).collect();
            let folds = (version >= WireVersion::V2).then_some(HelloFolds { own, peers });
            self.feed(node, Input::LinkUp { link: id, peer: ids[1 - end], version, folds });
        }
        self.introduce(pair.0, pair.1, id);
        self.introduce(pair.1, pair.0, id);
    }

    /// Ends one end of a pair's link.
    fn unlink(&mut self, pair: Pair, end: usize) {
        let Some(link) = self.network.links.get_mut(&pair).filter(|link| link.up[end]) else { return };
        link.up[end] = false;
        let (id, node, start) = (link.id, link.nodes[end], link.starts[end]);
        if self.nodes[node].starts == start {
            self.feed(node, Input::LinkDown(id));
        }
    }

    /// Ends the links to a node that was forgotten: two, if it has moved to another machine and the silence of the earlier one was
    /// not noticed yet. The other end learns why, if anything reaches it.
    pub fn end_links_to(&mut self, node: usize, id: NodeId) {
        let start = self.nodes[node].starts;
        let is_it = |link: &&Link| {
            let end = link.end(node);
            link.nodes.contains(&node) && link.ids[1 - end] == id && link.up[end] && link.starts[end] == start
        };
        let links: Vec<_> = self.network.links.values().filter(is_it).copied().collect();
        for link in links {
            let (end, pair) = (link.end(node), pair(link.nodes[0], link.nodes[1]));
            let (peer, way) = (link.nodes[1 - end], (node, link.nodes[1 - end]));
            self.unlink(pair, end);
            let is_heard = link.up[1 - end] && link.starts[1 - end] == self.nodes[peer].starts;
            if is_heard && self.is_awake(peer) && !self.network.cut.contains(&way) {
                self.told_forgotten(peer, link.ids[end]);
                self.unlink(pair, 1 - end);
            }
        }
    }

    /// Ends both ends of a link at once.
    pub fn break_link(&mut self, pair: Pair) {
        self.unlink(pair, 0);
        self.unlink(pair, 1);
    }

    /// Sends a frame; returns it as refused if the queue is full.
    pub fn send(&mut self, from: usize, link: LinkId, frame: &Bytes) -> Option<Input> {
        if let Err(violation) = invariants::damage::told(self, from, frame) {
            self.violated(violation);
        }
        let chance =
            |world: &mut Self, per_mille: u32| per_mille > 0 && world.rng.random_range(0..1_000) < per_mille;
        if chance(self, self.network.refusal) {
            return Some(Input::SendRefused(link));
        }
        let now = self.now;
        let delay = if self.rng.random_bool(0.9) { 1..6 } else { 6..40 };
        let mut delay = self.rng.random_range(delay);
        let disorder = self.network.disorder;
        let (lost, twice, overtaken) =
            (chance(self, disorder), chance(self, disorder), chance(self, disorder));
        let link = self.network.links.values_mut().find(|known| known.id == link)?;
        let to = link.nodes[1 - link.end(from)];
        if self.network.slow.contains(&pair(from, to)) {
            delay *= 20;
        }
        if self.network.cut.contains(&(from, to)) || lost {
            return None;
        }
        let arrives = &mut link.arrives[link.end(to)];
        let at = if overtaken { now + delay } else { (now + delay).max(*arrives) };
        *arrives = at.max(*arrives);
        let id = link.id;
        for copy in 0..=u64::from(twice) {
            self.schedule(at - now + copy, Event::Deliver { to, link: id, frame: frame.clone() });
        }
        None
    }

    /// Sends a notice about leaving.
    pub fn send_notice(&mut self, from: usize, to: usize, link: LinkId, notice: Notice) {
        let delay = self.rng.random_range(1..40);
        let now = self.now;
        if self.network.cut.contains(&(from, to)) {
            return;
        }
        let Some(known) = self.network.links.values_mut().find(|known| known.id == link) else { return };
        let arrives = &mut known.notices[known.nodes.iter().position(|&node| node == to).unwrap_or(0)];
        *arrives = (now + delay).max(*arrives);
        let after = *arrives - now;
        self.schedule(after, Event::Notice { to, link, notice });
    }

    pub fn deliver_notice(&mut self, to: usize, link: LinkId, notice: Notice) {
        let Some(&known) = self.network.link(link) else { return };
        let end = known.end(to);
        if known.up[end] && known.starts[end] == self.nodes[to].starts {
            self.notice(to, (known.nodes[1 - end], known.ids[1 - end]), link, notice);
        }
    }

    pub fn deliver(&mut self, to: usize, link: LinkId, frame: &Bytes) {
        let Some(known) = self.network.links.values_mut().find(|known| known.id == link) else { return };
        let end = known.end(to);
        // This end is over.
        if !known.up[end] || known.starts[end] != self.nodes[to].starts {
            return;
        }
        known.heard[end] = self.now;
        let version = known.version;
        match PeerFrame::decode(frame) {
            Ok(PeerFrame::Replica(frame)) => {
                if let Err(violation) = invariants::folds::spoken(version, &frame) {
                    self.violated(violation);
                }
                if let ReplicaFrame::VectorPart(part) = &frame {
                    self.coverage.folded_frames += u64::from(part.fold.is_some());
                    self.coverage.partial_frames += u64::from(part.parts > 1);
                }
                self.feed(to, Input::Frame(link, frame));
            }
            other => self.violated(format!("a frame does not survive its encoding: {other:?}")),
        }
    }
}
