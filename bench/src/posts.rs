//! `posts`: durable posts a second on one node, over a store that may hold many messages before. Each of some sockets has a
//! room of its own and keeps some messages unacked. Beside it stand the bytes written to disk and the size of the store for
//! each message, and what `fdatasync` takes on this disk.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::BenchError;
use crate::comparison::{self, Column, Comparison, decimal, decimals, whole};
use crate::latency::Quantiles;
use crate::machine::measure_fdatasync;
use crate::measure::{self, Driver, IdOrder, Layout, Mark, Marked, Sample, Sending, Tally};
use crate::number::{float, grouped, nanos, ratio, round3};
use crate::options::{body_bytes, many, positive};
use crate::rounds::{self, Lengths, Rounds};
use crate::schedule::Schedule;
use crate::server::Server;

/// Longest time in which the messages before a measurement must be acked.
const BEFORE_TIME_MAX: Duration = Duration::from_hours(1);

/// Durable posts a second, with what each writes to disk
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: rounds::Options,
    #[command(flatten)]
    lengths: Lengths,
    /// Number of sockets, each with a room of its own
    #[arg(long, default_value = "64", value_name = "N", value_parser = many)]
    sockets: usize,
    /// Messages of each socket that wait for their ack
    #[arg(long, default_value = "32", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    outstanding: u32,
    /// Messages a second of all sockets together, on a fixed schedule, instead of one for each ack
    #[arg(long, value_name = "RATE", value_parser = positive)]
    rate: Option<f64>,
    /// Messages in the store before measuring
    #[arg(long, default_value = "0", value_name = "N")]
    before: u64,
    /// Order of the messages' ids
    #[arg(long, default_value = "time,random", value_name = "ORDER", value_delimiter = ',')]
    ids: Vec<IdOrder>,
    /// People who are logged in instead of guests
    #[arg(long)]
    logged_in: bool,
    /// Characters per body; 22 at least
    #[arg(long, default_value = "128", value_name = "BYTES", value_parser = body_bytes)]
    size: usize,
}

impl Options {
    /// How much is posted, in words.
    fn load(&self) -> String {
        self.rate.map_or_else(|| format!("{} outstanding", self.outstanding), |rate| format!("{rate} msg/s"))
    }
}

/// The figures of one measurement.
#[derive(Debug, Clone, Serialize)]
struct Posts {
    /// Acks a second.
    per_second: f64,
    /// CPU time of the server for each, in µs.
    cpu_us: f64,
    /// From sending to the ack.
    ack: Quantiles,
    /// Bytes written to disk for each message of the window.
    written_bytes: f64,
    /// Growth of the data folder for each message of the whole run; `None` for a node that was not started here.
    stored_bytes: Option<f64>,
    /// The disk, measured right before.
    fdatasync: Quantiles,
    server_cores: f64,
    own_cores: f64,
    others_cores: f64,
    rss_kib: u64,
    marks: Vec<Mark>,
}

impl Marked for Posts {
    fn marks(&self) -> &[Mark] {
        &self.marks
    }
}

/// Runs it; true if no figure has a mark that says that it must not be believed.
pub(crate) fn run(options: &Options) -> Result<bool, BenchError> {
    let rounds = Rounds::new(&options.common)?;
    rounds.want_starling()?;
    let mut comparisons = Vec::with_capacity(options.ids.len());
    for &order in &options.ids {
        let measured =
            rounds.alternate(|starter| starter.with(|server| measure_posts(options, server, order)));
        let title = format!(
            "{} sockets, a room each, {}, {} B, {} ids, {} messages before",
            options.sockets,
            options.load(),
            options.size,
            if order == IdOrder::Time { "time-ordered" } else { "random" },
            grouped(options.before),
        );
        comparisons.push(Comparison::new(title, measured));
    }
    let columns = [
        Column { heading: "posts/s", figure: |round: &Posts| Some(round.per_second), show: whole },
        Column { heading: "CPU µs", figure: |round| Some(round.cpu_us), show: decimal },
        Column { heading: "ack p50 ms", figure: |round| Some(round.ack.p50_ms), show: decimals },
        Column { heading: "p99 ms", figure: |round| Some(round.ack.p99_ms), show: decimals },
        Column { heading: "written B", figure: |round| Some(round.written_bytes), show: whole },
        Column { heading: "stored B", figure: |round| round.stored_bytes, show: whole },
        Column { heading: "fdatasync p50 ms", figure: |round| Some(round.fdatasync.p50_ms), show: decimals },
        Column { heading: "p99 ms", figure: |round| Some(round.fdatasync.p99_ms), show: decimals },
    ];
    Ok(comparison::publish(&rounds.machine, &comparisons, &columns, options.common.json.as_deref())?)
}

fn measure_posts(options: &Options, server: &Server, order: IdOrder) -> Result<Posts, BenchError> {
    let fdatasync = measure_fdatasync(server.data.as_deref().unwrap_or(&options.common.scratch))?;
    let times = options.lengths.times(options.common.short);
    let layout = Layout { rooms: options.sockets, senders: 1, readers: 0, logged_in: options.logged_in };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut driver = Driver::new(options.size, order)?;
    let senders = runtime.block_on(measure::join(&mut driver, server, &layout, "posts"))?;
    driver.settle()?;
    let stored_before = server.data.as_deref().map(stored_bytes).transpose()?;
    post_before(&mut driver, &senders, options)?;

    let begin_ns = driver.now_ns();
    let window = begin_ns + nanos(times.warmup)..begin_ns + nanos(times.warmup + times.duration);
    driver.tally = Tally::new();
    driver.tally.window = window.clone();
    let mut sending = options.rate.map(|rate| {
        let schedule = Schedule::new(rate, senders.len(), begin_ns, times.warmup + times.duration, 1);
        Sending { schedule, senders: senders.clone() }
    });
    if sending.is_none() {
        driver.open_window(&senders, options.outstanding)?;
    }
    let mut post_until = |driver: &mut Driver, until_ns| match &mut sending {
        Some(sending) => driver.run(sending, until_ns),
        None => driver.keep_window(&senders, until_ns, u64::MAX),
    };
    post_until(&mut driver, window.start)?;
    let (before, written) = (Sample::take(&driver, server.process)?, server.process.written_bytes()?);
    post_until(&mut driver, window.end)?;
    let used = before.until_now(&driver, server.process)?;
    let written = server.process.written_bytes()? - written;
    let sent = driver.tally.sent;
    let all_acked = driver.receive_until(times.drain, |tally| tally.acked >= sent)?;

    let tally = &driver.tally;
    let stored_after = server.data.as_deref().map(stored_bytes).transpose()?;
    let messages = float(options.before + tally.acked);
    let mut marks = measure::judge_usage(used.own_cores, used.others_cores);
    marks.extend(measure::judge_lateness(tally.lateness.quantile_ms(0.99), tally.ack.quantile_ms(0.99)));
    if !all_acked || tally.refused > 0 || tally.lost_connections > 0 {
        let trouble = tally.trouble.as_deref().unwrap_or("no answer");
        marks.push(Mark::Lost(format!("{} of {} acked; {trouble:.80}", tally.acked, tally.sent)));
    }
    Ok(Posts {
        per_second: used.per_second(used.acked),
        cpu_us: used.cpu_us(used.acked),
        ack: tally.ack.quantiles(),
        written_bytes: round3(ratio(float(written), float(used.acked))),
        stored_bytes: stored_before
            .zip(stored_after)
            .map(|(before, after)| round3(ratio(float(after.saturating_sub(before)), messages))),
        fdatasync,
        server_cores: used.server_cores,
        own_cores: used.own_cores,
        others_cores: used.others_cores,
        rss_kib: server.process.rss_kib()?,
        marks,
    })
}

/// Fills the store with the messages that come before, over the same sockets.
fn post_before(driver: &mut Driver, senders: &[usize], options: &Options) -> Result<(), BenchError> {
    if options.before == 0 {
        return Ok(());
    }
    // Rounded up to one message of each socket, so that no window exceeds what is wanted.
    let sockets = u64::try_from(senders.len()).expect("at most 100,000");
    let window = options.outstanding.min(u32::try_from(options.before.div_ceil(sockets)).unwrap_or(u32::MAX));
    let until_ns = driver.now_ns() + nanos(BEFORE_TIME_MAX);
    driver.open_window(senders, window)?;
    driver.keep_window(senders, until_ns, options.before.max(driver.tally.sent))?;
    if driver.tally.acked < options.before || driver.tally.refused > 0 {
        let trouble = driver.tally.trouble.as_deref().unwrap_or("no answer");
        let acked = grouped(driver.tally.acked);
        return Err(BenchError::Preparation(format!("only {acked} messages before were acked: {trouble}")));
    }
    Ok(())
}

/// Bytes that the files of a folder take on disk.
fn stored_bytes(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { stored_bytes(&entry.path())? } else { metadata.blocks() * 512 };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_all_folders_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("inner")).unwrap();
        for name in ["one", "inner/two"] {
            let file = fs::File::create(folder.path().join(name)).unwrap();
            io::Write::write_all(&mut &file, &[1; 8_192]).unwrap();
            // Blocks are given when it is written out.
            file.sync_all().unwrap();
        }
        assert_eq!(stored_bytes(folder.path()).unwrap(), 16_384);
        assert!(stored_bytes(&folder.path().join("missing")).is_err());
    }
}
