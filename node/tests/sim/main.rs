//! The simulator: the real replication, merge rules and store under a virtual network, clock and disk, all from one
//! seed. Faults first, then the network heals and every promise must hold. A failing seed prints its command.
//!
//! `STARLING_SIM_SEEDS=N` runs so many seeds (default 1,000), `STARLING_SIM_FIRST=S` starts with another.

#![expect(clippy::unwrap_used, reason = "a simulation that cannot go on has failed")]

mod clients;
mod coverage;
mod disk;
mod faults;
mod invariants;
mod network;
mod world;
mod writer;

use std::{
    io::Write,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Instant,
};

use coverage::{Coverage, Plant};
use world::World;

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().expect("a number"))
}

/// Says what was covered, past the test runner, which hides what passing tests print.
fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").expect("there is a stderr");
}

/// Runs seeds on all cores; gives each one's outcome, or the first violation.
fn run(first: u64, count: u64, plant: Option<Plant>) -> Result<Vec<Coverage>, (u64, String)> {
    let next = AtomicU64::new(first);
    let work = || {
        let mut outcomes = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count {
                return Ok(outcomes);
            }
            match World::new(seed, plant).run() {
                Ok(coverage) => outcomes.push(coverage),
                Err(violation) => {
                    next.store(first + count, Ordering::Relaxed);
                    return Err((seed, violation));
                }
            }
        }
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        let mut all = Vec::new();
        for thread in threads {
            all.extend(thread.join().expect("a simulation does not panic")?);
        }
        Ok(all)
    })
}

/// Promises 1 to 5: nothing acked is lost or doubled, resumes have no gap, splits merge, one order.
#[test]
fn no_seed_breaks_a_promise() {
    let (first, count) =
        (from_environment("STARLING_SIM_FIRST", 0), from_environment("STARLING_SIM_SEEDS", 1_000));
    let begun = Instant::now();
    match run(first, count, None) {
        Err((seed, violation)) => panic!(
            "seed {seed}: {violation}\nrepeat with: STARLING_SIM_FIRST={seed} STARLING_SIM_SEEDS=1 \
             cargo test --release -p starling-node --test sim no_seed -- --nocapture"
        ),
        Ok(all) => {
            say(&format!("{} seeds in {:.1} s", all.len(), begun.elapsed().as_secs_f64()));
            for line in Coverage::summary(&all) {
                say(&line);
            }
            assert!(all.iter().all(|one| one.posts >= 200 && one.faults() >= 10), "too little happened");
        }
    }
}

/// The simulator is sharp: each known bug, planted alone, is found.
#[test]
fn every_planted_bug_is_found() {
    for plant in Plant::ALL {
        let begun = Instant::now();
        match run(1_000_000, 500, Some(plant)) {
            Err((seed, violation)) => {
                say(&format!(
                    "{plant:?}: seed {seed} after {:.1} s: {violation}",
                    begun.elapsed().as_secs_f64()
                ));
            }
            Ok(_) => panic!("{plant:?} was not found in 500 seeds"),
        }
    }
}

/// One seed is one history: without this no failure could be repeated.
#[test]
fn a_seed_repeats_its_history() {
    let run = |seed| World::new(seed, None).run().map(|coverage| coverage.history);
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}
