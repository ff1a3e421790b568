//! `fanout`: few senders and many readers in one room. The server's CPU time for a delivery and its latency, at rates that
//! are fixed before; with `--saturate`, the deliveries a second that are possible.

use clap::Args;

use crate::BenchError;
use crate::comparison::{self, Column, Comparison, decimal, decimals, whole};
use crate::measure::{self, Deliveries, Driver, IdOrder, Layout, Saturation};
use crate::options::{body_bytes, many, positive};
use crate::rounds::{self, Lengths, Rounds};
use crate::server::Server;

/// One sender, many readers: CPU per delivery, latency, and deliveries a second at saturation
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: rounds::Options,
    #[command(flatten)]
    lengths: Lengths,
    /// Number of readers
    #[arg(long, default_value = "500", value_name = "N", value_parser = many)]
    readers: usize,
    /// Number of senders, which also receive
    #[arg(long, default_value = "1", value_name = "N", value_parser = many)]
    senders: usize,
    /// Messages a second over all senders; several are measured one after the other
    #[arg(long, default_value = "20,100,200", value_name = "RATE", value_parser = positive, value_delimiter = ',',
        conflicts_with = "saturate")]
    rate: Vec<f64>,
    /// Search the highest rate that is delivered in time
    #[arg(long)]
    saturate: bool,
    /// With --saturate: in time is a 99th percentile of at most this
    #[arg(long, default_value = "200", value_name = "MS", value_parser = positive)]
    in_time_ms: f64,
    /// On Starling nodes, people who are logged in instead of guests
    #[arg(long)]
    logged_in: bool,
    /// Characters per body; 22 at least
    #[arg(long, default_value = "128", value_name = "BYTES", value_parser = body_bytes)]
    size: usize,
    /// Fail if the 99th percentile of the delivery latency of any round is above this
    #[arg(long, value_name = "MS", conflicts_with = "saturate")]
    p99_ms: Option<f64>,
}

/// The columns of deliveries at a fixed rate.
pub(crate) const COLUMNS: [Column<Deliveries>; 3] = [
    Column { heading: "CPU µs/delivery", figure: |round| Some(round.cpu_us), show: decimals },
    Column { heading: "p50 ms", figure: |round| Some(round.p50_ms), show: decimals },
    Column { heading: "p99 ms", figure: |round| Some(round.p99_ms), show: decimals },
];

/// Runs it; true if no figure has a mark that says that it must not be believed.
pub(crate) fn run(options: &Options) -> Result<bool, BenchError> {
    let layout =
        Layout { rooms: 1, senders: options.senders, readers: options.readers, logged_in: options.logged_in };
    if options.saturate { saturate(options, &layout) } else { at_rates(options, &layout) }
}

fn at_rates(options: &Options, layout: &Layout) -> Result<bool, BenchError> {
    let title = |rate: &f64| {
        format!("{} -> {} at {rate} msg/s, {} B", options.senders, options.readers, options.size)
    };
    let titles = options.rate.iter().map(title).collect();
    deliveries(&options.common, &options.lengths, layout, &options.rate, titles, options.size, options.p99_ms)
}

/// Measures a layout at each of these rates over all senders, and prints a table for each.
pub(crate) fn deliveries(
    common: &rounds::Options,
    lengths: &Lengths,
    layout: &Layout,
    rates: &[f64],
    titles: Vec<String>,
    body_bytes: usize,
    p99_ms: Option<f64>,
) -> Result<bool, BenchError> {
    let rounds = Rounds::new(common)?;
    let times = lengths.times(common.short);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let measure_all = |server: &Server| {
        let at_rate = |(number, &rate): (usize, &f64)| {
            let mut driver = Driver::new(body_bytes, IdOrder::Time)?;
            let label = format!("bench{number}");
            let senders = runtime.block_on(measure::join(&mut driver, server, layout, &label))?;
            measure::measure(&mut driver, server, layout, &senders, rate, &times)
        };
        rates.iter().enumerate().map(at_rate).collect::<Result<Vec<_>, BenchError>>()
    };
    let measured = rounds.alternate(|starter| starter.with(measure_all));
    let comparisons = Comparison::split(titles, &measured);
    let passed = comparison::publish(&rounds.machine, &comparisons, &COLUMNS, common.json.as_deref())?;
    let slowest = measured.iter().flat_map(|server| server.rounds.iter().flatten().flatten());
    let is_in_time = p99_ms.is_none_or(|limit| slowest.clone().all(|round| round.p99_ms <= limit));
    Ok(is_in_time && passed)
}

fn saturate(options: &Options, layout: &Layout) -> Result<bool, BenchError> {
    let common = &options.common;
    let rounds = Rounds::new(common)?;
    let mut times = options.lengths.times(common.short);
    // A dozen steps, each of which needs only as long as a queue takes to build up.
    times.duration = times.duration.min(std::time::Duration::from_secs(3));
    times.warmup = times.warmup.min(std::time::Duration::from_secs(1));
    times.drain = times.drain.min(std::time::Duration::from_secs(3));
    let measured = rounds
        .alternate(|starter| measure::saturate(starter, layout, options.size, &times, options.in_time_ms));
    let title = format!(
        "{} -> {} at the highest rate with p99 <= {} ms, {} B",
        options.senders, options.readers, options.in_time_ms, options.size
    );
    let columns = [
        Column {
            heading: "deliveries/s",
            figure: |round: &Saturation| Some(round.best.as_ref()?.per_second),
            show: whole,
        },
        Column {
            heading: "CPU µs/delivery",
            figure: |round: &Saturation| Some(round.best.as_ref()?.cpu_us),
            show: decimals,
        },
        Column {
            heading: "p99 ms",
            figure: |round: &Saturation| Some(round.best.as_ref()?.p99_ms),
            show: decimal,
        },
    ];
    let comparisons = [Comparison::new(title, measured)];
    Ok(comparison::publish(&rounds.machine, &comparisons, &columns, common.json.as_deref())?)
}
