//! Whole nodes in one process, over the real quinn, on in-memory sockets and virtual time, all from one seed: they
//! boot, faults come, everything is mended, and every promise must hold. A failing seed prints its command.
//!
//! `STARLING_QUIC_SIM_SEEDS=N` sets the number of seeds (default 300), `STARLING_QUIC_SIM_FIRST=S` the first one,
//! `STARLING_QUIC_SIM_LOG=starling_node=debug` shows the logs of the nodes.

#![expect(clippy::unwrap_used, reason = "a simulation that cannot go on has failed")]

mod clients;
mod clock;
mod coverage;
mod faults;
mod host;
mod invariants;
mod machine;
mod members;
mod mutants;
mod network;
mod world;

use std::{
    cell::{Cell, RefCell},
    io::Write,
    sync::{
        Once,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use coverage::Coverage;
use mutants::Mutant;
use world::World;

thread_local! {
    /// The seed of the history on this thread.
    static SEED: Cell<Option<(u64, Option<Mutant>)>> = const { Cell::new(None) };
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().expect("a number"))
}

/// Prints past the test runner, which hides the output of passing tests.
fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").expect("there is a stderr");
}

fn command(seed: u64) -> String {
    format!(
        "repeat with: STARLING_QUIC_SIM_FIRST={seed} STARLING_QUIC_SIM_SEEDS=1 \
         cargo test --release -p starling-node --test quic_sim no_seed -- --nocapture"
    )
}

/// The supervisor restarts a task that panics, and a driver that panics ends the process: here, each panic is a failure.
fn watch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let Some((seed, mutant)) = SEED.get() else { return before(panic) };
            if mutant.is_none() {
                say(&format!("seed {seed}: {panic}\n{}", command(seed)));
            }
            PANIC.set(Some(format!("a node panicked: {panic}")));
        }));
        if let Ok(filter) = std::env::var("STARLING_QUIC_SIM_LOG") {
            starling_node::logging::start(&filter, starling_node::config::LogFormat::Human).unwrap();
        }
    });
}

/// Whether a task has panicked in the history on this thread.
fn panicked() -> Option<String> {
    PANIC.take()
}

fn simulate(seed: u64, mutant: Option<Mutant>) -> Result<Coverage, String> {
    SEED.set(Some((seed, mutant)));
    let outcome = World::new(seed, mutant).run();
    SEED.set(None);
    outcome
}

/// Runs seeds on all cores; returns the outcome of each, or the first violation.
fn run(first: u64, count: u64, mutant: Option<Mutant>) -> Result<Vec<Coverage>, (u64, String)> {
    watch_panics();
    let next = AtomicU64::new(first);
    let work = || {
        let mut outcomes = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count {
                return Ok(outcomes);
            }
            match simulate(seed, mutant) {
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

/// Promises 1, 2, 4, 5, 6 and 7, for whole nodes: whatever happens to machines and network, all promises hold again
/// within `HEAL_MS_MAX` of the last fault, nothing acked is lost or doubled, and no ghost is shown.
#[test]
fn no_seed_breaks_a_promise() {
    let first = from_environment("STARLING_QUIC_SIM_FIRST", 0);
    let count = from_environment("STARLING_QUIC_SIM_SEEDS", 300);
    let begun = Instant::now();
    match run(first, count, None) {
        Err((seed, violation)) => panic!("seed {seed}: {violation}\n{}", command(seed)),
        Ok(all) => {
            say(&format!("{} seeds in {:.1} s", all.len(), begun.elapsed().as_secs_f64()));
            for line in Coverage::summary(&all) {
                say(&line);
            }
            assert!(all.iter().all(|one| one.acks >= 30 && one.copied >= 10), "too little happened");
        }
    }
}

/// The simulator finds each known bug, planted alone.
#[test]
fn every_mutant_is_found() {
    for mutant in Mutant::ALL {
        // From 1,000,000 on, the forgetful disk leaves a store that cannot be written, which rightly ends the process.
        match run(2_000_000, 50, Some(mutant)) {
            Err((seed, violation)) => say(&format!("{mutant:?}: seed {seed}: {violation}")),
            Ok(_) => panic!("{mutant:?} was not found in 50 seeds"),
        }
    }
}

/// One seed gives one history, packet by packet; otherwise no failure could be repeated.
#[test]
fn a_seed_repeats_its_history() {
    watch_panics();
    let first = simulate(7, None).unwrap();
    assert_eq!(simulate(7, None).unwrap(), first);
    assert_ne!(simulate(8, None).unwrap().trace, first.trace);
}
