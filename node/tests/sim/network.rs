//! The virtual network: links between pairs, frames under way, and everything that can happen to them.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use rand::RngExt;
use starling_protocol::{
    frame::peer::PeerFrame,
    replica::{Input, LinkId, SILENCE_MS_MAX},
};

use crate::{
    coverage::Fault,
    world::{Event, World},
};

/// An unordered pair of nodes, the smaller first.
pub type Pair = (usize, usize);

/// How often missing links are dialled.
const DIAL_MS: u64 = 200;

pub fn pair(a: usize, b: usize) -> Pair {
    (a.min(b), a.max(b))
}

/// A link between two running nodes.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    pub id: LinkId,
    pub pair: Pair,
    /// Of which start of each node it is.
    pub starts: (u32, u32),
    /// When the last frame of each direction arrives: streams are ordered.
    arrives: [u64; 2],
}

#[derive(Debug, Default)]
pub struct Network {
    pub links: BTreeMap<Pair, Link>,
    /// Pairs that cannot reach each other, since when.
    pub cut: BTreeMap<Pair, u64>,
    /// Pairs over which frames take long.
    pub slow: BTreeSet<Pair>,
    /// Chance of a frame being lost, sent twice, or overtaken, in a thousand.
    pub disorder: u32,
    /// Chance of a full queue, in a thousand.
    pub refusal: u32,
    next_link: LinkId,
}

impl World {
    /// Dials what is not linked, and ends links that have been silent for too long.
    pub fn dial(&mut self) {
        for a in 0..self.nodes.len() {
            for b in a + 1..self.nodes.len() {
                let pair = (a, b);
                let cut_since = self.network.cut.get(&pair).copied();
                if let Some(&link) = self.network.links.get(&pair) {
                    let silent = cut_since.is_some_and(|since| self.now >= since + SILENCE_MS_MAX);
                    if silent || self.starts(pair) != Some(link.starts) {
                        self.unlink(pair);
                    }
                }
                if cut_since.is_none() && !self.network.links.contains_key(&pair) {
                    self.link(pair);
                }
            }
        }
        self.schedule(DIAL_MS, Event::Dial);
    }

    /// The starts of two running nodes.
    fn starts(&self, (a, b): Pair) -> Option<(u32, u32)> {
        let start = |n: usize| self.nodes[n].run.is_some().then_some(self.nodes[n].starts);
        start(a).zip(start(b))
    }

    fn link(&mut self, pair: Pair) {
        let Some(starts) = self.starts(pair) else { return };
        self.network.next_link += 1;
        let id = self.network.next_link;
        self.network.links.insert(pair, Link { id, pair, starts, arrives: [self.now; 2] });
        let ids = [pair.0, pair.1].map(|n| self.nodes[n].id);
        self.feed(pair.0, Input::LinkUp { link: id, peer: ids[1] });
        self.feed(pair.1, Input::LinkUp { link: id, peer: ids[0] });
    }

    pub fn unlink(&mut self, pair: Pair) {
        if let Some(link) = self.network.links.remove(&pair) {
            for n in [pair.0, pair.1] {
                self.feed(n, Input::LinkDown(link.id));
            }
        }
    }

    /// Sends a frame; gives it back as refused if the queue is full.
    pub fn send(&mut self, from: usize, link: LinkId, frame: &Bytes) -> Option<Input> {
        let chance =
            |world: &mut Self, per_mille: u32| per_mille > 0 && world.rng.random_range(0..1_000) < per_mille;
        if chance(self, self.network.refusal) {
            self.coverage.count(Fault::QueueFull);
            return Some(Input::SendRefused(link));
        }
        let now = self.now;
        let delay = if self.rng.random_bool(0.9) { 1..6 } else { 6..40 };
        let mut delay = self.rng.random_range(delay);
        let disorder = self.network.disorder;
        let (lost, twice, overtaken) =
            (chance(self, disorder), chance(self, disorder), chance(self, disorder));
        let link = self.network.links.values_mut().find(|known| known.id == link)?;
        let to = if link.pair.0 == from { link.pair.1 } else { link.pair.0 };
        if self.network.slow.contains(&link.pair) {
            delay *= 20;
        }
        if self.network.cut.contains_key(&link.pair) || lost {
            return None;
        }
        let arrives = &mut link.arrives[usize::from(link.pair.0 == from)];
        let at = if overtaken { now + delay } else { (now + delay).max(*arrives) };
        *arrives = at.max(*arrives);
        let id = link.id;
        for copy in 0..=u64::from(twice) {
            self.schedule(at - now + copy, Event::Deliver { to, link: id, frame: frame.clone() });
        }
        None
    }

    pub fn deliver(&mut self, to: usize, link: LinkId, frame: &Bytes) {
        let known = self.network.links.values().find(|known| known.id == link);
        // The link, or one of its ends, is no more.
        if known.is_none_or(|known| self.starts(known.pair) != Some(known.starts)) {
            return;
        }
        match PeerFrame::decode(frame) {
            Ok(PeerFrame::Replica(frame)) => self.feed(to, Input::Frame(link, frame)),
            other => self.violated(format!("a frame does not survive its encoding: {other:?}")),
        }
    }
}
