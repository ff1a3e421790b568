//! `idle`: the server's memory for a connection that was used and then rests: each of many connections, in small rooms, sends
//! and receives some messages; after a pause the resident memory is compared with that before.

use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::BenchError;
use crate::comparison::{self, Column, Comparison, decimal, decimals};
use crate::measure::{self, Driver, IdOrder, Layout, Mark, Marked, Tally};
use crate::number::{count, float, grouped, nanos, ratio, round3};
use crate::options::{body_bytes, many, seconds};
use crate::rounds::{self, Rounds};
use crate::schedule::Schedule;
use crate::server::Server;

/// Messages a second of all together, before they rest: low, so that no queue grows.
const RATE: f64 = 500.0;
/// Longest wait for presence to be over, and for the last message.
const SETTLE_MAX: Duration = Duration::from_mins(1);

/// Memory per idle connection
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: rounds::Options,
    /// Number of connections
    #[arg(long, default_value = "2000", value_name = "N", value_parser = many)]
    connections: usize,
    /// Connections in a room: each hears of all others
    #[arg(long, default_value = "10", value_name = "N", value_parser = many)]
    in_room: usize,
    /// Messages that each sends before it rests; it receives those of its room
    #[arg(long, default_value = "10", value_name = "N")]
    messages: u32,
    /// Seconds of rest before memory is read
    #[arg(long, default_value = "60", value_name = "S", value_parser = seconds)]
    rest: Duration,
    /// On Starling nodes, people who are logged in instead of guests
    #[arg(long)]
    logged_in: bool,
    /// Characters per body; 22 at least
    #[arg(long, default_value = "128", value_name = "BYTES", value_parser = body_bytes)]
    size: usize,
    /// Fail if a connection costs more in any round
    #[arg(long, value_name = "KIB")]
    max_kib: Option<f64>,
}

/// The figures of one measurement.
#[derive(Debug, Clone, Serialize)]
struct Idle {
    connections: u64,
    /// Before the first connection; with accounts, after they were registered.
    rss_before_kib: u64,
    rss_after_kib: u64,
    kib_per_connection: f64,
    marks: Vec<Mark>,
}

impl Marked for Idle {
    fn marks(&self) -> &[Mark] {
        &self.marks
    }
}

/// Runs it; true if within the limit.
pub(crate) fn run(options: &Options) -> Result<bool, BenchError> {
    let rounds = Rounds::new(&options.common)?;
    let measured = rounds.alternate(|starter| starter.with(|server| measure_idle(options, server)));
    let is_within = options.max_kib.is_none_or(|limit| {
        measured
            .iter()
            .flat_map(|server| server.rounds.iter().flatten())
            .all(|round| round.kib_per_connection <= limit)
    });
    let title = format!(
        "{} connections, {} in a room, after {} messages of each and {} s of rest",
        grouped(u64::try_from(options.connections()).expect("at most 100,000")),
        options.in_room,
        options.messages,
        options.rest().as_secs_f64()
    );
    let columns = [
        Column { heading: "KiB each", figure: |round: &Idle| Some(round.kib_per_connection), show: decimals },
        Column {
            heading: "base MiB",
            figure: |round| Some(float(round.rss_before_kib) / 1024.0),
            show: decimal,
        },
        Column {
            heading: "after MiB",
            figure: |round| Some(float(round.rss_after_kib) / 1024.0),
            show: decimal,
        },
    ];
    let comparisons = [Comparison::new(title, measured)];
    let passed =
        comparison::publish(&rounds.machine, &comparisons, &columns, options.common.json.as_deref())?;
    Ok(is_within && passed)
}

impl Options {
    fn rest(&self) -> Duration {
        if self.common.short { self.rest.min(Duration::from_secs(2)) } else { self.rest }
    }

    /// Whole rooms, at least as many as wanted.
    fn connections(&self) -> usize {
        let wanted = if self.common.short { self.connections.min(200) } else { self.connections };
        wanted.next_multiple_of(self.in_room)
    }
}

fn measure_idle(options: &Options, server: &Server) -> Result<Idle, BenchError> {
    let layout = Layout {
        rooms: options.connections() / options.in_room,
        senders: options.in_room,
        readers: 0,
        logged_in: options.logged_in,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut driver = Driver::new(options.size, IdOrder::Time)?;
    let participants = runtime.block_on(measure::prepare(server, &layout, "idle"))?;
    let before = server.process.rss_kib()?;
    let senders = runtime.block_on(measure::connect(&mut driver, server, &layout, participants))?;
    driver.settle()?;
    driver.tally = Tally::new();
    let sent = use_all(&mut driver, &senders, options.messages)?;
    let expected = sent * u64::try_from(options.in_room).expect("at most 100,000");
    driver.receive_until(SETTLE_MAX, |tally| tally.delivered >= expected || tally.lost_connections > 0)?;
    driver.receive_until(options.rest(), |_| false)?;
    let after = server.process.rss_kib()?;

    let tally = &driver.tally;
    let connections = count(&senders);
    let mut marks = Vec::new();
    if tally.delivered != expected || tally.refused > 0 || tally.lost_connections > 0 {
        let trouble = tally.trouble.as_deref().unwrap_or("no answer");
        marks.push(Mark::Lost(format!("{} of {expected} delivered; {trouble:.80}", tally.delivered)));
    }
    Ok(Idle {
        connections,
        rss_before_kib: before,
        rss_after_kib: after,
        kib_per_connection: round3(ratio(float(after) - float(before), float(connections))),
        marks,
    })
}

/// Lets each connection send so many messages; returns how many there were.
fn use_all(driver: &mut Driver, senders: &[usize], messages: u32) -> Result<u64, BenchError> {
    let total = count(senders) * u64::from(messages);
    let begin_ns = driver.now_ns();
    let length = Duration::from_secs_f64(float(total) / RATE);
    let schedule = Schedule::new(RATE, senders.len(), begin_ns, length, 1);
    driver.run_all(schedule, senders.to_vec(), begin_ns + nanos(length))?;
    Ok(driver.tally.sent)
}
