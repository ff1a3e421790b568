//! Measures how soon the sessions of a killed node go on at another, and how soon its other users go offline.
//! `cargo bench -p starling-node --bench failover -- --help`

mod common;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use common::report::quantile;
use common::{Guest, Limit, Load, Report, nodes};
use harness::http::create_room;
use harness::{Client, Node, eventually};
use tokio::time::sleep;

/// Nodes are killed (SIGKILL) in turn; their sessions resume on the others as the page's would behind a balancer
#[derive(Debug, Clone, Parser)]
struct Options {
    /// Sessions that come back, on the node that is killed
    #[arg(long, default_value = "200", value_name = "N")]
    sessions: usize,
    /// Sessions that do not come back
    #[arg(long, default_value = "20", value_name = "N")]
    away: usize,
    /// Rooms over which they are spread
    #[arg(long, default_value = "4", value_name = "N")]
    rooms: usize,
    /// Messages a second over all rooms and nodes
    #[arg(long, default_value = "100", value_name = "HZ")]
    rate: f64,
    /// Seconds of load before the kill
    #[arg(long, default_value = "4", value_name = "S")]
    before: u64,
    #[arg(long, default_value = "6", value_name = "N")]
    rounds: usize,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

/// A session goes on within this, back-off included.
const RESUMED_S_MAX: f64 = 2.0;
/// Users of a dead node are gone within this.
const GONE_S_MAX: f64 = 5.0;
/// A step that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    let options = Options::parse();
    common::run(async {
        let mut report = Report::new(format!(
            "failover: kill -9 of each of three nodes in turn, {} sessions on it in {} rooms with {} messages a second; {} rounds",
            options.sessions, options.rooms, options.rate, options.rounds
        ));
        let mut nodes = nodes::start(3).await;
        for round in 0..options.rounds {
            println!("round {}", round + 1);
            nodes.rotate_left(1);
            run(&options, &mut nodes, &mut report).await;
            nodes[0].restart().await;
            nodes::in_sync(&nodes).await;
        }
        report
    })
}

/// Kills the first of the nodes.
async fn run(options: &Options, nodes: &mut [Node], report: &mut Report) {
    let mut rooms = Vec::new();
    for number in 0..options.rooms {
        rooms.push(create_room(nodes[number % nodes.len()].http).await);
    }
    let mut away = Vec::new();
    for number in 0..options.away {
        let room = &rooms[number % rooms.len()];
        away.push(Client::join(nodes[0].http, room, &format!("away {number}")).await);
    }
    let guests = guests(options, [0, 1, 2].map(|node| nodes[node].http), &rooms);
    let mut load = Load::start(guests).await;
    sleep(Duration::from_secs(options.before)).await;

    let killed = Instant::now();
    nodes[0].kill9().await;
    let posters = load.guests.len() - options.sessions;
    eventually(PATIENCE, "all sessions are back, and all who stay away are gone", async || {
        let back =
            (posters..load.guests.len()).filter(|&guest| !load.noted(guest).returns.is_empty()).count();
        let gone: usize = (0..posters).map(|guest| load.noted(guest).left.len()).sum();
        // Seen by those of their room on either other node.
        harness::same(&(back, gone >= 2 * options.away), &(options.sessions, true))
    })
    .await;
    let seconds = |at: Instant| at.duration_since(killed).as_secs_f64();
    let (mut welcomed, mut resumed, mut resyncs) = (Vec::new(), Vec::new(), 0.0);
    for guest in posters..load.guests.len() {
        let back = load.noted(guest).returns[0].clone();
        welcomed.push(seconds(back.welcomed));
        resumed.push(seconds(back.caught_up));
        resyncs += f64::from(u8::from(back.resync));
        if back.name != load.guests[guest].name {
            report.broken(format!("{} came back as {}", load.guests[guest].name, back.name));
        }
    }
    report.note("seconds from the kill to the welcome, median", quantile(&mut welcomed, 0.5));
    report.note("seconds from the kill to all that was missed, median", quantile(&mut resumed, 0.5));
    report.note("seconds from the kill to all that was missed, p99", quantile(&mut resumed, 0.99));
    let slowest = quantile(&mut resumed, 1.0);
    report.promise(
        "seconds from the kill to all that was missed, max",
        Limit::AtMost(RESUMED_S_MAX),
        slowest,
    );
    report.promise("sessions told to load afresh", Limit::AtMost(0.0), resyncs);
    let gone = |guest: usize| load.noted(guest).left.iter().map(|left| seconds(left.1)).collect::<Vec<_>>();
    let mut gone: Vec<_> = (0..posters).flat_map(gone).collect();
    report.note("seconds until who stays away is gone elsewhere, median", quantile(&mut gone, 0.5));
    let last = quantile(&mut gone, 1.0);
    report.promise("seconds until who stays away is gone elsewhere, max", Limit::AtMost(GONE_S_MAX), last);
    if let Err(missing) = load.ends_well(PATIENCE).await {
        report.broken(missing);
    }
    let doubled: usize = (0..load.guests.len()).map(|guest| load.noted(guest).doubled).sum();
    if doubled > 0 {
        report.broken(format!("{doubled} messages were shown twice over one connection"));
    }
}

/// First those who post, one in each room on each node that lives and one on the node that dies; then the readers.
fn guests(options: &Options, nodes: [SocketAddr; 3], rooms: &[String]) -> Vec<Guest> {
    let [dead, one, other] = nodes;
    let places = [vec![one], vec![other]];
    let turn = |number: usize| {
        if number.is_multiple_of(2) { vec![dead, one, other] } else { vec![dead, other, one] }
    };
    let posters = rooms.iter().flat_map(|room| places.iter().map(move |nodes| (room.clone(), nodes.clone())));
    let mut guests: Vec<_> = posters
        .enumerate()
        .map(|(number, (room, nodes))| Guest {
            name: format!("poster {number}"),
            room,
            nodes,
            rate_hz: Some(0.0),
        })
        .collect();
    let posters = guests.len() + rooms.len().min(options.sessions);
    guests.extend((0..options.sessions).map(|number| Guest {
        name: format!("guest {number}"),
        room: rooms[number % rooms.len()].clone(),
        nodes: turn(number / rooms.len()),
        rate_hz: None,
    }));
    #[expect(clippy::cast_precision_loss, reason = "there are few")]
    let rate = options.rate / posters as f64;
    for guest in &mut guests[..posters] {
        guest.rate_hz = (rate > 0.0).then_some(rate);
    }
    guests
}
