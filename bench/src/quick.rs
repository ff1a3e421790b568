//! `quick`: open-loop load on quick rooms over any number of nodes, with a full check of what became of it.
//! Exit code 0 means that all checks passed.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::BenchError;
use crate::load::{self, Plan};
use crate::node::NodeUrl;
use crate::options::{body_bytes, many, positive, seconds};
use crate::process::Process;

/// Load on quick rooms, checked: nothing lost, nothing twice, one order
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// A node's address; give it once per node
    #[arg(long = "node", value_name = "URL", required = true)]
    nodes: Vec<NodeUrl>,
    /// Messages a second over all senders
    #[arg(long, default_value = "500", value_parser = positive)]
    rate: f64,
    /// Seconds of measuring
    #[arg(long, default_value = "60", value_name = "S", value_parser = seconds)]
    duration: Duration,
    /// Seconds of load before measuring; checked, but not measured
    #[arg(long, default_value = "2", value_name = "S", value_parser = seconds)]
    warmup: Duration,
    /// Most seconds to wait at the end for what is still on its way, and then for the nodes' lists to agree
    #[arg(long, default_value = "10", value_name = "S", value_parser = seconds)]
    drain: Duration,
    /// Characters per body, 1 to 8,000
    #[arg(long, default_value = "128", value_name = "BYTES", value_parser = body_bytes)]
    size: usize,
    /// Number of rooms
    #[arg(long, default_value = "1", value_name = "N", value_parser = many)]
    rooms: usize,
    /// Guests that send and receive, spread over rooms and nodes
    #[arg(long, default_value = "10", value_name = "N", value_parser = many)]
    senders: usize,
    /// Guests that only receive, spread over rooms and nodes
    #[arg(long, default_value = "30", value_name = "N")]
    receivers: usize,
    /// Fail if the 99th percentile of the delivery latency is above this
    #[arg(long, value_name = "MS")]
    p99_ms: Option<f64>,
    /// Fail if a smaller share of first acks, in percent, says 2 copies or more
    #[arg(long, value_name = "PERCENT")]
    copied_percent: Option<f64>,
    /// Draws the senders' offsets
    #[arg(long, default_value = "1", value_name = "N")]
    seed: u64,
    /// On a lost connection go on at the next node, resending what was not acked
    #[arg(long)]
    resume: bool,
    /// Report `error` frames without failing
    #[arg(long)]
    allow_errors: bool,
    /// Process of a node, for its CPU time and memory; give it once per node
    #[arg(long = "pid", value_name = "PID")]
    pids: Vec<u32>,
    /// Write the report as JSON to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Runs it; true if all checks passed.
pub(crate) async fn run(options: Options) -> Result<bool, BenchError> {
    let plan = Plan {
        title: "quick",
        nodes: options.nodes,
        rooms: options.rooms,
        senders: options.senders,
        receivers: options.receivers,
        rate: options.rate,
        warmup: options.warmup,
        duration: options.duration,
        drain: options.drain,
        body_bytes: options.size,
        seed: options.seed,
        resume: options.resume,
        errors_allowed: options.allow_errors,
        lists: true,
        p99_limit_ms: options.p99_ms,
        copied_percent_min: options.copied_percent,
        processes: options.pids.into_iter().map(Process).collect(),
    };
    let report = load::drive(&plan).await?;
    crate::options::publish(&report, &report.text(), options.json.as_deref())?;
    Ok(report.passed)
}
