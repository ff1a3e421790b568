//! `pairs`: many rooms of two who both write. The server's CPU time for a delivery, and its latency, where nothing can be
//! done for many readers at once.

use clap::Args;

use crate::BenchError;
use crate::fanout;
use crate::measure::Layout;
use crate::number::float;
use crate::options::{body_bytes, many, positive};
use crate::rounds::{self, Lengths};

/// Many rooms of two: CPU per delivery and latency
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: rounds::Options,
    #[command(flatten)]
    lengths: Lengths,
    /// Number of pairs
    #[arg(long, default_value = "500", value_name = "N", value_parser = many)]
    pairs: usize,
    /// Messages a second of each pair, half of them from each side; both sides get each
    #[arg(long, default_value = "2", value_name = "RATE", value_parser = positive)]
    rate: f64,
    /// On Starling nodes, people who are logged in instead of guests
    #[arg(long)]
    logged_in: bool,
    /// Characters per body; 22 at least
    #[arg(long, default_value = "128", value_name = "BYTES", value_parser = body_bytes)]
    size: usize,
    /// Fail if the 99th percentile of the delivery latency of any round is above this
    #[arg(long, value_name = "MS")]
    p99_ms: Option<f64>,
}

/// Runs it; true if no figure has a mark that says that it must not be believed.
pub(crate) fn run(options: &Options) -> Result<bool, BenchError> {
    let layout = Layout { rooms: options.pairs, senders: 2, readers: 0, logged_in: options.logged_in };
    let pairs = float(u64::try_from(options.pairs).expect("at most 100,000"));
    let title = format!("{} pairs, {} msg/s each, {} B", options.pairs, options.rate, options.size);
    let (common, lengths) = (&options.common, &options.lengths);
    let rates = [options.rate * pairs];
    fanout::deliveries(common, lengths, &layout, &rates, vec![title], options.size, options.p99_ms)
}
