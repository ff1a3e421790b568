//! Measures how soon the two sides of a split are one again after healing, and how well each is served meanwhile.
//! `cargo bench -p starling-node --bench split -- --help`

mod common;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use common::guest::{Number, number_of};
use common::report::quantile;
use common::{Guest, Limit, Load, Report};
use harness::http::{create_room, list_all, page};
use harness::process::NO_MESSAGE_LIMITS;
use harness::{Cluster, Node, eventually, same};
use tokio::time::sleep;

/// One node alone and two together, each side under load; the load goes on while they merge
#[derive(Debug, Clone, Parser)]
struct Options {
    /// Seconds of the split
    #[arg(long, default_value = "60", value_name = "S")]
    split: u64,
    /// Messages a second on each side
    #[arg(long, default_value = "500", value_name = "HZ")]
    rate: f64,
    /// Seconds of load before the split, and after the merge
    #[arg(long, default_value = "5", value_name = "S")]
    around: u64,
    #[arg(long, default_value = "3", value_name = "N")]
    rounds: usize,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

/// Both sides are one again within this.
const MERGED_S_MAX: f64 = 5.0;
/// Guests on each side; all of them post and all are delivered everything.
const GUESTS: u8 = 5;
/// A step that takes longer has failed.
const PATIENCE: Duration = Duration::from_mins(1);

fn main() -> ExitCode {
    let options = Options::parse();
    common::run(async {
        let mut report = Report::new(format!(
            "split: one node and two, {} s apart with {} messages a second on each side; {} rounds",
            options.split, options.rate, options.rounds
        ));
        for round in 1..=options.rounds {
            println!("round {round}");
            run(&options, &mut report).await;
        }
        report
    })
}

async fn run(options: &Options, report: &mut Report) {
    let mut cluster = Cluster::prepare(3, 0).await;
    for node in &mut cluster.nodes {
        // What is measured is the node, not its limits.
        node.add_args(&NO_MESSAGE_LIMITS);
    }
    cluster.start_first(3).await;
    let room = create_room(cluster[0].http).await;
    let mut load = start_load(&cluster, &room, options.rate).await;
    sleep(Duration::from_secs(options.around)).await;
    let split = Instant::now();
    cluster.isolate(0);
    sleep(Duration::from_secs(options.split)).await;

    let marks = load.acked();
    let healed = Instant::now();
    cluster.rejoin(0);
    let mut listed = Vec::new();
    let mut shown = None;
    eventually(PATIENCE, "all nodes list, and all guests have, what was posted before healing", async || {
        load.unharmed();
        for (number, node) in cluster.nodes.iter().enumerate() {
            if listed.len() == number && lists(node, &room, &last_of_each(&marks)).await? {
                listed.push(healed.elapsed().as_secs_f64());
            }
        }
        if shown.is_none() && load.lacking(&marks) == 0 {
            shown = Some(healed.elapsed().as_secs_f64());
        }
        same(&(listed.len(), shown.is_some()), &(3, true))
    })
    .await;
    let merged = Instant::now();
    sleep(Duration::from_secs(options.around)).await;
    let ended = Instant::now();
    // A node looked at later may have been quicker.
    report.promise("seconds from healing until all nodes list it", Limit::AtMost(MERGED_S_MAX), listed[2]);
    let shown = shown.expect("it was waited for");
    report.promise("seconds from healing until all guests have it", Limit::AtMost(MERGED_S_MAX), shown);
    let side = |guest: usize| guest % 2;
    let mut latency = |what: &str, from: Instant, to: Instant, within: bool, sides: &[usize]| {
        let wanted =
            |to: usize, from: u32| sides.contains(&side(to)) && (!within || side(to) == side(from as usize));
        let mut latencies = load.latencies(from, to, wanted);
        report.note(&format!("delivery p99 {what}, ms"), quantile(&mut latencies, 0.99));
    };
    latency("before", load.began, split, false, &[0, 1]);
    // Until the silence of the others is noticed, acks wait for them; delivery does not.
    latency("on the side of one node during the split", split, healed, true, &[0]);
    latency("on the side of two nodes during the split", split, healed, true, &[1]);
    latency("on either side, of what is posted there while merging", healed, merged, true, &[0, 1]);
    latency("after", merged, ended, false, &[0, 1]);
    let lost: usize = (0..load.guests.len()).map(|guest| load.noted(guest).returns.len()).sum();
    let resyncs = |guest: usize| load.noted(guest).returns.iter().filter(|back| back.resync).count();
    report.note("guests who fell behind and reconnected while merging", to_f64(lost));
    report.note("  of whom told to load afresh", to_f64((0..load.guests.len()).map(resyncs).sum()));
    ends_well(&cluster, &room, &mut load, report).await;
}

/// Everything acked is listed exactly once by all nodes, in one order, and everybody has it.
async fn ends_well(cluster: &Cluster, room: &str, load: &mut Load, report: &mut Report) {
    if let Err(missing) = load.ends_well(PATIENCE).await {
        report.broken(missing);
    }
    let list = list_all(cluster[0].http, room).await;
    for node in &cluster.nodes[1..] {
        if list_all(node.http, room).await != list {
            report.broken(format!("{} lists otherwise than {}", node.name, cluster[0].name));
        }
    }
    let mut times = BTreeMap::<Number, usize>::new();
    for (number, _) in list.iter().filter_map(number_of) {
        *times.entry(number).or_default() += 1;
    }
    let acked = load.acked();
    let wrong = acked.keys().filter(|number| times.get(number) != Some(&1)).count();
    if wrong > 0 || times.len() != acked.len() {
        report.broken(format!("{wrong} acked messages are not listed exactly once; {} listed", times.len()));
    }
    println!("  {} messages acked, listed once by all nodes in one order", acked.len());
}

/// By turns on the node that will be alone and on the others.
async fn start_load(cluster: &Cluster, room: &str, rate: f64) -> Load {
    let guest = |number: u8| Guest {
        name: format!("guest {number}"),
        room: room.to_owned(),
        nodes: vec![cluster[[0, 1, 0, 2][usize::from(number % 4)]].http],
        rate_hz: Some(rate / f64::from(GUESTS)),
    };
    Load::start((0..2 * GUESTS).map(guest).collect()).await
}

/// The `pos` of each guest's last message: an origin's log has no gaps, so who lists these lists the others too.
fn last_of_each(marks: &BTreeMap<Number, (String, u32)>) -> Vec<String> {
    let lasts: BTreeMap<u32, &String> = marks.iter().map(|(number, (pos, _))| (number.0, pos)).collect();
    lasts.into_values().cloned().collect()
}

/// Whether a node lists all of these, which are among its newest.
async fn lists(node: &Node, room: &str, wanted: &[String]) -> Result<bool, String> {
    let mut found = 0;
    let mut before: Option<String> = None;
    loop {
        let read = page(node.http, room, before.as_deref(), 200).await;
        let (items, more) = read.map_err(|error| error.to_string())?;
        found += items.iter().filter(|posted| wanted.contains(&posted.pos)).count();
        let last = items.last().map(|posted| posted.pos.clone());
        if found == wanted.len() || !more || last.as_ref() < wanted.iter().min() {
            return Ok(found == wanted.len());
        }
        before = last;
    }
}

#[expect(clippy::cast_precision_loss, reason = "there are few")]
fn to_f64(count: usize) -> f64 {
    count as f64
}
