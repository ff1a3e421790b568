//! What can go wrong, which bugs can be planted, and how much of it a history has seen.

use std::collections::BTreeMap;

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    Crash,
    CrashInCommit,
    CutPair,
    Split,
    SlowLink,
    Disorder,
    QueueFull,
    Calm,
    ClockJump,
    LinkBreaks,
}

impl Fault {
    pub const SCHEDULED: [Self; 10] = [
        Self::Crash,
        Self::CrashInCommit,
        Self::CutPair,
        Self::Split,
        Self::SlowLink,
        Self::Disorder,
        Self::QueueFull,
        Self::Calm,
        Self::ClockJump,
        Self::LinkBreaks,
    ];
}

/// A known bug, planted to see that it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// A post is acked when it is queued.
    AckBeforeCommit,
    /// Peers are told that events are durable when they are queued.
    ConfirmBeforeDurable,
    /// A cursor covers the last commit although the lane is not drained.
    CursorAheadOfLane,
    /// A replay leaves out what one origin wrote.
    ResumeSkipsOneOrigin,
}

impl Plant {
    pub const ALL: [Self; 4] = [
        Self::AckBeforeCommit,
        Self::ConfirmBeforeDurable,
        Self::CursorAheadOfLane,
        Self::ResumeSkipsOneOrigin,
    ];
}

/// What a history was made of.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    pub posts: u64,
    pub acks: u64,
    pub resumes: u64,
    pub resyncs: u64,
    counts: BTreeMap<Fault, u64>,
    /// A fingerprint of everything that happened.
    pub history: u64,
}

impl Coverage {
    pub fn count(&mut self, fault: Fault) {
        *self.counts.entry(fault).or_default() += 1;
    }

    /// Faults that were scheduled; each refused frame is not one, nor is calm.
    pub fn faults(&self) -> u64 {
        let is_fault = |fault: Fault| !matches!(fault, Fault::QueueFull | Fault::Calm);
        let kinds = self.counts.iter().filter(|(fault, _)| is_fault(**fault));
        kinds.map(|(_, count)| count).sum()
    }

    /// What all histories were made of, a line each.
    pub fn summary(all: &[Self]) -> Vec<String> {
        let mean = |get: fn(&Self) -> u64| all.iter().map(get).sum::<u64>() / all.len().max(1) as u64;
        let mut lines = vec![format!(
            "mean of a seed: {} posts, {} acks, {} resumes, {} resyncs, {} faults; at least {} posts and {} faults",
            mean(|c| c.posts),
            mean(|c| c.acks),
            mean(|c| c.resumes),
            mean(|c| c.resyncs),
            mean(Self::faults),
            all.iter().map(|c| c.posts).min().unwrap_or(0),
            all.iter().map(Self::faults).min().unwrap_or(0),
        )];
        for fault in Fault::SCHEDULED {
            let count: u64 = all.iter().filter_map(|one| one.counts.get(&fault)).sum();
            lines.push(format!("  {fault:?}: {count}"));
        }
        lines
    }
}
