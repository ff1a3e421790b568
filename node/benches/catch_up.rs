//! Measures how fast a node that was away catches up while the others serve, and what that costs their users.
//! `cargo bench -p starling-node --bench catch_up -- --help`

mod common;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use common::process::{Usage, usage};
use common::report::quantile;
use common::{Guest, Limit, Load, Report, nodes, preload};
use harness::Node;
use harness::http::create_room;
use tokio::time::sleep;

/// A node that was away catches up while the others serve
#[derive(Debug, Clone, Parser)]
struct Options {
    /// Messages that the node misses
    #[arg(long, default_value = "200000", value_name = "N")]
    missed: usize,
    /// On how many nodes they are posted
    #[arg(long, default_value = "2", value_name = "N", value_parser = clap::value_parser!(u8).range(1..=2))]
    origins: u8,
    /// Messages a second that the others serve meanwhile
    #[arg(long, default_value = "500", value_name = "HZ")]
    rate: f64,
    /// Seconds of measuring before the node returns
    #[arg(long, default_value = "10", value_name = "S")]
    before: u64,
    #[arg(long, default_value = "3", value_name = "N")]
    rounds: usize,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

/// Messages a second at which the node must catch up.
const RATE_MIN: f64 = 20_000.0;
/// Guests on each of the two nodes that serve; all of them post and all are delivered everything.
const GUESTS: u8 = 5;
/// A node that takes longer has failed.
const PATIENCE: Duration = Duration::from_mins(5);

fn main() -> ExitCode {
    let options = Options::parse();
    common::run(async {
        let mut report = Report::new(format!(
            "catch_up: a node returns that missed {} messages of {} origins, while the others serve {} a second; {} rounds",
            options.missed, options.origins, options.rate, options.rounds
        ));
        for round in 1..=options.rounds {
            println!("round {round}");
            run(&options, &mut report).await;
        }
        report
    })
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
async fn run(options: &Options, report: &mut Report) {
    let mut nodes = nodes::start(3).await;
    nodes[2].kill9().await;
    let serving = [nodes[0].http, nodes[1].http];
    let rooms = preload::post(&serving[..usize::from(options.origins)], options.missed).await;
    let load = start_load(&nodes, options.rate).await;
    // The first second may still be busy with what was posted before.
    sleep(Duration::from_secs(1)).await;
    let (began, idle) = (Instant::now(), [usage(&nodes[0]), usage(&nodes[1])]);
    sleep(Duration::from_secs(options.before)).await;
    let missed = options.missed + load.acked().len();
    let (returned, before) = (Instant::now(), [usage(&nodes[0]), usage(&nodes[1])]);
    nodes[2].start();
    wait_ready(&nodes[2]).await;
    let (ready, after) = (Instant::now(), [0, 1, 2].map(|node| usage(&nodes[node])));
    let took = ready - returned;
    report.promise(
        "messages caught up a second",
        Limit::AtLeast(RATE_MIN),
        missed as f64 / took.as_secs_f64(),
    );
    report.note("seconds from its start until it is in sync", took.as_secs_f64());
    let us_per_message = |cpu: f64| cpu * 1e6 / missed as f64;
    report.note("CPU of the returning node, µs a message", us_per_message(after[2].cpu.as_secs_f64()));
    let extra = [0, 1].map(|node| {
        let share = took.as_secs_f64() / (returned - began).as_secs_f64();
        seconds(&before[node], &after[node]) - seconds(&idle[node], &before[node]) * share
    });
    report.note("CPU of both others beyond serving, µs a message", us_per_message(extra.iter().sum()));
    let mut latencies = load.latencies(began, returned, |_, _| true);
    report.note("delivery p99 before, ms", quantile(&mut latencies, 0.99));
    let mut latencies = load.latencies(returned, ready, |_, _| true);
    report.note("delivery p99 while it catches up, ms", quantile(&mut latencies, 0.99));
    report.note("delivery max while it catches up, ms", quantile(&mut latencies, 1.0));
    report.note("peak memory of the returning node, MiB", after[2].peak_mib);
    report.note("peak memory of the others, MiB", after[0].peak_mib.max(after[1].peak_mib));
    if !preload::same_ends([nodes[0].http, nodes[2].http], &rooms).await {
        report
            .broken("the returned node says that it is in sync, but does not list what it missed".to_owned());
    }
}

/// Half on each node, all in one room.
async fn start_load(nodes: &[Node], rate: f64) -> Load {
    let room = create_room(nodes[0].http).await;
    let guest = |number: u8| Guest {
        name: format!("guest {number}"),
        room: room.clone(),
        nodes: vec![nodes[usize::from(number % 2)].http],
        rate_hz: Some(rate / f64::from(2 * GUESTS)),
    };
    Load::start((0..2 * GUESTS).map(guest).collect()).await
}

/// A node is ready once every peer that it hears has seen it catch up.
async fn wait_ready(node: &Node) {
    harness::eventually(PATIENCE, "the returning node is in sync", async || {
        match harness::http::get(node.http, "/readyz").await {
            Ok(answer) if answer.status == 200 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

fn seconds(before: &Usage, after: &Usage) -> f64 {
    (after.cpu.saturating_sub(before.cpu)).as_secs_f64()
}
