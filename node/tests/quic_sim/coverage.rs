//! The kinds of fault, and counts of the events in a history: they show that the checks had something to check.

use std::collections::BTreeMap;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    Kill,
    /// All machines lose power at one instant.
    Blackout,
    Pause,
    CutPair,
    CutOneWay,
    Split,
    SlowWay,
    Loss,
    Disorder,
    NarrowPath,
    ClockJump,
    DiskFull,
    /// A node is forgotten, whether it runs or not.
    Forget,
    /// A node leaves, and comes back as a new one.
    Leave,
    Calm,
}

impl Fault {
    pub const ALL: [Self; 15] = [
        Self::Kill,
        Self::Blackout,
        Self::Pause,
        Self::CutPair,
        Self::CutOneWay,
        Self::Split,
        Self::SlowWay,
        Self::Loss,
        Self::Disorder,
        Self::NarrowPath,
        Self::ClockJump,
        Self::DiskFull,
        Self::Forget,
        Self::Leave,
        Self::Calm,
    ];
}

/// The events and outcomes of a history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    pub faults: BTreeMap<Fault, u64>,
    pub posts: u64,
    pub acks: u64,
    /// Acks with two copies or more.
    pub copied: u64,
    pub rooms: u64,
    pub sessions: u64,
    /// Nodes that got a new id because they were forgotten.
    pub renewed: u64,
    /// Nodes that left the cluster.
    pub left: u64,
    pub packets: u64,
    /// From the end of the last fault until every promise held, in virtual milliseconds.
    pub healed_in_ms: u64,
    /// A fingerprint of all packets and outcomes.
    pub trace: u64,
}

impl Coverage {
    pub fn note(&mut self, numbers: &[u64]) {
        for number in numbers {
            self.trace = (self.trace ^ number).wrapping_mul(0x0100_0000_01b3).rotate_left(7);
        }
    }

    /// Returns the totals of all histories, a line each.
    pub fn summary(all: &[Self]) -> Vec<String> {
        let mean = |get: fn(&Self) -> u64| all.iter().map(get).sum::<u64>() / all.len().max(1) as u64;
        let mut healed: Vec<_> = all.iter().map(|one| one.healed_in_ms).collect();
        healed.sort_unstable();
        let at = |part: usize| healed.get((healed.len() * part / 100).min(healed.len().max(1) - 1));
        let mut lines = vec![
            format!(
                "mean of a seed: {} posts, {} acks ({} with copies), {} rooms, {} sessions, {} packets; in all {} nodes left and {} were forgotten",
                mean(|c| c.posts),
                mean(|c| c.acks),
                mean(|c| c.copied),
                mean(|c| c.rooms),
                mean(|c| c.sessions),
                mean(|c| c.packets),
                all.iter().map(|c| c.left).sum::<u64>(),
                all.iter().map(|c| c.renewed).sum::<u64>(),
            ),
            format!(
                "healed within (virtual ms): {} of half, {} of 99 in 100, {} of all",
                at(50).copied().unwrap_or(0),
                at(99).copied().unwrap_or(0),
                healed.last().copied().unwrap_or(0),
            ),
        ];
        let faults = Fault::ALL.map(|fault| {
            let count: u64 = all.iter().filter_map(|one| one.faults.get(&fault)).sum();
            format!("{fault:?} {count}")
        });
        lines.push(faults.join(", "));
        lines
    }
}
