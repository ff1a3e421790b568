//! The schedule of faults: rounds drawn from a seed. In each, a fault of a node and one of the network overlap; then all is
//! mended. Every kind comes before any comes again.

use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

use crate::link_fault::LinkFault;
use crate::node_fault::NodeFault;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Round {
    pub(crate) node: Option<NodeFault>,
    pub(crate) link: Option<LinkFault>,
    pub(crate) lasts: Duration,
}

pub(crate) struct Schedule {
    rng: StdRng,
    nodes: Bag<Option<NodeFault>>,
    links: Bag<Option<LinkFault>>,
    /// The number of running nodes, and its limits.
    running: usize,
    least: usize,
    most: usize,
    /// The longest time of a fault, in milliseconds.
    lasts_ms_max: u64,
}

impl Schedule {
    /// Makes the schedule from the `faults` that this machine can do; `running` nodes run at first, at most `most` later.
    pub(crate) fn new(
        rng: StdRng,
        faults: &[NodeFault],
        (running, most): (usize, usize),
        lasts_ms_max: u64,
    ) -> Self {
        // Two kinds of leaving want two of joining.
        let nodes = faults.iter().copied().chain([NodeFault::Join]).map(Some).chain([None]);
        let links = LinkFault::ALL.into_iter().map(Some).chain([None]);
        Self {
            rng,
            nodes: Bag::new(nodes.collect()),
            links: Bag::new(links.collect()),
            running,
            least: running - 1,
            most,
            lasts_ms_max,
        }
    }

    pub(crate) fn next(&mut self) -> Round {
        let (running, least, most) = (self.running, self.least, self.most);
        let node = self.nodes.draw(&mut self.rng, |node| match node {
            Some(NodeFault::Join) => running < most,
            Some(NodeFault::Leave | NodeFault::Vanish) => running > least,
            _ => true,
        });
        match node {
            Some(NodeFault::Join) => self.running += 1,
            Some(NodeFault::Leave | NodeFault::Vanish) => self.running -= 1,
            _ => {}
        }
        let alone = node.is_some_and(NodeFault::stands_alone);
        let link = self.links.draw(&mut self.rng, |link| !alone || link.is_none());
        let lasts = Duration::from_millis(self.rng.random_range(self.lasts_ms_max / 3..=self.lasts_ms_max));
        Round { node, link, lasts }
    }
}

/// Draws each of its kinds once before it is filled again.
struct Bag<T> {
    kinds: Vec<T>,
    left: Vec<T>,
}

impl<T: Copy> Bag<T> {
    fn new(kinds: Vec<T>) -> Self {
        Self { kinds, left: Vec::new() }
    }

    /// Draws a kind that is possible now; the others stay for later.
    fn draw(&mut self, rng: &mut StdRng, possible: impl Fn(&T) -> bool) -> T {
        loop {
            if let Some(at) = self.left.iter().position(&possible) {
                return self.left.remove(at);
            }
            let mut again = self.kinds.clone();
            again.shuffle(rng);
            self.left.extend(again);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn every_kind_comes_and_never_too_many_nodes_are_gone() {
        for seed in 0..200 {
            let rng = StdRng::seed_from_u64(seed);
            let mut schedule = Schedule::new(rng, &NodeFault::ALL, (5, 6), 3_000);
            let (mut nodes, mut links) = (BTreeSet::new(), BTreeSet::new());
            for _ in 0..NodeFault::ALL.len() + 2 {
                let round = schedule.next();
                nodes.extend(round.node.map(NodeFault::name));
                links.extend(round.link.map(LinkFault::name));
                assert!((4..=6).contains(&schedule.running), "seed {seed}: {} run", schedule.running);
                let alone = round.node.is_some_and(NodeFault::stands_alone);
                assert!(!alone || round.link.is_none(), "seed {seed}: {round:?}");
            }
            assert_eq!(nodes.len(), NodeFault::ALL.len(), "seed {seed}: {nodes:?}");
            assert!(links.len() >= 4, "seed {seed}: {links:?}");
        }
    }
}
