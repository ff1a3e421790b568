//! Counts the events and outcomes of one history, and of all together.

use std::collections::BTreeMap;

use crate::faults::Fault;

/// The events and outcomes of a history.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    pub posts: u64,
    pub acks: u64,
    pub resends: u64,
    pub resumes: u64,
    pub resyncs: u64,
    pub moves: u64,
    pub commits: u64,
    /// Commits after which a node's vector was written over another fold.
    pub folds: u64,
    /// Cursors over folds that were given, and those that met a node without the fold.
    pub folded_cursors: u64,
    pub unknown_folds: u64,
    /// Frames with a vector over a fold, and those that were parts of a longer vector.
    pub folded_frames: u64,
    pub partial_frames: u64,
    /// Cursors from before the newest fold of the node that opened them.
    pub older_cursors: u64,
    /// Folds that have others of their generation: both sides of a split made one.
    pub rival_folds: u64,
    /// Folds that were lost with the disk of their maker.
    pub lost_folds: u64,
    /// Acts of users that were answered, except claims on names.
    pub acts: u64,
    /// Claims that got a name.
    pub names: u64,
    /// Claims that got no name.
    pub withdrawals: u64,
    /// Nodes that left the cluster, and those that came back under a new id after they were forgotten.
    pub left: u64,
    pub renewed: u64,
    /// Nodes that were started again because their leave could not end.
    pub restarted_leavers: u64,
    /// Commits that removed events from a log.
    pub erasures: u64,
    /// Messages acked with one copy that were lost with its disk, which is no violation.
    pub forgiven: u64,
    /// The virtual time from the healing of the network until all nodes agreed.
    pub settle_ms: u64,
    counts: BTreeMap<Fault, u64>,
    /// A fingerprint of everything that happened.
    pub history: u64,
}

impl Coverage {
    pub fn count(&mut self, fault: Fault) {
        *self.counts.entry(fault).or_default() += 1;
    }

    /// Adds an event to the fingerprint.
    pub fn happened(&mut self, at: u64, event: u64) {
        self.history = (self.history.rotate_left(7) ^ at).wrapping_mul(0x0100_0000_01b3).wrapping_add(event);
    }

    /// The number of faults; calm is none.
    pub fn faults(&self) -> u64 {
        let faults = self.counts.iter().filter(|(fault, _)| **fault != Fault::Calm);
        faults.map(|(_, count)| count).sum()
    }
}

/// The events and outcomes of many histories.
#[derive(Debug)]
pub struct Totals {
    pub seeds: u64,
    pub sum: Coverage,
    pub posts_min: u64,
    pub faults_min: u64,
    settle_ms_max: u64,
}

impl Default for Totals {
    fn default() -> Self {
        let (seeds, sum) = (0, Coverage::default());
        Self { seeds, sum, posts_min: u64::MAX, faults_min: u64::MAX, settle_ms_max: 0 }
    }
}

impl Totals {
    pub fn add(&mut self, one: &Coverage) {
        self.seeds += 1;
        self.posts_min = self.posts_min.min(one.posts);
        self.faults_min = self.faults_min.min(one.faults());
        self.settle_ms_max = self.settle_ms_max.max(one.settle_ms);
        let sum = &mut self.sum;
        sum.posts += one.posts;
        sum.acks += one.acks;
        sum.resends += one.resends;
        sum.resumes += one.resumes;
        sum.resyncs += one.resyncs;
        sum.moves += one.moves;
        sum.commits += one.commits;
        sum.folds += one.folds;
        sum.folded_cursors += one.folded_cursors;
        sum.unknown_folds += one.unknown_folds;
        sum.folded_frames += one.folded_frames;
        sum.partial_frames += one.partial_frames;
        sum.older_cursors += one.older_cursors;
        sum.rival_folds += one.rival_folds;
        sum.lost_folds += one.lost_folds;
        sum.acts += one.acts;
        sum.names += one.names;
        sum.withdrawals += one.withdrawals;
        sum.left += one.left;
        sum.renewed += one.renewed;
        sum.restarted_leavers += one.restarted_leavers;
        sum.erasures += one.erasures;
        sum.forgiven += one.forgiven;
        sum.settle_ms += one.settle_ms;
        for (&fault, count) in &one.counts {
            *sum.counts.entry(fault).or_default() += count;
        }
    }

    /// Returns a line about the whole, and one about each fault.
    pub fn summary(&self) -> Vec<String> {
        let Coverage { posts, acks, resends, resumes, resyncs, moves, commits, forgiven, settle_ms, .. } =
            self.sum;
        let mean = |sum: u64| sum / self.seeds.max(1);
        let mut lines = vec![
            format!(
                "mean of a seed: {} posts, {} acks, {} faults; at least {} posts and {} faults",
                mean(posts),
                mean(acks),
                mean(self.sum.faults()),
                self.posts_min,
                self.faults_min,
            ),
            format!(
                "  {} commits, {} resends, {} resumes, {} changes of room; settled {} ms after healing, {} ms at most",
                mean(commits),
                mean(resends),
                mean(resumes),
                mean(moves),
                mean(settle_ms),
                self.settle_ms_max,
            ),
            format!(
                "  {} acts of people, {} names given, {} claims withdrawn, {} erasures",
                mean(self.sum.acts),
                mean(self.sum.names),
                mean(self.sum.withdrawals),
                mean(self.sum.erasures),
            ),
            format!(
                "  {} folds, in all {} on both sides of a split, {} lost with their makers; {} cursors over folds, {} of them \
                 met a node without the fold; {} were from before a fold",
                mean(self.sum.folds),
                self.sum.rival_folds,
                self.sum.lost_folds,
                self.sum.folded_cursors,
                self.sum.unknown_folds,
                self.sum.older_cursors,
            ),
            format!(
                "in all: {} nodes left the cluster, {} were forgotten and came back, {} could not leave and came back",
                self.sum.left, self.sum.renewed, self.sum.restarted_leavers
            ),
            format!(
                "  {} frames with vectors over folds, {} with parts of vectors",
                mean(self.sum.folded_frames),
                mean(self.sum.partial_frames),
            ),
            format!("in all: {resyncs} resyncs, {forgiven} acked with one copy and gone with its disk"),
        ];
        let faults = Fault::ALL.map(|fault| {
            let count = self.sum.counts.get(&fault).copied().unwrap_or(0);
            format!("{fault:?} {count}")
        });
        lines.push(format!("  {}", faults.join(", ")));
        lines
    }
}
