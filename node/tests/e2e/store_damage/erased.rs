//! Deleted text is gone from the file, too: at the next start, and on a node that runs on within the time that is set.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::Template;
use harness::{Account, Node, PATIENCE, eventually};

const DELETED: usize = 200;

/// Counts the places of a text in a file.
fn copies(file: &Path, text: &str) -> usize {
    let bytes = fs::read(file).expect("there is a store");
    bytes.windows(text.len()).filter(|part| *part == text.as_bytes()).count()
}

/// Posts messages with a text in them, some of which are edited, and deletes all.
async fn delete_messages(node: &Node, ann: &Account, room: &str, text: &str) {
    for n in 0..DELETED {
        let body = json!({ "body": format!("{text} {n} {}", "x".repeat(n)) });
        let posted = ann.call(node.http, "POST", &format!("/rooms/{room}/messages"), Some(body)).await;
        assert_eq!(posted.status, 201, "{}", posted.text());
        let message = format!("/messages/{}", posted.json()["id"].as_str().expect("a message has an id"));
        if n % 5 == 0 {
            let body = json!({ "body": format!("{text} {n} edited") });
            assert_eq!(ann.call(node.http, "PATCH", &message, Some(body)).await.status, 200);
        }
        assert_eq!(ann.call(node.http, "DELETE", &message, None).await.status, 204);
    }
}

#[tokio::test]
async fn deleted_text_is_gone_after_the_next_start_and_soon_on_a_running_node() {
    let template = Template::new(100).await;
    let mut node = template.copy("erases");
    let store = node.data_dir().join("starling.redb");
    node.restart().await;
    delete_messages(&node, &template.ann, &template.room, "kept no longer").await;
    assert_eq!(node.stop().await, Some(0));
    let left = copies(&store, "kept no longer");
    assert!(left > 0, "free pages hold it until something is done about that");
    node.restart().await;
    eventually(PATIENCE, "it is gone after a start", async || match copies(&store, "kept no longer") {
        0 => Ok(()),
        left => Err(format!("{left} copies")),
    })
    .await;
    assert_eq!(copies(&store, "number 000007"), 1, "what was not deleted stays");
    assert_eq!(node.stop().await, Some(0));
    // As if a day had gone by. An account's data go as well.
    node.add_args(&["--storage-scrub-after-s", "1"]);
    node.restart().await;
    delete_messages(&node, &template.ann, &template.room, "gone while it runs").await;
    let name = json!({ "display_name": "Known as Annabel" });
    assert_eq!(template.ann.call(node.http, "PATCH", "/me", Some(name)).await.status, 200);
    let password = json!({ "password": harness::account::PASSWORD });
    assert_eq!(template.ann.call(node.http, "DELETE", "/me", Some(password)).await.status, 204);
    eventually(3 * PATIENCE, "it is gone while the node runs", async || {
        match ["gone while it runs", "Known as Annabel"].map(|text| copies(&store, text)) {
            [0, 0] => Ok(()),
            left => Err(format!("{left:?} copies")),
        }
    })
    .await;
    assert_eq!(node.stop().await, Some(0));
}
