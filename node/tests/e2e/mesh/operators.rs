//! Operators see the state of links: join addresses that fail, a node that waits for its peers, peers that are down, strangers
//! and copies.

use std::fs;
use std::net::SocketAddr;

use harness::cluster::new_secret;
use harness::folder::copy;
use harness::process::free_port;
use harness::proxy::{Network, Rule};
use harness::{Cluster, Node, PATIENCE, eventually, http, same};

/// The log lines of a node that have a word.
fn logged(node: &Node, word: &str) -> Vec<String> {
    let text = fs::read_to_string(node.beside("stderr")).unwrap_or_default();
    text.lines().filter(|line| line.contains(word)).map(str::to_owned).collect()
}

async fn readiness(node: &Node) -> Result<(u16, String), String> {
    let answer = http::get(node.http, "/readyz").await.map_err(|error| error.to_string())?;
    Ok((answer.status, answer.text()))
}

async fn figure(node: &Node, line: &str) {
    eventually(PATIENCE, line, async || {
        let metrics = http::get(node.http, "/metrics").await.map_err(|error| error.to_string())?.text();
        if metrics.lines().any(|known| known.starts_with(line)) { Ok(()) } else { Err(metrics) }
    })
    .await;
}

fn local(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// A join address that leads to no node draws a warning after 5 s, one for each, and shows in `status` with the reason.
#[tokio::test]
async fn join_addresses_that_fail_are_named_with_the_reason() {
    let (secret, other) = (new_secret().await, new_secret().await);
    let stranger_at = local(free_port());
    let (dead, friend_at) = (local(free_port()), local(free_port()));
    let friend = Node::lone(&["--cluster-secret", &secret, "--cluster-listen", &friend_at]).await;
    let mut node =
        Node::new("joining", &["--cluster-secret", &secret, "--cluster-listen", &local(free_port())]);
    for join in [&dead, &stranger_at, &friend_at, "nowhere.invalid:7946", "[::1]:7946"] {
        node.add_args(&["--join", join]);
    }
    node.start();
    node.wait_ready().await;
    // A node that meets nobody but strangers at its start does not start.
    let stranger = Node::lone(&["--cluster-secret", &other, "--cluster-listen", &stranger_at]).await;
    let wanted = [
        (dead.as_str(), "no node answers"),
        (&stranger_at, "a different cluster secret"),
        ("nowhere.invalid:7946", "resolve"),
        ("[::1]:7946", "IPv6 addresses only"),
    ];
    eventually(PATIENCE * 2, "each failing address is named", async || {
        let problems = node.status().await?["join_problems"].clone();
        for (address, reason) in wanted {
            let found = problems.as_array().into_iter().flatten().find(|problem| problem[0] == address);
            if !found.is_some_and(|found| found[1].as_str().is_some_and(|said| said.contains(reason))) {
                return Err(format!("{address} in {problems}"));
            }
        }
        same(&problems.as_array().map(Vec::len), &Some(wanted.len()))
    })
    .await;
    for (address, _) in wanted {
        let lines = logged(&node, "a join address leads to no node");
        assert_eq!(lines.iter().filter(|line| line.contains(address)).count(), 1, "{address} in {lines:?}");
    }
    // The stranger is dialled again and again, and both sides say so once.
    for node in [&node, &stranger] {
        figure(node, "starling_handshakes_refused_total").await;
        let lines = logged(node, "handshake refused");
        assert!(lines.len() <= 1, "{lines:?}");
    }
    assert_eq!(logged(&stranger, "handshake refused").len(), 1);
    drop(friend);
}

/// With `cluster.expect_peers` a node is not ready before it has reached another, and says so; then it is.
#[tokio::test]
async fn a_node_that_expects_peers_waits_for_one() {
    let (secret, at) = (new_secret().await, local(free_port()));
    let mut node =
        Node::new("expecting", &["--cluster-secret", &secret, "--cluster-listen", &local(free_port())]);
    node.add_args(&["--join", &at, "--cluster-expect-peers", "true"]);
    node.start();
    // A join address is named after 5 s, long after a node that expects nobody is ready.
    eventually(PATIENCE * 2, "it says for whom it waits", async || {
        let (code, said) = readiness(&node).await?;
        assert_eq!(code, 503, "{said}");
        let named = node.status().await?["join_problems"].as_array().is_some_and(|all| !all.is_empty());
        if said.contains("expect_peers") && named { Ok(()) } else { Err(said) }
    })
    .await;
    let friend = Node::lone(&["--cluster-secret", &secret, "--cluster-listen", &at]).await;
    node.wait_ready().await;
    drop(friend);
}

/// Figures say that a peer is down, and the log warns of it with its address.
#[tokio::test]
async fn a_lost_peer_is_a_warning_and_a_series_at_0() {
    let mut cluster = Cluster::start(3).await;
    figure(&cluster[0], "starling_peers_known 2").await;
    figure(&cluster[0], "starling_peers_linked 2").await;
    cluster[2].kill9().await;
    figure(&cluster[0], "starling_peers_linked 1").await;
    figure(&cluster[0], "starling_peers_known 2").await;
    let metrics = http::get(cluster[0].http, "/metrics").await.unwrap().text();
    let series = |name: &str| {
        let mut values: Vec<_> = metrics
            .lines()
            .filter(|line| line.starts_with(name))
            .filter_map(|line| line.rsplit_once(' '))
            .map(|(_, value)| value.to_owned())
            .collect();
        values.sort();
        values
    };
    assert_eq!((series("starling_peer_linked{"), series("starling_peer_in_sync{")), {
        let both = vec!["0".to_owned(), "1".to_owned()];
        (both.clone(), both)
    });
    let lost = logged(&cluster[0], "lost the link to a peer");
    assert!(lost.iter().any(|line| line.contains("WARN") && line.contains("127.0.0.1:")), "{lost:?}");
    // One that leaves in order is none.
    cluster[1].stop().await;
    figure(&cluster[0], "starling_peers_linked 0").await;
    assert_eq!(logged(&cluster[0], "the peer is stopping").len(), 1);
}

/// A copied node that meets its original while both run is not ready and says why, without filling the log; the original
/// goes on.
#[tokio::test]
async fn a_copy_that_meets_its_original_is_not_ready() {
    let mut cluster = Cluster::start(2).await;
    assert_eq!(cluster[0].stop().await, Some(0));
    let mut node = Node::new("copy", &["--cluster-secret", &cluster.secret]);
    copy(&cluster[0].data_dir(), &node.data_dir());
    cluster[0].restart().await;
    cluster.linked().await;
    // It starts apart: it knows nobody, and what it is told to join cannot be reached yet.
    fs::remove_file(node.data_dir().join("members.json")).unwrap();
    let listen = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let way = Network::new(vec![cluster.network.front(1), listen], 0).await;
    way.set(0, 1, Rule { cut: true, ..Rule::default() });
    node.add_args(&["--cluster-listen", &listen.to_string(), "--join", &way.front(0).to_string()]);
    node.start();
    node.wait_ready().await;
    way.set(0, 1, Rule::default());
    eventually(PATIENCE * 2, "the copy is not ready", async || {
        let (code, said) = readiness(&node).await?;
        if code == 503 && said.contains("copied") { Ok(()) } else { Err(said) }
    })
    .await;
    let (code, said) = readiness(&cluster[0]).await.unwrap();
    assert_eq!(code, 200, "{said}");
    let lines = logged(&node, "another running node has this node's identity");
    assert!((1..=3).contains(&lines.len()), "{lines:?}");
}

/// Any node says of each other what it runs and how busy it is, from the status in each beat.
#[tokio::test]
async fn any_node_knows_the_status_of_the_others() {
    let cluster = Cluster::start(3).await;
    let room = http::create_room(cluster[1].http).await;
    let _ann = harness::Client::join(cluster[1].http, &room, "Ann").await;
    eventually(PATIENCE, "both other nodes are described", async || {
        let status = cluster[0].status().await?;
        let peers = status["peers"].as_array().cloned().unwrap_or_default();
        let mut sessions: Vec<_> = peers.iter().map(|peer| peer["sessions"].as_u64()).collect();
        sessions.sort_unstable();
        let known = |peer: &serde_json::Value| {
            peer["wire"] == "starling/2"
                && peer["version"] == status["version"]
                && peer["free_bytes"].as_u64() > Some(0)
        };
        if sessions == [Some(0), Some(1)] && peers.iter().all(known) {
            Ok(())
        } else {
            Err(format!("{status:#}"))
        }
    })
    .await;
}
