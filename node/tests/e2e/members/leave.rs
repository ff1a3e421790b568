//! `starling leave`.

use std::collections::BTreeSet;

use harness::http::{create_room, list_all};
use harness::{Client, Cluster, Node, PATIENCE, eventually};
use tokio::task::JoinSet;

use super::{has_all, leave, lists_those_that_live};

/// A message is posted until an ack: what a node that leaves has acked is on those that stay.
#[tokio::test]
async fn a_node_leaves_under_posts_and_nothing_acked_is_lost() {
    let mut cluster = Cluster::start(3).await;
    let room = create_room(cluster[0].http).await;
    let mut writers = JoinSet::new();
    for number in 0..3 {
        let mut client = Client::join(cluster[number].http, &room, &format!("Writer {number}")).await;
        let stop_after = if number == 2 { usize::MAX } else { 150 };
        writers.spawn(async move {
            let mut acked = BTreeSet::new();
            for turn in 0..stop_after {
                let body = format!("{number}: {turn}");
                let posting = tokio::spawn(async move { (client.post(&body).await, client, body) });
                // The node says goodbye in the middle of a post: nobody was told that this one is durable.
                let Ok((_, back, body)) = posting.await else { break };
                client = back;
                acked.insert(body);
            }
            acked
        });
    }
    let ended = leave(&cluster[2]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("has left the cluster: 2 nodes hold all its data"), "{ended:?}");
    assert_eq!(cluster[2].wait_exit().await.code(), Some(0));
    let acked: BTreeSet<_> = writers.join_all().await.into_iter().flatten().collect();
    for node in &cluster.nodes[..2] {
        let listed: Vec<_> = list_all(node.http, &room).await.into_iter().map(|posted| posted.body).collect();
        let once: BTreeSet<_> = listed.iter().cloned().collect();
        assert_eq!(once.len(), listed.len(), "none is listed twice");
        let lost: Vec<_> = acked.difference(&once).collect();
        assert!(lost.is_empty(), "acked and lost: {lost:?}");
    }
    lists_those_that_live(&cluster).await;
    // Started again, it is a new node, with what it had.
    cluster[2].restart().await;
    cluster.linked().await;
    lists_those_that_live(&cluster).await;
}

/// Nodes that leave don't count for each other: of four, two leave at once, and the two that stay hold everything.
#[tokio::test]
async fn two_nodes_leave_at_once() {
    let mut cluster = Cluster::start(4).await;
    let room = create_room(cluster[0].http).await;
    let mut said = BTreeSet::new();
    for number in 0..4 {
        let mut client = Client::join(cluster[number].http, &room, &format!("Guest {number}")).await;
        said.insert(client.post(&format!("said on {number}")).await.0.body);
    }
    // Neither is done before the other begins: what is new on them reaches nobody who stays.
    let pairs = [(2, 0), (2, 1), (3, 0), (3, 1)];
    for (leaver, stays) in pairs {
        cluster.cut(leaver, stays);
    }
    let both_leave = async {
        for number in [2, 3] {
            eventually(PATIENCE, "it leaves", async || {
                let status = cluster[number].status().await?;
                if status["leaving"].is_null() { Err(status.to_string()) } else { Ok(()) }
            })
            .await;
        }
        for (leaver, stays) in pairs {
            cluster.heal(leaver, stays);
        }
    };
    let (one, other, ()) = tokio::join!(leave(&cluster[2]), leave(&cluster[3]), both_leave);
    for ended in [one, other] {
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.stdout.contains(": 2 nodes hold all its data"), "{ended:?}");
    }
    for number in [2, 3] {
        assert_eq!(cluster[number].wait_exit().await.code(), Some(0));
    }
    lists_those_that_live(&cluster).await;
    for number in [0, 1] {
        has_all(&cluster[number], &room, &said).await;
    }
}

/// Where two at once would leave too few, at most one of them leaves.
#[tokio::test]
async fn two_of_three_do_not_both_leave() {
    let mut cluster = Cluster::start(3).await;
    let ended = tokio::join!(leave(&cluster[1]), leave(&cluster[2]));
    let left = [&ended.0, &ended.1].iter().filter(|ended| ended.code == Some(0)).count();
    assert!(left <= 1, "{ended:?}");
    for (number, ended) in [(1, &ended.0), (2, &ended.1)] {
        if ended.code == Some(0) {
            cluster[number].wait_exit().await;
        } else {
            assert!(ended.stderr.contains("1 node would remain"), "{ended:?}");
            // It goes on as before.
            cluster[number].wait_ready().await;
        }
    }
    cluster.linked().await;
    lists_those_that_live(&cluster).await;
}

/// Bad input: the only node, and one without which fewer nodes than `durability.copies` remain, stay.
#[tokio::test]
async fn a_node_does_not_leave_where_too_few_would_remain() {
    let mut lone = Node::lone(&[]).await;
    let mut pair = Cluster::start(2).await;
    for (node, words) in [
        (&mut lone, "starling: this node is the only one: nobody else holds its data"),
        (
            &mut pair[1],
            "starling: 1 node would remain, and durability.copies asks for 2: start another node first",
        ),
    ] {
        let ended = leave(node).await;
        assert_eq!(ended.code, Some(2), "{ended:?}");
        let lines: Vec<_> = ended.stderr.lines().collect();
        assert!(lines.len() == 1 && lines[0].starts_with(words), "{ended:?}");
        node.wait_ready().await;
    }
    assert_eq!(pair[1].stop().await, Some(0));
    pair[1].restart().await;
    pair.linked().await;
    lists_those_that_live(&pair).await;
}

/// Must show: scale-in by `leave`, ten times over, with new nodes joining: members listed are those that live.
#[tokio::test]
async fn ten_nodes_leave_and_ten_new_ones_join() {
    let mut cluster = Cluster::start(3).await;
    let room = create_room(cluster[0].http).await;
    let mut said = BTreeSet::new();
    for turn in 0..10 {
        let (leaving, staying) = (turn % 3, (turn + 1) % 3);
        let mut client = Client::join(cluster[leaving].http, &room, &format!("Guest {turn}")).await;
        said.insert(client.post(&format!("said in turn {turn}")).await.0.body);
        let ended = leave(&cluster[leaving]).await;
        assert_eq!(ended.code, Some(0), "turn {turn}: {ended:?}");
        cluster[leaving].wait_exit().await;
        lists_those_that_live(&cluster).await;
        // A new node takes its place.
        cluster[leaving].empty_disk();
        cluster[leaving].restart().await;
        cluster.linked().await;
        lists_those_that_live(&cluster).await;
        has_all(&cluster[staying], &room, &said).await;
    }
    for node in &cluster.nodes {
        has_all(node, &room, &said).await;
    }
}
