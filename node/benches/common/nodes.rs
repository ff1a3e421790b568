//! Nodes of one cluster on loopback, linked directly: proxies would be measured too.

use std::net::SocketAddr;

use harness::cluster::new_secret;
use harness::process::{NO_MESSAGE_LIMITS, free_port};
use harness::{Node, PATIENCE, eventually, http, same};

/// Starts `count` nodes and waits until each is ready and in sync with all others.
pub async fn start(count: usize) -> Vec<Node> {
    let secret = new_secret().await;
    let links: Vec<_> = (0..count).map(|_| SocketAddr::from(([127, 0, 0, 1], free_port()))).collect();
    let mut nodes = Vec::new();
    for (name, link) in ('A'..).zip(&links) {
        // What is measured is the node, not its limits.
        let mut node = Node::new(&name.to_string(), &NO_MESSAGE_LIMITS);
        node.add_args(&["--cluster-secret", &secret]);
        node.add_args(&["--cluster-listen", &link.to_string()]);
        for other in links.iter().filter(|&other| other != link) {
            node.add_args(&["--join", &other.to_string()]);
        }
        node.start();
        nodes.push(node);
    }
    for node in &mut nodes {
        node.wait_ready().await;
    }
    in_sync(&nodes).await;
    nodes
}

/// Waits until each running node is in sync with all others that run.
pub async fn in_sync(nodes: &[Node]) {
    let running: Vec<_> = nodes.iter().filter(|node| node.is_running()).collect();
    for node in &running {
        eventually(PATIENCE, &format!("{} is in sync with the others", node.name), async || {
            let metrics = http::get(node.http, "/metrics").await.map_err(|error| error.to_string())?;
            let metrics = metrics.text();
            let peers = metrics.lines().filter(|line| line.starts_with("starling_peer_in_sync"));
            same(&peers.filter(|line| line.ends_with(" 1")).count(), &(running.len() - 1))
        })
        .await;
    }
}
