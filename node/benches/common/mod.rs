//! The parts that benchmarks share: nodes linked without proxies, load, what the kernel knows of a process, and the report.
//! Each benchmark measures a promise that has a number, over real processes, and fails if any round misses it.
#![allow(dead_code, unused_imports, reason = "each benchmark is a crate of its own and uses a part of this")]
#![allow(unreachable_pub, reason = "`pub` marks what the benchmarks use")]
#![allow(clippy::panic, reason = "a guest who sees a promise broken ends the benchmark")]

pub mod guest;
pub mod nodes;
pub mod preload;
pub mod process;
pub mod report;

pub use guest::{Guest, Load};
pub use report::{Limit, Report};

use std::process::ExitCode;

/// Runs a benchmark to its end.
pub fn run(benchmark: impl Future<Output = Report>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("the system starts threads").block_on(benchmark).finish()
}
