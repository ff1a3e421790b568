//! The cost of five scenarios for a node, counted in instructions rather than in time: `compose/count-instructions.sh` runs
//! each under callgrind, which counts within [`turn::counted`] only. Whole nodes with their stores in memory, on one
//! thread and paused time, so that neither threads nor the disk blur the figure; guests are no part of it.
//! `cargo bench -p starling-node --bench instructions` runs all of them without counting.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

mod environment;
mod guest;
mod scenarios;
mod turn;
mod world;

use std::process::ExitCode;

use scenarios::SCENARIOS;

fn main() -> ExitCode {
    // `cargo bench` adds a flag.
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let Some(wanted) = wanted else {
        for (name, scenario) in SCENARIOS {
            scenario();
            println!("{name}: ran");
        }
        return ExitCode::SUCCESS;
    };
    let Some((_, scenario)) = SCENARIOS.iter().find(|(name, _)| *name == wanted) else {
        eprintln!("no scenario {wanted}; there are {:?}", SCENARIOS.map(|(name, _)| name));
        return ExitCode::FAILURE;
    };
    scenario();
    ExitCode::SUCCESS
}
