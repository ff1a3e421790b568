//! Runs many seeds on all cores, and reports progress.

use std::{
    io::Write,
    panic::{self, AssertUnwindSafe},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    coverage::{Coverage, Totals},
    mutants::Mutant,
    world::World,
};

/// The interval of reports in a long run.
const SAY_EVERY: Duration = Duration::from_secs(15);

/// Prints past the test runner, which hides the output of passing tests.
pub fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").expect("there is a stderr");
}

/// The seeds of a run, from the first.
struct Seeds {
    first: u64,
    count: u64,
    next: AtomicU64,
    begun: Instant,
    said: Mutex<Instant>,
}

impl Seeds {
    fn take(&self) -> Option<u64> {
        let seed = self.next.fetch_add(1, Ordering::Relaxed);
        (seed < self.first + self.count).then_some(seed)
    }

    fn stop(&self) {
        self.next.store(self.first + self.count, Ordering::Relaxed);
    }

    fn say_how_far(&self) {
        let Ok(mut said) = self.said.try_lock() else { return };
        if said.elapsed() < SAY_EVERY {
            return;
        }
        *said = Instant::now();
        let done = self.next.load(Ordering::Relaxed).min(self.first + self.count) - self.first;
        let seconds = self.begun.elapsed().as_secs();
        let left = (self.count - done) * seconds / done.max(1);
        say(&format!("{done} of {} seeds in {seconds} s, {left} s left", self.count));
    }
}

/// Runs one history. A panic counts as a violation: a store panics over corrupt records.
fn simulate(seed: u64, mutant: Option<Mutant>) -> Result<Coverage, String> {
    let run = || World::new(seed, mutant).run();
    panic::catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text");
        Err(format!("the simulation panicked: {text}"))
    })
}

/// Runs seeds; returns the totals of all, or the first violation.
pub fn run(first: u64, count: u64, mutant: Option<Mutant>) -> Result<Totals, (u64, String)> {
    let now = Instant::now();
    let seeds = Seeds { first, count, next: AtomicU64::new(first), begun: now, said: Mutex::new(now) };
    let totals = Mutex::new(Totals::default());
    let work = || {
        while let Some(seed) = seeds.take() {
            let coverage = simulate(seed, mutant).map_err(|violation| {
                seeds.stop();
                (seed, violation)
            })?;
            totals.lock().unwrap().add(&coverage);
            seeds.say_how_far();
        }
        Ok(())
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("a simulation does not panic"))
    })?;
    Ok(totals.into_inner().unwrap())
}
