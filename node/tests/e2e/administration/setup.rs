//! Promise: whoever reads the address that a start without an administrator prints makes the first one, and nobody else
//! by it, on whatever node.

use serde_json::json;

use harness::account::{CHEAP_HASHES, PASSWORD};
use harness::visitor::{Visitor, page, sent_to};
use harness::{Account, Cluster, Node, PATIENCE, eventually};

/// The path of the address that a node has printed since its last start.
pub(crate) async fn printed(node: &Node) -> String {
    eventually(PATIENCE, "the address is printed", async || {
        let text = std::fs::read_to_string(node.beside("stdout")).map_err(|error| error.to_string())?;
        let found = text.rsplit_once(&format!("http://{}/setup/", node.http));
        // A line that is written to its end.
        let code =
            found.and_then(|(_, rest)| rest.split_once('\n')).map(|(code, _)| format!("/setup/{code}"));
        code.ok_or(text)
    })
    .await
}

#[tokio::test]
async fn the_printed_address_makes_the_first_administrator_once() {
    let mut node = Node::lone(&CHEAP_HASHES).await;
    let address = printed(&node).await;
    // Somebody who only has an account does not close the door.
    Account::register(node.http, "bob").await;
    let mut ann = Visitor::at(node.http);
    assert!(page(&ann.get(&address).await, 200).contains("Create the first account"));
    let cut = &address[..address.len() - 1];
    let other: String = address["/setup/".len()..].chars().rev().collect();
    for wrong in [cut, "/setup/x", "/setup/%FF", "/setup/AAAAAAAAAAAAAAAAAAAAAA", &format!("/setup/{other}")]
    {
        let form = [("username", "eve"), ("password", PASSWORD)];
        page(&ann.get(wrong).await, 404);
        page(&ann.submit(wrong, &form).await, 404);
    }
    for (name, password, status) in
        [("ann", "short", 422), ("a b", PASSWORD, 422), ("bob", PASSWORD, 409), ("", "", 422)]
    {
        page(&ann.submit(&address, &[("username", name), ("password", password)]).await, status);
        assert_eq!(ann.cookie, None);
    }
    let form = [("username", "Ann"), ("display_name", " "), ("password", PASSWORD)];
    assert_eq!(sent_to(&ann.submit(&address, &form).await), "/");
    let (_, me) = ann.me().await;
    assert_eq!((&me["username"], &me["admin"]), (&json!("ann"), &json!(true)), "{me}");

    for target in [address.as_str(), "/setup/x"] {
        page(&Visitor::at(node.http).get(target).await, 404);
    }
    let form = [("username", "eve"), ("password", PASSWORD)];
    page(&Visitor::at(node.http).submit(&address, &form).await, 404);
    node.stop().await;
    std::fs::remove_file(node.beside("stdout")).expect("it has said something");
    node.restart().await;
    page(&Visitor::at(node.http).get(&address).await, 404);
    assert_eq!(ann.me().await.0, 200, "the session outlives its node");
    node.stop().await;
    let said = std::fs::read_to_string(node.beside("stdout")).expect("it says where it listens");
    assert!(!said.contains("/setup/"), "there is an administrator: {said}");
}

#[tokio::test]
async fn of_many_at_once_one_becomes_the_first() {
    let node = Node::lone(&CHEAP_HASHES).await;
    let address = printed(&node).await;
    let attempts = (0..8).map(|n| {
        let (address, mut visitor) = (address.clone(), Visitor::at(node.http));
        async move {
            let name = format!("ann{n}");
            visitor.submit(&address, &[("username", &name), ("password", PASSWORD)]).await.status
        }
    });
    let mut statuses = futures_util::future::join_all(attempts).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 404, 404, 404, 404, 404, 404, 404]);
}

#[tokio::test]
async fn of_many_at_once_on_two_nodes_one_becomes_the_first() {
    let cluster = Cluster::start_with(2, &CHEAP_HASHES).await;
    let address = printed(&cluster[0]).await;
    let attempts = (0..6).map(|n| {
        let (address, mut visitor) = (address.clone(), Visitor::at(cluster[n % 2].http));
        async move {
            let name = format!("ann{n}");
            visitor.submit(&address, &[("username", &name), ("password", PASSWORD)]).await.status
        }
    });
    let mut statuses = futures_util::future::join_all(attempts).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 404, 404, 404, 404, 404]);
}

#[tokio::test]
async fn the_address_is_the_same_on_every_node_and_ends_on_all() {
    let cluster = Cluster::start_with(2, &CHEAP_HASHES).await;
    let address = printed(&cluster[0]).await;
    assert_eq!(printed(&cluster[1]).await, address);
    let form = [("username", "ann"), ("password", PASSWORD)];
    assert_eq!(sent_to(&Visitor::at(cluster[1].http).submit(&address, &form).await), "/");
    page(&Visitor::at(cluster[0].http).get(&address).await, 404);
    let form = [("username", "eve"), ("password", PASSWORD)];
    page(&Visitor::at(cluster[0].http).submit(&address, &form).await, 404);
}
