//! The mesh of links: it closes whatever addresses, names and starts do, `status` says what it lacks, and strangers do
//! not hold it up. The scenarios run real processes on network namespaces of their own, which needs root and `ip`.
//!
//! `STARLING_MESH_SCENARIOS=50` is the long form; a failing scenario prints the command that repeats it.

mod claims;
mod flood;
mod network;
mod node;
mod operators;
mod scenario;

use std::time::{Duration, Instant};

use harness::cluster::new_secret;
use network::{Families, Machines};
use node::Node;
use scenario::{CLOSES_WITHIN, Scenario};

/// A node that knows of peers waits for 1 s for them to answer; a machine may be slow.
const STARTS_WITHIN: Duration = Duration::from_secs(7);
const IPV4: Families = Families { ipv4: true, ipv6: false };

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

/// Membership (design, section 3): the mesh closes within 10 s after the last address is right, and then a name is given
/// once.
#[tokio::test]
async fn the_mesh_closes_in_random_scenarios() {
    let first = setting("STARLING_MESH_SEED").unwrap_or_else(rand::random);
    for seed in (0..setting("STARLING_MESH_SCENARIOS").unwrap_or(4)).map(|at| first.wrapping_add(at)) {
        eprintln!(
            "repeat with: STARLING_MESH_SEED={seed} STARLING_MESH_SCENARIOS=1 cargo test -p starling-node --test e2e \
             the_mesh_closes -- --nocapture"
        );
        let mut scenario = match Scenario::begin(seed, new_secret().await) {
            Ok(scenario) => scenario,
            // As for disks of their own: where it cannot be, it is said.
            Err(why) => return harness::skip("network namespaces", &why),
        };
        scenario.disturb();
        let took = scenario.closes();
        eprintln!("  closed within {:.1} s", took.as_secs_f64());
        claims::one_gets_the_name(&scenario.machines, scenario.nodes.len(), "ann");
    }
}

/// A node whose names nobody resolves starts as soon as any other, and says then whose name it is. A lookup takes 10 s
/// until it fails.
#[tokio::test]
async fn dns_that_does_not_answer_does_not_delay_the_start() {
    let machines = match Machines::new(1) {
        Ok(machines) => machines,
        Err(why) => return harness::skip("network namespaces", &why),
    };
    machines.set_addresses(0, IPV4, 1);
    // A server of names that hears all questions and answers none.
    let dns = machines.on(0, async || std::net::UdpSocket::bind("127.0.0.1:53").unwrap());
    let mut node = Node::new(0);
    let begun = Instant::now();
    node.start(&machines, &new_secret().await, &["chat.example:7946".into()]);
    harness::eventually(STARTS_WITHIN, "it is ready", async || {
        let state = node.status()?["state"].clone();
        if state == "ready" { Ok(()) } else { Err(state.to_string()) }
    })
    .await;
    eprintln!("ready after {:.1} s", begun.elapsed().as_secs_f64());
    harness::eventually(harness::PATIENCE, "the name is said to be unanswered", async || {
        let problems = node.status()?["join_problems"].to_string();
        if problems.contains("DNS has not answered") { Ok(()) } else { Err(problems) }
    })
    .await;
    drop(dns);
}

/// Two of three nodes lack a link, and the third is linked to both: any node's `status` says so, and a name is still
/// given once, soon, without a 503.
#[tokio::test]
async fn one_missing_link_shows_and_gives_no_name_twice() {
    let (machines, secret) = match Machines::new(3) {
        Ok(machines) => (machines, new_secret().await),
        Err(why) => return harness::skip("network namespaces", &why),
    };
    let number = |at: usize| u8::try_from(at + 1).unwrap();
    let mut nodes: Vec<_> = (0..3).map(Node::new).collect();
    for (at, node) in nodes.iter_mut().enumerate() {
        machines.set_addresses(at, IPV4, number(at));
        if at == 2 {
            machines.cut((0, 1), number);
        }
        let join = if at == 2 { vec!["10.77.0.1:7946".into(), "10.77.0.2:7946".into()] } else { Vec::new() };
        node.start(&machines, &secret, &join);
    }
    for node in &nodes {
        harness::eventually(harness::PATIENCE, "the pair without a link is named", async || {
            let status = node.status()?;
            let in_sync = status["peers"].as_array().is_some_and(|peers| {
                peers.iter().all(|peer| peer["linked"] == peer["in_sync"])
                    && peers.iter().any(|peer| peer["linked"] == true)
            });
            let pairs = status["unlinked_pairs"].as_array().map_or(0, Vec::len);
            if pairs == 1 && in_sync { Ok(()) } else { Err(format!("{status:#}")) }
        })
        .await;
    }
    claims::one_gets_the_name(&machines, 3, "bob");
}

/// A join address may lead to a node that took over the address of another, or of the node that joins: it is dialled
/// although somebody else answered there before.
#[tokio::test]
async fn a_node_at_the_former_address_of_another_is_dialled() {
    let (machines, secret) = match Machines::new(4) {
        Ok(machines) => (machines, new_secret().await),
        Err(why) => return harness::skip("network namespaces", &why),
    };
    let mut nodes: Vec<_> = (0..4).map(Node::new).collect();
    let join = ["10.77.0.1:7946", "10.77.0.2:7946", "10.77.0.6:7946"].map(str::to_owned);
    // 0 dials itself and 1. Both answer, and then both move.
    for (at, join) in [(1, &[][..]), (0, &join)] {
        machines.set_addresses(at, IPV4, u8::try_from(at + 1).unwrap());
        nodes[at].start(&machines, &secret, join);
        harness::eventually(harness::PATIENCE, "it is linked", async || linked(&nodes[at], 1 - at)).await;
    }
    for (at, number) in [(0, 5), (1, 6), (2, 1), (3, 2)] {
        machines.set_addresses(at, IPV4, number);
    }
    for node in &mut nodes[2..] {
        node.start(&machines, &secret, &[]);
    }
    for node in &nodes {
        harness::eventually(CLOSES_WITHIN, "the mesh closes", async || linked(node, 3)).await;
    }
}

/// Whether a node is linked to so many.
fn linked(node: &Node, wanted: usize) -> Result<(), String> {
    let status = node.status()?;
    let peers = status["peers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let linked = peers.iter().filter(|peer| peer["linked"] == true).count();
    harness::same(&linked, &wanted).map_err(|error| format!("{error}: {status:#}"))
}
