//! The members of a cluster: nodes leave, are forgotten and come back, and nothing is lost. Each test names what it guards
//! (design, section 3, 'Membership').

mod forget;
mod leave;

use std::collections::BTreeSet;

use harness::http::list_all;
use harness::process::{Ended, run, starling};
use harness::{Cluster, Node, PATIENCE, eventually, same};

/// The id of a running node.
async fn id(node: &Node) -> String {
    node.status().await.unwrap()["node"].as_str().unwrap().to_owned()
}

/// Runs `starling leave` on a node.
async fn leave(node: &Node) -> Ended {
    let mut command = starling(&["leave", "--data-dir"]);
    command.arg(node.data_dir());
    run(command).await
}

/// Runs `starling cluster forget` on a node.
async fn forget(on: &Node, node: &str, more: &[&str]) -> Ended {
    let mut command = starling(&["cluster", "forget", node, "--data-dir"]);
    command.arg(on.data_dir()).args(more);
    run(command).await
}

/// Waits until the running nodes list each other as members, and nobody else.
async fn lists_those_that_live(cluster: &Cluster) {
    let running: Vec<_> = cluster.nodes.iter().filter(|node| node.is_running()).collect();
    let mut ids = BTreeSet::new();
    for node in &running {
        ids.insert(id(node).await);
    }
    for node in running {
        eventually(PATIENCE, "the members listed are those that live", async || {
            let status = node.status().await?;
            let listed = status["peers"].as_array().unwrap().iter().map(|peer| &peer["node"]);
            let listed = listed.chain([&status["node"]]).map(|id| id.as_str().unwrap().to_owned());
            same(&listed.collect::<BTreeSet<_>>(), &ids)
        })
        .await;
    }
}

/// Waits until a node lists exactly these texts in a room, each once.
async fn has_all(node: &Node, room: &str, expected: &BTreeSet<String>) {
    eventually(PATIENCE, "every message is listed", async || {
        let listed: Vec<_> = list_all(node.http, room).await.into_iter().map(|posted| posted.body).collect();
        same(&listed.len(), &expected.len())?;
        same(&listed.into_iter().collect(), expected)
    })
    .await;
}
