//! Real nodes under load while they are killed, hang, lose their disks, come and go, and the network between them
//! breaks. Afterwards all nodes list the same messages in one order, each acked one once, and no guest lacks any.
//!
//! `compose/chaos.sh` runs the long form and writes its report.

mod actor;
mod full_disk;
mod ledger;
mod link_fault;
mod load;
mod network;
mod node_fault;
mod places;
mod report;
mod rules;
mod run;
mod schedule;
mod verdict;

use std::time::{Duration, Instant};

use harness::Cluster;
use load::{Load, Rate};
use node_fault::NodeFault;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use run::{Run, SMALL};
use schedule::Schedule;
use tokio::sync::Mutex;

/// The acked messages that a long run must reach: 100,000 in ten minutes.
const ACKED_A_SECOND: u64 = 170;
/// One more than run at first: so that a node can join.
const SPARE: usize = 1;

/// The settings of a run.
struct Form {
    nodes: usize,
    rate: Rate,
    /// The shortest length of a run; it goes on until every kind of node fault has come.
    at_least: Duration,
    /// The longest time of a fault, and of a hanging node.
    lasts_ms_max: u64,
    hang_ms_max: u64,
    disk_mib: u64,
    acked_at_least: usize,
    all_link_faults: bool,
    command: String,
}

/// Every kind of fault of a node, and most of the network, once and shortly.
async fn short(nodes: usize) {
    // Drawn before the command that repeats it is put together.
    harness::seed();
    let form = Form {
        nodes,
        rate: Rate { rooms: 5, hz: 30 },
        at_least: Duration::ZERO,
        lasts_ms_max: 2_500,
        hang_ms_max: 4_500,
        disk_mib: 128,
        acked_at_least: 1_000,
        all_link_faults: false,
        command: harness::how_to_repeat(),
    };
    carry_out(&form).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acked_is_lost_or_doubled_over_three_nodes_whatever_breaks() {
    short(3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acked_is_lost_or_doubled_over_five_nodes_whatever_breaks() {
    short(5).await;
}

/// A run of the length and the number of nodes that the environment sets.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes long: compose/chaos.sh"]
async fn long() {
    let (seconds, nodes) = (setting("STARLING_CHAOS_SECONDS", 600), setting("STARLING_CHAOS_NODES", 5));
    let seed = harness::seed();
    let form = Form {
        nodes: usize::try_from(nodes).expect("few nodes"),
        rate: Rate { rooms: 10, hz: 20 },
        at_least: Duration::from_secs(seconds),
        lasts_ms_max: 6_000,
        hang_ms_max: 8_000,
        disk_mib: 1_024,
        acked_at_least: usize::try_from(seconds * ACKED_A_SECOND).expect("few seconds"),
        all_link_faults: true,
        command: format!("STARLING_TEST_SEED={seed} compose/chaos.sh --seconds {seconds} --nodes {nodes}"),
    };
    carry_out(&form).await;
}

async fn carry_out(form: &Form) {
    // Tests of one program run side by side; two clusters would want a machine each.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());
    let _alone = ONE_AT_A_TIME.lock().await;
    let seed = harness::seed();
    let mut rng = StdRng::seed_from_u64(seed);
    let mut faults = NodeFault::ALL.to_vec();
    let mut cluster = Cluster::prepare(form.nodes + SPARE, seed).await;
    cluster[SMALL].add_args(&["--storage-reserve-mib", &full_disk::RESERVE_MIB.to_string()]);
    if let Err(why) = cluster[SMALL].on_small_disk(form.disk_mib) {
        harness::skip(NodeFault::FullDisk.name(), &why);
        faults.retain(|&fault| fault != NodeFault::FullDisk);
    }
    cluster.start_first(form.nodes).await;
    let load = Load::start(&cluster, form.rate, &mut rng).await;
    let running = (form.nodes, form.nodes + SPARE);
    let mut schedule =
        Schedule::new(StdRng::seed_from_u64(rng.random()), &faults, running, form.lasts_ms_max);
    let mut run = Run::new(cluster, load, rng, form.hang_ms_max).await;
    let begin = Instant::now();
    // Each kind once, Join twice, and a round in which no node breaks.
    while begin.elapsed() < form.at_least || run.passed.len() < faults.len() + 2 {
        run.pass(schedule.next()).await;
    }
    let under_load = begin.elapsed();
    let mut lines = verdict::reach(&mut run, form.acked_at_least).await;
    if form.all_link_faults {
        let what = "every kind of fault came".to_owned();
        lines.push(verdict::Line { what, wrong: verdict::never_came(&run, &faults) });
    }
    report::write(&run, &form.command, form.nodes, under_load, &lines);
    let wrong: Vec<_> = lines.iter().filter(|line| !line.wrong.is_empty()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}\n{}", run.load.ledger().summary());
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("the setting is a number"))
}
