//! A node's disk fills up with something else, in steps, and is freed again. First the node refuses users' writes, then
//! it sends users elsewhere; it may even end when nothing is left, but it comes back when there is room.

use std::net::SocketAddr;
use std::time::Duration;

use rand::RngExt as _;

use crate::node_fault::CATCH_UP;
use crate::run::{Run, SMALL};
use harness::small_disk::SmallDisk;
use harness::{PATIENCE, eventually, http, same};

/// The space that the node reserves for replication.
pub(crate) const RESERVE_MIB: u64 = 16;
const RESERVE: u64 = RESERVE_MIB * 1024 * 1024;

pub(crate) async fn pass(run: &mut Run, lasts: Duration) -> String {
    let http = run.cluster[SMALL].http;
    let before = run.load.ledger().storage_full;
    disk(run).fill_to(RESERVE * 3 / 4);
    eventually(PATIENCE, "a node with little room refuses writes", async || creates(http, 507).await).await;
    run.load.goes_on(lasts / 2).await;
    let refused = run.load.ledger().storage_full - before;

    run.load.ledger().places.shake(SMALL);
    disk(run).fill_to(RESERVE / 8);
    eventually(PATIENCE, "a node with no room is not ready", async || status(http, "/readyz", 503).await)
        .await;
    let nothing_left = run.rng.random();
    if nothing_left {
        disk(run).fill_to(0);
    }
    run.load.goes_on(lasts / 2).await;

    disk(run).free();
    // Restarting an ended service is the task of a service manager.
    let ended = run.cluster[SMALL].has_ended();
    if ended.is_some() {
        run.start(SMALL).await;
    }
    run.cluster[SMALL].wait_ready_within(CATCH_UP).await;
    eventually(PATIENCE, "a node with room takes writes", async || creates(http, 201).await).await;
    run.load.ledger().places.calm(SMALL);
    let depth = match (nothing_left, ended) {
        (false, _) => "until it sent its users elsewhere",
        (true, None) => "to the last byte, which it survived",
        (true, Some(_)) => "to the last byte, at which it ended itself",
    };
    format!("the disk of {} filled {depth}; {refused} posts refused first", run.name(SMALL))
}

fn disk(run: &Run) -> &SmallDisk {
    run.cluster[SMALL].small_disk.as_ref().expect("the schedule fills a disk only where there is a small one")
}

async fn creates(node: SocketAddr, expected: u16) -> Result<(), String> {
    let answer = http::request(node, "POST", "/create-room", &[], b"").await;
    same(&answer.map_err(|error| error.to_string())?.status, &expected)
}

async fn status(node: SocketAddr, target: &str, expected: u16) -> Result<(), String> {
    same(&http::get(node, target).await.map_err(|error| error.to_string())?.status, &expected)
}
