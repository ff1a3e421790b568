//! A model of contested usernames. Several replicas with skewed clocks, some without a link to each other, are cut off and
//! linked again while people claim the same names. The model runs the real rules; `checks.rs` has the invariants.
//! It runs `STARLING_CLAIM_SCHEDULES` schedules (200,000 for a release), from number `STARLING_CLAIM_FIRST` on.

mod checks;
mod node;
mod schedule;

use std::collections::BTreeMap;

use self::node::{Attempt, Node};
use super::{ClaimOutcome, Input, LinkId, Millis};
use crate::{
    VersionVector,
    frame::{peer::ReplicaFrame, wire::WireVersion},
};

/// The longest wait of a claim, as in `node`.
const WAIT_MS: u64 = 3_500;

/// Bugs that the model must find. They are planted in the model's driver code, since the rules have no hooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mutant {
    /// A claim waits for a peer in sync even if the peer wouldn't wait for the claimer.
    OneSided,
    /// A confirmation lists only the events that its node wrote itself.
    OwnHeadOnly,
    /// Nodes without a link don't learn of each other.
    NoRelay,
    /// A claim is withdrawn only if an earlier one is known.
    OnlyEarlier,
    /// A claim is granted before anybody confirmed it.
    Unconfirmed,
    /// A claim that was decided without some of its listed nodes keeps listing them.
    NotNarrowed,
}

#[derive(Debug)]
enum Step {
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
    /// A node writes this many posts that the others lack.
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

/// The connection between two nodes.
#[derive(Debug)]
struct Pair {
    link: LinkId,
    is_cut: bool,
    /// Frames that wait for the end of a cut.
    delayed: Vec<(usize, ReplicaFrame)>,
    /// The arrival time of the last frame at each end. No frame overtakes another.
    last_arrival: [Millis; 2],
    /// The time when each end sees the link as up.
    up_at: [Millis; 2],
}

struct Model {
    now: Millis,
    random: u64,
    mutant: Option<Mutant>,
    nodes: Vec<Node>,
    /// The pairs of nodes that are ever linked.
    pairs: BTreeMap<(usize, usize), Pair>,
    queue: BTreeMap<(Millis, u64), Step>,
    number: u64,
    attempts: Vec<Attempt>,
    last_link: u64,
    /// The last time when a queue was full.
    full_at: Option<Millis>,
    /// The times when nodes were cut off from each other.
    cut_at: Vec<Millis>,
    /// Planned cuts: time, node, the nodes that it is cut off from, duration.
    cuts: Vec<(Millis, usize, Vec<usize>, u64)>,
}

impl Model {
    /// Returns a pseudorandom number below `end` (`SplitMix64`).
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

    fn after(&mut self, ms: u64, step: Step) {
        self.at(self.now + ms, step);
    }

    fn at(&mut self, at: Millis, step: Step) {
        self.number += 1;
        self.queue.insert((at.max(self.now), self.number), step);
    }

    fn run(&mut self, until: Millis) {
        while let Some(entry) = self.queue.first_entry()
            && entry.key().0 <= until
        {
            let ((at, _), step) = entry.remove_entry();
            self.now = at;
            self.execute(step);
        }
        self.now = until;
    }

    fn execute(&mut self, step: Step) {
        match step {
            Step::Frame { to, link, frame } => self.receive(to, link, *frame),
            Step::Tick(node) => {
                if self.nodes[node].tick_at <= self.now {
                    self.feed(node, Input::Tick);
                }
            }
            Step::Apply(node) => self.apply(node),
            Step::LinkUp { node, peer, link } => {
                self.nodes[node].links.retain(|_, old| *old != peer);
                self.nodes[node].links.insert(link, peer);
                let peer = self.nodes[peer].origin.node;
                // Later versions send more frames at a start of a link; none of these concerns claims.
                self.feed(node, Input::LinkUp { link, peer, version: WireVersion::V1, folds: None });
            }
            Step::LinkDown { node, link } => {
                if self.nodes[node].links.remove(&link).is_some() {
                    self.feed(node, Input::LinkDown(link));
                }
            }
            Step::Heal(one, other) => self.heal(one, other),
            Step::QueueFull(node, is_full) => {
                self.nodes[node].queue_is_full = is_full;
                self.full_at = Some(self.now);
            }
            Step::Stall(node, stalled) => {
                self.feed(node, Input::LocalStatus { wall_ms: self.now.0, stalled });
            }
            Step::Posts(node, count) => self.post(node, count),
            Step::Begin { node, name, is_last } => self.begin(node, name, is_last),
            Step::Commit(attempt) => self.commit_claim(attempt),
            Step::Ask(attempt) => self.ask(attempt),
            Step::Decide(attempt, outcome) => self.decide(attempt, outcome),
        }
    }

    /// Sends a frame. It arrives after all earlier ones, or waits for the end of a cut.
    fn send(&mut self, from: usize, link: LinkId, frame: ReplicaFrame) {
        let Some(&to) = self.nodes[from].links.get(&link) else { return };
        let delay = if self.below(20) == 0 { 1 + self.below(300) } else { 1 + self.below(20) };
        let at = self.now + delay;
        let pair = self.pairs.get_mut(&order(from, to)).expect("they are linked");
        if pair.link != link {
            return;
        }
        if pair.is_cut {
            pair.delayed.push((to, frame));
            return;
        }
        let end = usize::from(to > from);
        let at = at.max(pair.last_arrival[end]).max(pair.up_at[end]);
        pair.last_arrival[end] = at;
        self.at(at, Step::Frame { to, link, frame: Box::new(frame) });
    }

    fn receive(&mut self, to: usize, link: LinkId, mut frame: ReplicaFrame) {
        let Some(&from) = self.nodes[to].links.get(&link) else { return };
        if self.pairs[&order(from, to)].is_cut {
            let pair = self.pairs.get_mut(&order(from, to)).expect("they are linked");
            pair.delayed.push((to, frame));
            return;
        }
        match &mut frame {
            ReplicaFrame::Confirm(confirm) if self.is(Mutant::OneSided) => confirm.in_sync = true,
            ReplicaFrame::ClaimAnswer(answer) if self.is(Mutant::OneSided) => {
                answer.would_wait_for_claimer = true;
            }
            ReplicaFrame::ClaimAnswer(answer) if self.is(Mutant::OwnHeadOnly) => {
                let by = answer.answered_by.unwrap_or(self.nodes[from].origin.node);
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
            let from = answer.answered_by.unwrap_or(self.nodes[from].origin.node);
            self.note_confirmation(from, answer);
        }
        self.feed(to, Input::Frame(link, frame));
    }

    /// Cuts two nodes off from each other. Each notices after a random time.
    fn cut(&mut self, one: usize, other: usize, for_ms: u64) {
        let Some(pair) = self.pairs.get_mut(&order(one, other)).filter(|pair| !pair.is_cut) else { return };
        pair.is_cut = true;
        let link = pair.link;
        self.cut_at.push(self.now);
        for node in [one, other] {
            let after = self.below(6_000);
            if after < for_ms {
                self.after(after, Step::LinkDown { node, link });
            }
        }
        self.after(for_ms, Step::Heal(one, other));
    }

    fn heal(&mut self, one: usize, other: usize) {
        let pair = self.pairs.get_mut(&order(one, other)).expect("they are linked");
        pair.is_cut = false;
        let link = pair.link;
        let delayed = std::mem::take(&mut pair.delayed);
        if [one, other].iter().all(|&node| self.nodes[node].links.contains_key(&link)) {
            for (to, frame) in delayed {
                let from = if to == one { other } else { one };
                self.send(from, link, frame);
            }
        } else {
            self.link(one, other);
        }
    }

    /// Makes a new link. Each end sees it after a random time.
    fn link(&mut self, one: usize, other: usize) {
        self.last_link += 1;
        let link = LinkId(self.last_link);
        let ends = order(one, other);
        let up_at = [0, 1].map(|_| self.now + 1 + self.below(200));
        for (node, peer, at) in [(ends.0, ends.1, up_at[0]), (ends.1, ends.0, up_at[1])] {
            self.at(at, Step::LinkUp { node, peer, link });
        }
        self.pairs.insert(
            ends,
            Pair { link, is_cut: false, delayed: Vec::new(), last_arrival: [Millis(0); 2], up_at },
        );
    }
}

fn order(one: usize, other: usize) -> (usize, usize) {
    (one.min(other), one.max(other))
}
