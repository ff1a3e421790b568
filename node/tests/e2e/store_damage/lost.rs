//! Promises of 'When something breaks': a store that is missing or empty beside the identity of a node that had one is not
//! begun anew in silence: the start is refused, unless peers answer, who refill it, or `--fresh` is given.

use std::fs;

use serde_json::{Value, json};

use super::{Template, check_refusal};
use harness::process::{run, starling};
use harness::{Account, Cluster, Node, PATIENCE, eventually};

fn node_id(node: &Node) -> String {
    let text = fs::read_to_string(node.data_dir().join("node.json")).expect("there is an identity");
    let json: Value = serde_json::from_str(&text).expect("it is JSON");
    json["node"].as_str().expect("it names the node").to_owned()
}

#[tokio::test]
async fn a_lost_store_is_only_begun_anew_when_told_to() {
    let template = Template::new(1).await;
    let mut node = template.copy("lost");
    let store = node.data_dir().join("starling.redb");
    let sound = fs::read(&store).expect("there is a store");
    let words = ["starling.redb", "missing or empty", "restore the file", "--fresh"];
    for empty in [false, true] {
        if empty {
            fs::write(&store, "").expect("a file can be written");
        } else {
            fs::remove_file(&store).expect("it can be removed");
        }
        check_refusal(&run(node.command()).await, &words).expect("it is refused");
        let mut verify = starling(&["verify", "--data-dir"]);
        verify.arg(node.data_dir());
        check_refusal(&run(verify).await, &[]).expect("there is nothing to be checked");
    }
    // With the file back all is there.
    fs::write(&store, sound).expect("a file can be written");
    node.restart().await;
    assert_eq!(template.ann.status(node.http).await, 200);
    assert_eq!(node.stop().await, Some(0));
    let mut fresh = node.command();
    fresh.arg("--fresh");
    check_refusal(&run(fresh).await, &["--fresh", "exists"]).expect("nothing is lost");
    // Or another node begins with nothing.
    let before = node_id(&node);
    fs::remove_file(&store).expect("it can be removed");
    node.add_args(&["--fresh"]);
    node.restart().await;
    assert_ne!(node_id(&node), before);
    assert!(fs::read_to_string(node.data_dir().join("node.json.old")).expect("it is kept").contains(&before));
    assert_eq!(template.ann.status(node.http).await, 401);
    Account::register(node.http, "bob").await;
    assert_eq!(node.stop().await, Some(0));
}

/// A start that was cut short before it made its store is no loss.
#[tokio::test]
async fn a_node_that_never_had_a_store_makes_one() {
    let mut node = Node::lone(&[]).await;
    assert_eq!(node.stop().await, Some(0));
    let file = node.data_dir().join("node.json");
    let text = fs::read_to_string(&file).expect("there is an identity");
    assert!(text.contains("\"store_made\": true"), "{text}");
    fs::write(&file, text.replace("\"store_made\": true", "\"store_made\": false"))
        .expect("it can be written");
    fs::remove_file(node.data_dir().join("starling.redb")).expect("it can be removed");
    node.restart().await;
    assert_eq!(node.stop().await, Some(0));
}

#[tokio::test]
async fn a_lost_store_is_refilled_by_peers_and_a_damaged_list_of_members_is_a_warning() {
    let mut cluster = Cluster::start_with(2, &super::CHEAP_HASHES).await;
    let ann = Account::register(cluster[0].http, "ann").await;
    let body = json!({ "name": "den", "visibility": "private" });
    let made = ann.call(cluster[0].http, "POST", "/rooms", Some(body)).await.json();
    let messages = format!("/rooms/{}/messages", made["id"].as_str().expect("a room has an id"));
    for n in 0..20 {
        let said =
            ann.call(cluster[0].http, "POST", &messages, Some(json!({ "body": format!("{n}") }))).await;
        assert_eq!(said.status, 201, "{}", said.text());
    }
    let before = node_id(&cluster[1]);
    assert_eq!(cluster[1].stop().await, Some(0));
    fs::remove_file(cluster[1].data_dir().join("starling.redb")).expect("it can be removed");
    fs::write(cluster[1].data_dir().join("members.json"), "no list {").expect("it can be written");
    cluster[1].restart().await;
    assert!(super::said(&cluster[1]).contains("cannot read the known nodes"), "it says so");
    assert_eq!(node_id(&cluster[1]), before);
    let node = cluster[1].http;
    eventually(PATIENCE, "all messages are there again", async || {
        let listed = ann.call(node, "GET", &format!("{messages}?limit=100"), None).await.json();
        let count = listed["items"].as_array().map_or(0, Vec::len);
        if count == 20 { Ok(()) } else { Err(format!("{count}")) }
    })
    .await;
    // Where nobody answers, nobody refills it.
    assert_eq!(cluster[1].stop().await, Some(0));
    assert_eq!(cluster[0].stop().await, Some(0));
    fs::remove_file(cluster[1].data_dir().join("starling.redb")).expect("it can be removed");
    let words = ["missing or empty", "start another node of its cluster", "--fresh"];
    check_refusal(&run(cluster[1].command()).await, &words).expect("it is refused");
}
