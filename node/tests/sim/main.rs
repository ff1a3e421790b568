//! The simulator: the real replication, merge rules and store under a virtual network, clock and disk, all from one
//! seed. Faults first, then the network heals and every promise must hold. A failing seed prints its command.
//!
//! `STARLING_SIM_SEEDS=N` sets the number of seeds, `STARLING_SIM_FIRST=S` the first one. `STARLING_SIM_MUTANT=Name` plants
//! this bug alone, with those seeds.

#![expect(clippy::unwrap_used, reason = "a simulation that cannot go on has failed")]

mod clients;
mod coverage;
mod driver;
mod faults;
mod invariants;
mod losses;
mod mutants;
mod network;
mod node;
mod people;
mod rooms;
mod runner;
mod sessions;
mod world;
mod writer;

use std::time::Instant;

use mutants::Mutant;
use runner::say;
use world::World;

/// The number of seeds that run in three minutes on two cores.
const SEEDS: u64 = 6_000;
/// The first seed of the search for planted bugs, and the number of seeds within which each must be found.
const PLANTED_FIRST: u64 = 1_000_000;
const PLANTED_SEEDS: u64 = 5_000;

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().expect("a number"))
}

/// Promises 1 to 5, 8 and 11: nothing acked is lost or doubled, acks tell the truth, resumes have no gap, splits merge,
/// one order, queues are bounded, leaving is safe.
#[test]
fn no_seed_breaks_a_promise() {
    let first = from_environment("STARLING_SIM_FIRST", 0);
    let count = from_environment("STARLING_SIM_SEEDS", SEEDS);
    let begun = Instant::now();
    match runner::run(first, count, None) {
        Err((seed, violation)) => panic!(
            "seed {seed}: {violation}\nrepeat with: STARLING_SIM_FIRST={seed} STARLING_SIM_SEEDS=1 \
             cargo test --release -p starling-node --test sim no_seed -- --nocapture"
        ),
        Ok(totals) => {
            say(&format!("{} seeds in {:.1} s", totals.seeds, begun.elapsed().as_secs_f64()));
            totals.summary().iter().for_each(|line| say(line));
            assert!(
                totals.posts_min >= world::POSTS_MIN && totals.faults_min >= world::FAULTS_MIN,
                "too little happened"
            );
        }
    }
}

/// The simulator finds each known bug, planted alone.
#[test]
fn every_mutant_is_found() {
    let only = std::env::var("STARLING_SIM_MUTANT").ok();
    let (first, count) = match only {
        Some(_) => (
            from_environment("STARLING_SIM_FIRST", PLANTED_FIRST),
            from_environment("STARLING_SIM_SEEDS", PLANTED_SEEDS),
        ),
        None => (PLANTED_FIRST, PLANTED_SEEDS),
    };
    let is_chosen = |mutant: &Mutant| only.as_ref().is_none_or(|name| *name == format!("{mutant:?}"));
    let mut missed = Vec::new();
    for mutant in Mutant::ALL.into_iter().filter(is_chosen) {
        let begun = Instant::now();
        match runner::run(first, count, Some(mutant)) {
            Err((seed, violation)) => say(&format!(
                "{mutant:?}: in {} seeds, {:.1} s: {violation}",
                seed - first + 1,
                begun.elapsed().as_secs_f64()
            )),
            Ok(_) => missed.push(mutant),
        }
    }
    assert!(missed.is_empty(), "not found in {count} seeds: {missed:?}");
}

/// One seed gives one history; otherwise no failure could be repeated.
#[test]
fn a_seed_repeats_its_history() {
    let run = |seed| World::new(seed, None).run().map(|coverage| coverage.history);
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}
