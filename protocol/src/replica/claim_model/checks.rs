//! What must hold in every schedule, and that each planted bug breaks it in some.

use super::{Model, Mutant, WAIT_MS, node::Answer};
use crate::replica::Millis;

/// What commit and decision take besides the wait.
const BESIDES_MS: Millis = 200;

/// For so long a pull is not repeated.
const PULL_MS: Millis = 5_000;

/// What came of all the attempts of many schedules.
#[derive(Debug, Default)]
struct Counts {
    granted: u64,
    taken: u64,
    unknown: u64,
    /// Names that were given twice by the sides of a split.
    split: u64,
}

impl Model {
    fn check(&self, counts: &mut Counts) -> Result<(), String> {
        let mut last = 0;
        for attempt in &self.attempts {
            let Some((at, answer)) = &attempt.answer else {
                return Err(format!("{attempt:?} was never answered"));
            };
            if at - attempt.since > WAIT_MS + BESIDES_MS {
                return Err(format!("{attempt:?} was answered after {} ms", at - attempt.since));
            }
            match answer {
                Answer::Granted(_) => counts.granted += 1,
                Answer::Taken => counts.taken += 1,
                Answer::Unknown { .. } => counts.unknown += 1,
            }
            last += u64::from(attempt.is_last && matches!(answer, Answer::Granted(_)));
            // Whoever does not count the claimer for so long is not to be waited for. (A slow node may lack what others
            // hold, and be right to wait for them.)
            let never =
                |node| attempt.not_counting.contains(node) && attempt.not_counting_at_end.contains(node);
            // An answer to a pull that a full queue has swallowed is waited for.
            let swallowed = self.full_at.is_some_and(|full| full + PULL_MS > attempt.since && full < *at);
            // Whoever is cut off late in the wait is silent for too long only after it.
            let cut_off = self.cut_at.iter().any(|cut| (attempt.since..*at).contains(cut));
            if swallowed || cut_off {
                continue;
            }
            let unknown = *answer == (Answer::Unknown { stalled: false });
            // What was missing may have come just after the wait.
            if unknown && !attempt.missing.is_empty() && attempt.missing.iter().all(never) {
                return Err(format!("{attempt:?} waited for nodes that did not count it"));
            }
        }
        // Some node is linked with all: through it everybody waits for everybody.
        if last != 1 {
            return Err(format!("{last} got the name for which they asked while all was well"));
        }
        self.check_pairs(counts)
    }

    /// One name, one owner, unless neither waited for the other, nor both for one that knew of both. (Who gave up
    /// waiting for the other meanwhile may have had the answer of a common one before.)
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
                counts.split += 1;
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

/// Promise: a name has one owner, unless two sides of a split gave it away; no claim waits longer than 4 s, also with
/// missing links and nodes that lag; and while all is well one of several gets the name.
#[test]
fn no_schedule_gives_a_name_twice() {
    let mut counts = Counts::default();
    let first = from_environment("STARLING_CLAIM_FIRST", 0);
    let count = from_environment("STARLING_CLAIM_SCHEDULES", 20_000);
    for schedule in first..first + count {
        if let Err(violation) = play(schedule, None, &mut counts) {
            panic!("schedule {schedule}: {violation}");
        }
    }
    eprintln!("{count} schedules: {counts:?}");
    assert!(count < 1_000 || counts.split > 0 && counts.taken > 0, "the sides of a split go on: {counts:?}");
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
