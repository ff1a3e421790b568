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
mod long;
mod losses;
mod membership;
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

/// The number of seeds that run in two minutes on two cores.
const SEEDS: u64 = 3_000;
/// The first seed of the search for planted bugs, and the number of seeds within which each must be found.
const PLANTED_FIRST: u64 = 1_000_000;
const PLANTED_SEEDS: u64 = 5_000;

/// The starts, and the replaced nodes, of the long history in CI; the promise is measured with 1,000 of each.
const STARTS: u64 = 100;
/// Characters of a cursor, at most.
const CURSOR_CHARS_MAX: usize = 512;
/// Bytes of a read mark, at most.
const MARK_BYTES_MAX: usize = 1_024;
/// Rows of a stored vector beside its fold, at most.
const HEADS_MAX: usize = 24;

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

/// Promise 13: neither starts nor replaced nodes make anything larger. `STARLING_SIM_STARTS=N` sets the number of either.
#[test]
fn starts_and_replaced_nodes_cost_nothing_for_ever() {
    let count = usize::try_from(from_environment("STARLING_SIM_STARTS", STARTS)).unwrap();
    let begun = Instant::now();
    let costs = long::run(count);
    for cost in &costs {
        say(&cost.to_string());
    }
    say(&format!("{count} starts and {count} replaced nodes in {:.1} s", begun.elapsed().as_secs_f64()));
    for cost in &costs {
        assert!(cost.cursor_chars < CURSOR_CHARS_MAX && cost.mark_bytes < MARK_BYTES_MAX, "{cost:?}");
        // Eight of ended processes, those of live ones, and those opened since the last fold.
        assert!(cost.heads <= HEADS_MAX, "{cost:?}");
    }
    let (early, late) = costs.split_at(costs.len() / 2);
    let mean = |costs: &[long::Cost], of: fn(&long::Cost) -> u64| {
        costs.iter().map(of).sum::<u64>() / costs.len().max(1) as u64
    };
    for of in [|cost: &long::Cost| cost.post_bytes, |cost: &long::Cost| cost.mark_commit_bytes] {
        let (early, late) = (mean(early, of), mean(late, of));
        // The trees of the log and its views grow by a level now and then.
        assert!(late <= early * 3 / 2, "a commit writes {late} bytes, and wrote {early}");
    }
}

/// One seed gives one history; otherwise no failure could be repeated.
#[test]
fn a_seed_repeats_its_history() {
    let run = |seed| World::new(seed, None).run().map(|coverage| coverage.history);
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}
