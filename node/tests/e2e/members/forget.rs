//! `starling cluster forget`.

use std::collections::BTreeSet;

use harness::http::create_room;
use harness::{Client, Cluster, Node, PATIENCE, eventually};

use super::{forget, has_all, id, lists_those_that_live};

/// Forgetting ends membership, never data: what only the forgotten node held comes with it when it joins again.
#[tokio::test]
async fn a_dead_node_is_forgotten_and_what_it_alone_held_comes_back_with_it() {
    let mut cluster = Cluster::start(3).await;
    let room = create_room(cluster[0].http).await;
    let dead = id(&cluster[2]).await;
    cluster.isolate(2);
    let mut client = Client::join(cluster[2].http, &room, "Alone").await;
    let mut said = BTreeSet::from([client.post("nobody else holds this").await.0.body]);
    cluster[2].kill9().await;
    cluster.rejoin(2);
    cluster.in_sync(0, 1).await;
    let refused = forget(&cluster[0], &dead, &[]).await;
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(
        refused.stderr.contains("stop it and try again in 1") && refused.stderr.contains("--force"),
        "{refused:?}"
    );
    let done = forget(&cluster[0], &dead, &["--force"]).await;
    assert_eq!((done.code, done.stdout.trim()), (Some(0), &*format!("{dead} is forgotten")), "{done:?}");
    let again = forget(&cluster[1], &dead, &[]).await;
    assert_eq!(again.stdout.trim(), format!("{dead} was forgotten already"), "{again:?}");
    lists_those_that_live(&cluster).await;
    // Nobody tells of it any more, not even a node that starts with an old list.
    cluster[1].stop().await;
    cluster[1].restart().await;
    cluster.linked().await;
    lists_those_that_live(&cluster).await;

    cluster[2].restart().await;
    cluster.linked().await;
    lists_those_that_live(&cluster).await;
    assert_ne!(id(&cluster[2]).await, dead);
    said.insert(Client::join(cluster[1].http, &room, "Other").await.post("and more").await.0.body);
    for node in &cluster.nodes {
        has_all(node, &room, &said).await;
    }
}

/// Bad input: a node that runs is not forgotten without `--force`. With it, it drains, and goes on under a new id with its
/// store, without anybody's help.
#[tokio::test]
async fn a_running_node_is_forgotten_only_by_force_and_joins_again() {
    let mut cluster = Cluster::start(3).await;
    let room = create_room(cluster[2].http).await;
    let mut client = Client::join(cluster[2].http, &room, "Guest").await;
    let said = BTreeSet::from([client.post("before").await.0.body]);
    let (running, process) = (id(&cluster[2]).await, cluster[2].pid());
    let refused = forget(&cluster[0], &running, &[]).await;
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("is running: this node or one of its peers hears it"), "{refused:?}");
    lists_those_that_live(&cluster).await;

    let done = forget(&cluster[0], &running, &["--force"]).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(client.until_closed().await, Some(1001), "its sessions are told to go elsewhere");
    let node = &cluster[2];
    eventually(PATIENCE * 2, "it has another id", async || {
        let now = node.status().await?["node"].as_str().unwrap().to_owned();
        if now == running { Err(now) } else { Ok(()) }
    })
    .await;
    assert_eq!(cluster[2].pid(), process);
    cluster[2].wait_ready().await;
    cluster.linked().await;
    lists_those_that_live(&cluster).await;
    for node in &cluster.nodes {
        has_all(node, &room, &said).await;
    }
}

/// Bad input: no cluster, no id, an id of nobody, one's own.
#[tokio::test]
async fn a_wrong_id_is_not_forgotten() {
    let lone = Node::lone(&[]).await;
    let pair = Cluster::start(2).await;
    let own = id(&pair[0]).await;
    let nobody = "00112233445566778899aabbccddeeff";
    for (on, node, words) in [
        (&lone, nobody, "belongs to no cluster"),
        (&pair[0], "nonsense", "is no id of a node: 'starling status' shows the ids"),
        (&pair[0], nobody, "there is no member 00112233445566778899aabbccddeeff"),
        (&pair[0], &own, "is this node: to remove it from the cluster, run 'starling leave'"),
    ] {
        let ended = forget(on, node, &["--force"]).await;
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.contains(words) && ended.stderr.lines().count() == 1, "{ended:?}");
    }
}
