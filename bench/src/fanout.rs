//! `fanout`: measures the server's cost of a delivery, with one sender and many readers in one room on one node.
//! With `--saturate`, measures the deliveries a second that are possible. For comparison with other servers.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::BenchError;
use crate::load::{self, Pace, Plan};
use crate::node::NodeUrl;
use crate::options::{body_bytes, many, positive, seconds};
use crate::process::Process;

/// One sender, many readers: CPU per delivery, latency, and deliveries a second at saturation
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The node's address
    #[arg(long, value_name = "URL")]
    node: NodeUrl,
    /// The node's process
    #[arg(long, value_name = "PID")]
    pid: u32,
    /// Number of readers
    #[arg(long, default_value = "500", value_name = "N", value_parser = many)]
    readers: usize,
    /// Messages a second
    #[arg(long, default_value = "20", value_parser = positive, conflicts_with = "saturate")]
    rate: f64,
    /// Send as fast as acks allow
    #[arg(long)]
    saturate: bool,
    /// Messages that may wait for their ack while saturating
    #[arg(long, default_value = "256", value_name = "N", requires = "saturate")]
    window: u64,
    /// Seconds of measuring
    #[arg(long, default_value = "20", value_name = "S", value_parser = seconds)]
    duration: Duration,
    /// Seconds of load before measuring
    #[arg(long, default_value = "2", value_name = "S", value_parser = seconds)]
    warmup: Duration,
    /// Longest wait at the end for outstanding messages, in seconds
    #[arg(long, default_value = "10", value_name = "S", value_parser = seconds)]
    drain: Duration,
    /// Characters per body, 1 to 8,000
    #[arg(long, default_value = "128", value_name = "BYTES", value_parser = body_bytes)]
    size: usize,
    /// Fail if the 99th percentile of the delivery latency is above this
    #[arg(long, value_name = "MS")]
    p99_ms: Option<f64>,
    /// Report `error` frames without failing
    #[arg(long)]
    allow_errors: bool,
    /// Write the report as JSON to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Runs it; true if all checks passed.
pub(crate) async fn run(options: Options) -> Result<bool, BenchError> {
    let plan = Plan {
        title: "fanout",
        nodes: vec![options.node],
        rooms: 1,
        senders: 1,
        receivers: options.readers,
        pace: if options.saturate { Pace::Window(options.window) } else { Pace::Rate(options.rate) },
        warmup: options.warmup,
        duration: options.duration,
        drain: options.drain,
        body_bytes: options.size,
        seed: 1,
        resume: false,
        errors_allowed: options.allow_errors,
        // `quick` compares lists; reading a million messages back would only delay this.
        lists: false,
        p99_limit_ms: options.p99_ms,
        copied_percent_min: None,
        processes: vec![Process(options.pid)],
    };
    let report = load::drive(&plan).await?;
    crate::options::publish(&report, &report.text(), options.json.as_deref())?;
    Ok(report.passed)
}
