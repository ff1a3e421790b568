//! The invariants of every schedule. Each planted bug must break one of them in some schedule.

use super::{Model, Mutant, WAIT_MS, node::Answer};

/// The time for commit and decision, besides the wait.
const OVERHEAD_MS: u64 = 200;

/// The time before a pull is repeated.
const PULL_RETRY_MS: u64 = 5_000;

/// The outcomes of the attempts of many schedules.
#[derive(Debug, Default)]
struct Counts {
    granted: u64,
    taken: u64,
    unknown: u64,
    /// Names that were granted twice, on both sides of a partition.
    granted_twice: u64,
}

impl Model {
    fn check(&self, counts: &mut Counts) -> Result<(), String> {
        let mut last_granted = 0;
        for attempt in &self.attempts {
            let Some((at, answer)) = &attempt.answer else {
                return Err(format!("{attempt:?} was never answered"));
            };
            if at.ms_since(attempt.since) > WAIT_MS + OVERHEAD_MS {
                return Err(format!("{attempt:?} was answered after {} ms", at.ms_since(attempt.since)));
            }
            match answer {
                Answer::Granted(_) => counts.granted += 1,
                Answer::Taken => counts.taken += 1,
                Answer::Unknown { .. } => counts.unknown += 1,
            }
            last_granted += u64::from(attempt.is_last && matches!(answer, Answer::Granted(_)));
            // A claim must not wait for a node that would never wait for the claimer. (A slow node may lack events of
            // others, and rightly wait for them.)
            let never_waiting =
                |node| attempt.not_waiting.contains(node) && attempt.not_waiting_at_end.contains(node);
            // The claim may wait for an answer to a pull that a full queue dropped.
            let dropped = self.full_at.is_some_and(|full| full + PULL_RETRY_MS > attempt.since && full < *at);
            // A node that is cut off late in the wait counts as silent only after it.
            let cut_off = self.cut_at.iter().any(|cut| (attempt.since..*at).contains(cut));
            if dropped || cut_off {
                continue;
            }
            let unknown = *answer == (Answer::Unknown { stalled: false });
            // Missing events may have arrived just after the wait.
            if unknown && !attempt.missing.is_empty() && attempt.missing.iter().all(never_waiting) {
                return Err(format!("{attempt:?} waited for nodes that would not wait for it"));
            }
        }
        // One node is linked with all others: through it all claims wait for all nodes.
        if last_granted != 1 {
            return Err(format!("{last_granted} attempts got the last name, while all nodes were in sync"));
        }
        self.check_pairs(counts)
    }

    /// A name has one owner, unless neither claimer waited for the other, nor both for a common node. (A claimer that gave
    /// up waiting for the other may have had the common node's answer before.)
    fn check_pairs(&self, counts: &mut Counts) -> Result<(), String> {
        let granted = self.attempts.iter().filter_map(|attempt| match &attempt.answer {
            Some((_, Answer::Granted(waited_for))) => Some((attempt, waited_for)),
            _ => None,
        });
        let granted: Vec<_> = granted.collect();
        for (at, (one, one_waited)) in granted.iter().enumerate() {
            for (other, other_waited) in granted[at + 1..].iter().filter(|(other, _)| other.name == one.name)
            {
                let nodes = [one.node, other.node].map(|node| self.nodes[node].origin.node);
                let linked = one_waited.contains(&nodes[1]) || other_waited.contains(&nodes[0]);
                let gave_up = one.waited_for.contains(&nodes[1]) || other.waited_for.contains(&nodes[0]);
                let common = !gave_up && one_waited.iter().any(|node| other_waited.contains(node));
                if nodes[0] == nodes[1] || linked || common {
                    return Err(format!("both got the name: {one:?} and {other:?}"));
                }
                counts.granted_twice += 1;
            }
        }
        Ok(())
    }
}

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |number| number.parse().expect("a number of schedules"))
}

fn play(schedule: u64, mutant: Option<Mutant>, counts: &mut Counts) -> Result<(), String> {
    let mut model = Model::new(schedule, mutant);
    model.play();
    model.check(counts)
}

/// Promise: a name has one owner, unless two sides of a partition granted it. No claim takes longer than 4 s, even with
/// missing links and slow nodes. While all nodes are in sync, one of several claimers gets the name.
#[test]
fn no_schedule_grants_a_name_twice() {
    let mut counts = Counts::default();
    let first = from_environment("STARLING_CLAIM_FIRST", 0);
    let count = from_environment("STARLING_CLAIM_SCHEDULES", 20_000);
    for schedule in first..first + count {
        if let Err(violation) = play(schedule, None, &mut counts) {
            panic!("schedule {schedule}: {violation}");
        }
    }
    eprintln!("{count} schedules: {counts:?}");
    assert!(
        count < 1_000 || counts.granted_twice > 0 && counts.taken > 0,
        "both sides of a partition must go on: {counts:?}"
    );
}

/// The model finds each planted bug.
#[test]
fn every_mutant_is_found() {
    for mutant in [
        Mutant::OneSided,
        Mutant::OwnHeadOnly,
        Mutant::NoRelay,
        Mutant::OnlyEarlier,
        Mutant::Unconfirmed,
        Mutant::NotNarrowed,
    ] {
        let mut counts = Counts::default();
        let play = |schedule| play(schedule, Some(mutant), &mut counts).err().map(|found| (schedule, found));
        let found = (0..20_000).find_map(play);
        let (schedule, violation) = found.unwrap_or_else(|| panic!("{mutant:?} is not found"));
        eprintln!("{mutant:?}: schedule {schedule}: {violation}");
    }
}
