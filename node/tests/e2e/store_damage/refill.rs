//! Promises of 'When something breaks': a node whose refill was cut short is not ready while no node that holds the data
//! answers, and says so; a peer that returns refills it; `--fresh` begins anew.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use super::{check_refusal, fill};
use harness::process::{free_port, run, starling};
use harness::proxy::Rule;
use harness::{Account, Cluster, Node, PATIENCE, eventually, http, same};

/// Some seconds of refilling over the link below.
const MESSAGES: u128 = 20_000;
/// With so much to and fro between chunks a refill takes far longer than to see that it has begun.
const SLOW: Rule = Rule { cut: false, loss: 0.0, delay: Duration::from_millis(50) };

fn identity(node: &Node) -> Value {
    let text = fs::read_to_string(node.data_dir().join("node.json")).expect("there is an identity");
    serde_json::from_str(&text).expect("it is JSON")
}

/// A cluster of two with an account and a room full of messages. The first node was killed while it refilled the second.
async fn cut_short() -> (Cluster, Account) {
    let mut cluster = Cluster::start_with(2, &super::CHEAP_HASHES).await;
    let ann = Account::register(cluster[0].http, "ann").await;
    let body = json!({ "name": "den", "visibility": "private" });
    let made = ann.call(cluster[0].http, "POST", "/rooms", Some(body)).await.json();
    let room = made["id"].as_str().expect("a room has an id");
    assert_eq!(cluster[1].stop().await, Some(0));
    assert_eq!(cluster[0].stop().await, Some(0));
    fill(&cluster[0].data_dir().join("starling.redb"), &ann, room, MESSAGES);
    let store = cluster[1].data_dir().join("starling.redb");
    fs::remove_file(&store).expect("it can be removed");
    cluster[0].restart().await;
    cluster.network.set(0, 1, SLOW);
    cluster[1].start();
    eventually(PATIENCE, "the refill begins", async || {
        if store.exists() { Ok(()) } else { Err("no store".to_owned()) }
    })
    .await;
    cluster[0].kill9().await;
    cluster.heal(0, 1);
    (cluster, ann)
}

/// Waits until a node has been alone for 5 s, long after one that waits for nobody is ready: it is not, and says why.
async fn waits_for_a_peer(node: &Node) {
    eventually(PATIENCE * 2, "it says that it waits for one that holds the data", async || {
        let ready = http::get(node.http, "/readyz").await.map_err(|error| error.to_string())?;
        assert_eq!(ready.status, 503, "{}", ready.text());
        let status = node.status().await?;
        let problems = status["join_problems"].as_array().map_or(0, Vec::len);
        let said = status["reasons"].to_string();
        let alone = problems > 0
            && status["peers"]
                .as_array()
                .is_some_and(|peers| peers.iter().all(|peer| peer["linked"] == false));
        for text in [ready.text(), said] {
            if !alone || !text.contains("the store was lost") || !text.contains("--fresh") {
                return Err(format!("{problems} {text}"));
            }
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_refill_that_was_cut_short_goes_on_when_a_peer_returns() {
    let (mut cluster, ann) = cut_short().await;
    waits_for_a_peer(&cluster[1]).await;
    // After a crash it still knows that what it holds is a part.
    cluster[1].kill9().await;
    cluster[1].start();
    waits_for_a_peer(&cluster[1]).await;
    cluster[0].restart().await;
    cluster[1].wait_ready_within(PATIENCE * 3).await;
    eventually(PATIENCE, "both show the same", async || {
        let (first, second) = (cluster[0].status().await?, cluster[1].status().await?);
        same(&first["store"]["digest"], &second["store"]["digest"])
    })
    .await;
    // Refilled, it needs nobody.
    eventually(PATIENCE, "it keeps that it is refilled", async || {
        same(&identity(&cluster[1])["refilling"], &Value::Null)
    })
    .await;
    cluster[0].kill9().await;
    cluster[1].kill9().await;
    cluster[1].restart().await;
    let rooms = ann.call(cluster[1].http, "GET", "/rooms", None).await;
    assert!(rooms.text().contains("den"), "{}", rooms.text());
}

#[tokio::test]
async fn a_node_whose_refill_was_cut_short_begins_anew_when_told_to() {
    let (mut cluster, _) = cut_short().await;
    let node = &mut cluster.nodes[1];
    waits_for_a_peer(node).await;
    let before = identity(node)["node"].clone();
    // Not beside the running node.
    let [listen, peers] = [free_port(), free_port()].map(|port| format!("127.0.0.1:{port}"));
    let mut beside = starling(&["serve", "--listen", &listen, "--cluster-listen", &peers, "--fresh"]);
    beside.args(["--cluster-secret", &cluster.secret, "--data-dir"]).arg(node.data_dir());
    check_refusal(&run(beside).await, &["starling.redb", "another process has it open"])
        .expect("it is refused");
    assert!(node.data_dir().join("starling.redb").exists());
    assert_eq!(identity(node)["node"], before);
    assert_eq!(node.stop().await, Some(0));
    node.add_args(&["--fresh"]);
    node.restart().await;
    let now = identity(node);
    assert_ne!(now["node"], before);
    assert_eq!(now["refilling"], Value::Null);
    // It holds nothing: the name is free.
    Account::register(node.http, "ann").await;
    assert_eq!(node.stop().await, Some(0));
}
