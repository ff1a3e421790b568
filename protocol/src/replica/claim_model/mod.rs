//! A model of contested names: several replicas with clocks askew, of which some have no link to each other, are cut
//! off and linked again while people claim the same names. The rules are the product's own; `checks.rs` says what must
//! hold. Schedules: `STARLING_CLAIM_SCHEDULES` (200,000 for a release) from `STARLING_CLAIM_FIRST` on.

mod checks;
mod node;
mod schedule;

use std::collections::BTreeMap;

use self::node::{Attempt, Node};
use super::{ClaimOutcome, Input, LinkId, Millis};
use crate::{Event, Pos, VersionVector, frame::peer::ReplicaFrame};

/// How long a claim waits, as in `node`.
const WAIT_MS: Millis = 3_500;

/// Bugs that the model must find. Each stands where the model drives the rules, which have no hooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mutant {
    /// A peer in sync is waited for, whether it counts the claimer or not.
    OneSided,
    /// A confirmation names only what its node wrote itself.
    OwnHeadOnly,
    /// Nodes without a link don't hear of each other.
    NoRelay,
    /// A claim is withdrawn only if an earlier one is known.
    OnlyEarlier,
    /// A claim is given the name before anybody confirmed it.
    Unconfirmed,
    /// A claim that was decided without some whom it names goes on naming them.
    NotNarrowed,
}

#[derive(Debug)]
enum Happening {
    Frame {
        to: usize,
        link: LinkId,
        frame: Box<ReplicaFrame>,
    },
    Tick(usize),
    Apply(usize),
    LinkUp {
        node: usize,
        peer: usize,
        link: LinkId,
    },
    LinkDown {
        node: usize,
        link: LinkId,
    },
    Heal(usize, usize),
    QueueFull(usize, bool),
    Stall(usize, bool),
    /// Posts that the others lack: so many.
    Posts(usize, usize),
    Begin {
        node: usize,
        name: u8,
        is_last: bool,
    },
    Commit(usize),
    Ask(usize),
    Decide(usize, ClaimOutcome),
}

/// What lies between two nodes.
#[derive(Debug, Default)]
struct Pair {
    link: LinkId,
    is_cut: bool,
    /// Frames that wait for the end of a cut.
    held_back: Vec<(usize, ReplicaFrame)>,
    /// When the last frame to either end arrives: none overtakes another.
    last: [Millis; 2],
    /// When each end takes the link for up.
    up_at: [Millis; 2],
}

struct Model {
    now: Millis,
    random: u64,
    mutant: Option<Mutant>,
    nodes: Vec<Node>,
    /// Those that are ever linked.
    pairs: BTreeMap<(usize, usize), Pair>,
    queue: BTreeMap<(Millis, u64), Happening>,
    number: u64,
    attempts: Vec<Attempt>,
    last_link: LinkId,
    /// When a queue was full last.
    full_at: Option<Millis>,
    /// When nodes were cut off from each other.
    cut_at: Vec<Millis>,
    /// When a node is cut off from which others, and for how long.
    cuts: Vec<(Millis, usize, Vec<usize>, Millis)>,
}

impl Model {
    /// A number below `end`, by `SplitMix64`.
    fn below(&mut self, end: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    fn pick(&mut self, end: usize) -> usize {
        usize::try_from(self.below(end as u64)).expect("it is small")
    }

    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    fn after(&mut self, ms: Millis, happening: Happening) {
        self.at(self.now + ms, happening);
    }

    fn at(&mut self, at: Millis, happening: Happening) {
        self.number += 1;
        self.queue.insert((at.max(self.now), self.number), happening);
    }

    fn run(&mut self, until: Millis) {
        while let Some(entry) = self.queue.first_entry()
            && entry.key().0 <= until
        {
            let ((at, _), happening) = entry.remove_entry();
            self.now = at;
            self.happen(happening);
        }
        self.now = until;
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Frame { to, link, frame } => self.arrived(to, link, *frame),
            Happening::Tick(node) => {
                if self.nodes[node].tick_at <= self.now {
                    self.feed(node, Input::Tick);
                }
            }
            Happening::Apply(node) => self.apply(node),
            Happening::LinkUp { node, peer, link } => {
                self.nodes[node].links.retain(|_, old| *old != peer);
                self.nodes[node].links.insert(link, peer);
                let peer = self.nodes[peer].origin.node;
                self.feed(node, Input::LinkUp { link, peer });
            }
            Happening::LinkDown { node, link } => {
                if self.nodes[node].links.remove(&link).is_some() {
                    self.feed(node, Input::LinkDown(link));
                }
            }
            Happening::Heal(one, other) => self.heal(one, other),
            Happening::QueueFull(node, is_full) => {
                self.nodes[node].queue_is_full = is_full;
                self.full_at = Some(self.now);
            }
            Happening::Stall(node, stalled) => {
                self.feed(node, Input::LocalStatus { wall_ms: self.now, stalled });
            }
            Happening::Posts(node, count) => self.post(node, count),
            Happening::Begin { node, name, is_last } => self.begin(node, name, is_last),
            Happening::Commit(attempt) => self.commit_claim(attempt),
            Happening::Ask(attempt) => self.ask(attempt),
            Happening::Decide(attempt, outcome) => self.decide(attempt, outcome),
        }
    }

    /// Sends a frame: it arrives behind those before it, or waits for the end of a cut.
    fn send(&mut self, from: usize, link: LinkId, frame: ReplicaFrame) {
        let Some(&to) = self.nodes[from].links.get(&link) else { return };
        let delay = if self.below(20) == 0 { 1 + self.below(300) } else { 1 + self.below(20) };
        let at = self.now + delay;
        let pair = self.pairs.get_mut(&order(from, to)).expect("they are linked");
        if pair.link != link {
            return;
        }
        if pair.is_cut {
            pair.held_back.push((to, frame));
            return;
        }
        let end = usize::from(to > from);
        let at = at.max(pair.last[end]).max(pair.up_at[end]);
        pair.last[end] = at;
        self.at(at, Happening::Frame { to, link, frame: Box::new(frame) });
    }

    fn arrived(&mut self, to: usize, link: LinkId, mut frame: ReplicaFrame) {
        let Some(&from) = self.nodes[to].links.get(&link) else { return };
        if self.pairs[&order(from, to)].is_cut {
            let pair = self.pairs.get_mut(&order(from, to)).expect("they are linked");
            pair.held_back.push((to, frame));
            return;
        }
        match &mut frame {
            ReplicaFrame::Confirm(confirm) if self.is(Mutant::OneSided) => confirm.in_sync = true,
            ReplicaFrame::ClaimAnswer(answer) if self.is(Mutant::OneSided) => answer.counts_claimer = true,
            ReplicaFrame::ClaimAnswer(answer) if self.is(Mutant::OwnHeadOnly) => {
                let by = answer.passed_from.unwrap_or(self.nodes[from].origin.node);
                let own = answer.held.iter().flat_map(VersionVector::iter);
                let own = own.filter(|(origin, _)| origin.node == by).collect();
                answer.held = answer.held.is_some().then_some(own);
            }
            ReplicaFrame::Peers(_) if self.is(Mutant::NoRelay) => return,
            _ => {}
        }
        if let ReplicaFrame::ClaimAnswer(answer) = &frame
            && answer.origin == self.nodes[to].origin
        {
            let from = answer.passed_from.unwrap_or(self.nodes[from].origin.node);
            self.note_confirmation(from, answer);
        }
        self.feed(to, Input::Frame(link, frame));
    }

    /// Two can't reach each other any more; each notices when it does.
    fn cut(&mut self, one: usize, other: usize, for_ms: Millis) {
        let Some(pair) = self.pairs.get_mut(&order(one, other)).filter(|pair| !pair.is_cut) else { return };
        pair.is_cut = true;
        let link = pair.link;
        self.cut_at.push(self.now);
        for node in [one, other] {
            let after = self.below(6_000);
            if after < for_ms {
                self.after(after, Happening::LinkDown { node, link });
            }
        }
        self.after(for_ms, Happening::Heal(one, other));
    }

    fn heal(&mut self, one: usize, other: usize) {
        let pair = self.pairs.get_mut(&order(one, other)).expect("they are linked");
        pair.is_cut = false;
        let link = pair.link;
        let held_back = std::mem::take(&mut pair.held_back);
        if [one, other].iter().all(|&node| self.nodes[node].links.contains_key(&link)) {
            for (to, frame) in held_back {
                let from = if to == one { other } else { one };
                self.send(from, link, frame);
            }
        } else {
            self.link(one, other);
        }
    }

    /// A new link: each end hears of it at its time.
    fn link(&mut self, one: usize, other: usize) {
        self.last_link += 1;
        let link = self.last_link;
        let ends = order(one, other);
        let up_at = [0, 1].map(|_| self.now + 1 + self.below(200));
        for (node, peer, at) in [(ends.0, ends.1, up_at[0]), (ends.1, ends.0, up_at[1])] {
            self.at(at, Happening::LinkUp { node, peer, link });
        }
        self.pairs.insert(ends, Pair { link, up_at, ..Pair::default() });
    }
}

fn order(one: usize, other: usize) -> (usize, usize) {
    (one.min(other), one.max(other))
}

/// The place of an event in the order of claims.
fn pos(event: &Event) -> Pos {
    event.pos()
}
