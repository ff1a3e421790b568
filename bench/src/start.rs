//! `start`: how long a node takes from being started to being ready, and how much memory it holds then.
//! Each run has a fresh data directory. Blocking on purpose: nothing else happens meanwhile.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::BenchError;
use crate::number::{float, round3};
use crate::options::many;
use crate::server::{Readiness, ServerProcess, free_address};

/// Rest after readiness before memory is read.
const REST: Duration = Duration::from_secs(2);

/// Time from start to readiness, and memory at rest
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The server
    #[arg(long, value_name = "PATH")]
    binary: PathBuf,
    /// Number of starts
    #[arg(long, default_value = "10", value_name = "N", value_parser = many)]
    runs: usize,
    /// Fail if the median is above this
    #[arg(long, value_name = "MS")]
    max_ms: Option<f64>,
    /// Fail if it holds more memory, 2 s after the last start
    #[arg(long, value_name = "MIB")]
    max_rss_mb: Option<f64>,
    /// Write the report as JSON to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// More arguments for `serve`
    #[arg(last = true)]
    more: Vec<OsString>,
}

#[derive(Debug, Serialize)]
struct Report {
    runs_ms: Vec<f64>,
    median_ms: f64,
    min_ms: f64,
    max_ms: f64,
    rss_mib: f64,
    /// The longest time from SIGTERM to the end, in ms.
    end_max_ms: f64,
    passed: bool,
}

/// Runs it; true if within the limits.
pub(crate) fn run(options: &Options) -> Result<bool, BenchError> {
    let mut ready_ms = Vec::with_capacity(options.runs);
    let mut end_max_ms: f64 = 0.0;
    let mut resident_kib = 0;
    for index in 0..options.runs {
        let home = tempfile::tempdir()?;
        let address = free_address()?;
        let mut command = Command::new(&options.binary);
        command.arg("serve").arg("--listen").arg(address.to_string());
        command.arg("--data-dir").arg(home.path().join("data")).args(&options.more);
        let mut server =
            ServerProcess::start(command, address, Readiness::Readyz, home.path().join("output.log"))?;
        ready_ms.push(millis(server.wait_until_ready()?));
        if index + 1 == options.runs {
            sleep(REST);
            resident_kib = server.process().rss_kib()?;
        }
        end_max_ms = end_max_ms.max(millis(server.end()?));
    }
    let mut sorted = ready_ms.clone();
    sorted.sort_by(f64::total_cmp);
    let median_ms = f64::midpoint(sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
    let rss_mib = round3(float(resident_kib) / 1024.0);
    let report = Report {
        median_ms,
        min_ms: sorted[0],
        max_ms: sorted[sorted.len() - 1],
        runs_ms: ready_ms,
        rss_mib,
        end_max_ms,
        passed: options.max_ms.is_none_or(|limit| median_ms <= limit)
            && options.max_rss_mb.is_none_or(|limit| rss_mib <= limit),
    };
    crate::options::publish(&report, &report.text(), options.json.as_deref())?;
    Ok(report.passed)
}

impl Report {
    fn text(&self) -> String {
        format!(
            "start: {} times, each with an empty data directory\n\n  ready after  {:.1} ms (median; {:.1} to {:.1})\n  \
             RSS at rest  {:.1} MiB\n  ended after  {:.1} ms at most\n\n{}\n",
            self.runs_ms.len(),
            self.median_ms,
            self.min_ms,
            self.max_ms,
            self.rss_mib,
            self.end_max_ms,
            if self.passed { "passed" } else { "FAILED" }
        )
    }
}

fn millis(time: Duration) -> f64 {
    round3(time.as_secs_f64() * 1_000.0)
}
