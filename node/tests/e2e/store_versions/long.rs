//! A migration that takes long, of a store that an earlier version has left.

use std::fs;
use std::sync::Arc;

use harness::process::{Ended, run, starling};
use harness::{Node, PATIENCE, eventually, http};
use redb::{Database, TableDefinition};
use serde_json::Value;
use starling_node::store::{Committer, Op, Store};
use starling_protocol::{
    Event, EventBody, EventDraft, GuestId, GuestName, Hlc, MessageId, MessagePosted, MessageText, NodeId,
    OriginId, QuickRoomCreated, RoomId, Scope, Sender, Seq,
};

const MESSAGES: u64 = 60_000;
const ROOM: RoomId = RoomId([7; 10]);

/// Fills a stopped node's store, and marks it as of version 7, whose views are all derived again.
fn leave_for_migration(node: &Node) {
    let file = node.data_dir().join("starling.redb");
    let store = Arc::new(Store::open_file(&file).unwrap());
    let mut committer = Committer::new(Arc::clone(&store), NodeId([7; 16]), 0).unwrap();
    let sender = Sender::Guest { id: GuestId([1; 16]), name: GuestName::parse("Ann").unwrap() };
    let event = |n: u64| {
        let body: EventBody = match n {
            1 => QuickRoomCreated { name: None }.into(),
            n => {
                let text = MessageText::parse(&format!("number {n}")).unwrap();
                MessagePosted::new(MessageId::from_u128(n.into()), sender.clone(), text).into()
            }
        };
        let origin = OriginId { node: NodeId([8; 16]), incarnation: 1 };
        Event::new(
            origin,
            Seq(n),
            Hlc::from_unix_ms(1_700_000_000_000 + n),
            EventDraft::new(Scope::room(ROOM), body),
        )
    };
    for begin in (1..=MESSAGES).step_by(2_000) {
        let events = (begin..begin + 2_000).map(event).collect();
        committer.commit(0, 1, &[Op::Received(events)]).unwrap();
    }
    drop((committer, store));
    let database = Database::open(file).unwrap();
    let transaction = database.begin_write().unwrap();
    let meta = TableDefinition::<&str, u64>::new("meta");
    transaction.open_table(meta).unwrap().insert("schema_version", 7).unwrap();
    transaction.commit().unwrap();
}

fn done(reason: &str) -> u64 {
    let (_, done) = reason.split_once(": ").unwrap_or_default();
    done.split(' ').next().and_then(|done| done.parse().ok()).unwrap_or(0)
}

/// Runs a command on the node's directory.
async fn command(node: &Node, name: &[&str]) -> Ended {
    let mut command = starling(name);
    command.arg("--data-dir").arg(node.data_dir());
    run(command).await
}

/// While a store is migrated, the node says how far it is and that it is not ready; killed, it goes on there.
#[tokio::test]
async fn a_long_migration_is_seen_and_goes_on_after_a_kill() {
    let mut node = Node::lone(&[]).await;
    assert_eq!(node.stop().await, Some(0));
    leave_for_migration(&node);
    node.start();
    let status = eventually(PATIENCE, "the migration is under way", async || {
        let status = node.status().await?;
        let reason = status["reasons"][0].as_str().unwrap_or_default().to_owned();
        if done(&reason) > MESSAGES / 5 { Ok(status) } else { Err(status.to_string()) }
    })
    .await;
    assert_eq!(status["state"], "migrating");
    let readiness = http::get(node.http, "/readyz").await.unwrap();
    assert_eq!((readiness.status, readiness.header("retry-after")), (503, Some("1")));
    let reason = readiness.json()["reasons"][0].as_str().unwrap().to_owned();
    assert!(reason.starts_with("migrating the store to this version: "), "{reason}");
    assert_eq!(http::get(node.http, "/livez").await.unwrap().status, 200);
    assert_eq!(http::get(node.http, "/").await.unwrap().status, 503);
    let refused = command(&node, &["user", "promote", "ann"]).await;
    assert!(refused.code == Some(2) && refused.stderr.contains("migrating the store"), "{refused:?}");
    let shown = command(&node, &["status"]).await;
    assert!(shown.stdout.contains("state     migrating"), "{shown:?}");
    node.kill9().await;
    let before = fs::read_to_string(node.beside("stderr")).unwrap().len();

    node.restart().await;
    let log = fs::read_to_string(node.beside("stderr")).unwrap();
    let lines = log[before..].lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let resumed =
        lines.filter(|line| line["message"].as_str().is_some_and(|text| text.contains("deriving views")));
    let first = resumed.map(|line| line["done"].as_u64().unwrap_or(0)).next();
    assert!(first > Some(MESSAGES / 5), "it began again: {first:?}");
    let (newest, _) = http::page(node.http, &ROOM.to_string(), None, 1).await.unwrap();
    assert_eq!(newest[0].body, format!("number {MESSAGES}"));
    let status = node.status().await.unwrap();
    assert_eq!(status["state"], "ready");
    let verified = command(&node, &["verify"]).await;
    assert_eq!(verified.code, Some(0), "{verified:?}");
    assert_eq!(node.stop().await, Some(0));
    assert!(!node.data_dir().join("control.sock").exists());
}
