//! Schedules: all steps follow from the number of the schedule.

use std::collections::BTreeMap;

use super::{Model, Mutant, Step, node::Node};
use crate::replica::Millis;

/// The time when all links are up again and all nodes are in sync. Then several nodes claim one more name.
const LAST_MS: u64 = 22_000;
const END_MS: u64 = 27_000;
/// The name that is claimed at the end.
const LAST_NAME: u8 = 9;

impl Model {
    pub(super) fn new(schedule: u64, mutant: Option<Mutant>) -> Self {
        let mut model = Self {
            now: Millis(0),
            random: schedule << 32,
            mutant,
            nodes: Vec::new(),
            pairs: BTreeMap::new(),
            queue: BTreeMap::new(),
            number: 0,
            attempts: Vec::new(),
            last_link: 0,
            full_at: None,
            cut_at: Vec::new(),
            cuts: Vec::new(),
        };
        let count = 2 + model.pick(3);
        for number in 0..count {
            let mut node = Node::new(u8::try_from(number).expect("there are few"), Millis(0));
            node.skew_ms = if model.below(3) == 0 { model.below(10_000) } else { model.below(50) };
            node.apply_ms = if model.below(4) == 0 { 600 } else { 1 + model.below(20) };
            model.nodes.push(node);
            model.at(Millis(0), Step::Tick(number));
        }
        // All nodes are linked with the hub, and some of the others with each other.
        let hub = model.pick(count);
        for one in 0..count {
            for other in one + 1..count {
                if one == hub || other == hub || model.below(3) > 0 {
                    model.link(one, other);
                }
            }
        }
        model.plan();
        model
    }

    fn plan(&mut self) {
        let count = self.nodes.len();
        for _ in 0..=self.below(2) {
            let (from, for_ms) = (3_000 + self.below(4_000), 100 + self.below(4_900));
            let (one, alone) = (self.pick(count), self.below(2) == 0);
            let other = (one + 1 + self.pick(count - 1)) % count;
            let ends: Vec<_> = (0..count).filter(|&end| end != one && (alone || end == other)).collect();
            self.cuts.push((Millis(from), one, ends, for_ms));
            for node in [one, other] {
                if self.below(2) == 0 {
                    let posts = 1 + self.pick(100);
                    let at = from + self.below(for_ms);
                    self.at(Millis(at), Step::Posts(node, posts));
                }
            }
            // Half of the claims come around the time when links come back: then the nodes' knowledge differs most.
            for _ in 0..4 + self.below(5) {
                let at = (from + for_ms + self.below(5_000)).saturating_sub(1_500);
                let name = u8::try_from(self.below(2)).expect("it is small");
                let at = if self.below(2) == 0 { at } else { 500 + self.below(11_000) };
                let first = self.pick(count);
                self.at(Millis(at), Step::Begin { node: first, name, is_last: false });
                let (second, apart) = (self.pick(count), self.below(400));
                self.at(Millis(at + apart), Step::Begin { node: second, name, is_last: false });
            }
        }
        if self.below(4) == 0 {
            let (node, at) = (self.pick(count), 2_000 + self.below(8_000));
            self.at(Millis(at), Step::QueueFull(node, true));
            let for_ms = self.below(600);
            self.at(Millis(at + for_ms), Step::QueueFull(node, false));
        }
        if self.below(8) == 0 {
            let (node, at) = (self.pick(count), 2_000 + self.below(8_000));
            self.at(Millis(at), Step::Stall(node, true));
            let for_ms = self.below(2_000);
            self.at(Millis(at + for_ms), Step::Stall(node, false));
        }
        for _ in 0..2 + self.below(2) {
            let (node, at) = (self.pick(count), LAST_MS + self.below(60));
            self.at(Millis(at), Step::Begin { node, name: LAST_NAME, is_last: true });
        }
    }

    /// Runs the whole schedule.
    pub(super) fn play(&mut self) {
        let mut cuts = std::mem::take(&mut self.cuts);
        cuts.sort_unstable();
        for (from, one, others, for_ms) in cuts {
            self.run(from);
            for other in others {
                self.cut(one, other, for_ms);
            }
        }
        self.run(Millis(END_MS));
    }
}
