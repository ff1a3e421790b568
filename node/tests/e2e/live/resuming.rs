//! Promise 3: a client that returns to any node gets exactly what it lacked, or is told to load afresh.

use serde_json::{Value, json};

use crate::live::befriend;
use harness::account::CHEAP_HASHES;
use harness::{Account, Cluster, Live};

/// A frame in short.
fn short(frame: &Value) -> String {
    let kind = frame["type"].as_str().expect("it has a type");
    let what = match kind {
        "message" | "message_updated" => &frame["message"]["body"],
        "message_deleted" => &frame["id"],
        "contact" => &frame["contact"]["state"],
        "room" => &frame["change"],
        "read" => &frame["user_id"],
        _ => &Value::Null,
    };
    format!("{kind} {}", what.as_str().unwrap_or_default())
}

fn sorted(frames: &[Value]) -> Vec<String> {
    let mut short: Vec<_> = frames.iter().map(short).collect();
    short.sort_unstable();
    short
}

#[tokio::test]
async fn who_comes_back_elsewhere_gets_what_he_lacked_of_every_kind() {
    let cluster = Cluster::start_with(3, &CHEAP_HASHES).await;
    let [a, b, c] = [0, 1, 2].map(|node| cluster[node].http);
    let (ann, bob) = (Account::register(a, "ann").await, Account::register(b, "bob").await);
    let eve = Account::register(c, "eve").await;
    let room = befriend((&ann, a), (&bob, b)).await;
    let mut at_a = Live::join(a, &ann.access).await;
    let old = at_a.post(&room, "old").await;
    let older = at_a.post(&room, "older").await;
    let mut at_b = Live::join(b, &bob.access).await;
    let seen = at_b.post(&room, "seen").await;
    at_a.post(&room, "seen, too").await;
    at_b.until_message("seen, too").await;
    at_b.until_type("cursor").await;
    let cursor = at_b.cursor.clone();
    drop(at_b);

    at_a.post(&room, "one").await;
    ann.expect(b, "PATCH", &format!("/messages/{old}"), json!({"body": "edited"}), 200).await;
    ann.expect(c, "DELETE", &format!("/messages/{older}"), Value::Null, 204).await;
    ann.expect(a, "PUT", &format!("/rooms/{room}/read"), json!({"message_id": seen}), 204).await;
    eve.expect(a, "POST", "/contacts", json!({"username": "bob"}), 201).await;
    at_a.post(&room, "two").await;
    let mut due = [
        "contact incoming".to_owned(),
        "message one".to_owned(),
        "message two".to_owned(),
        format!("message_deleted {older}"),
        "message_updated edited".to_owned(),
        format!("read {}", ann.id),
    ];
    due.sort_unstable();
    for node in [c, a] {
        let mut live = Live::connect(node, &bob.access, Some(&cursor)).await.expect("they are let in");
        assert_eq!(live.welcome["cursor"], cursor.as_str(), "the old one stands until all of it was sent");
        let replayed = live.replay().await;
        // The cursor lags behind what was sent: the last frames may come again.
        let mut told = sorted(&replayed);
        told.retain(|frame| !frame.starts_with("message seen"));
        assert_eq!(told, due, "{replayed:?}");
        let place = |body: &str| replayed.iter().position(|frame| short(frame) == format!("message {body}"));
        assert!(place("one") < place("two"), "in their order");
    }
    // And then nothing is missing on any node. How far the other has read is told every time.
    let (mut live, _) =
        Live::connect(c, &bob.access, Some(&cursor)).await.expect("they are let in").resume(b).await;
    at_a.post(&room, "after").await;
    live.until_message("after").await;
    live.until_type("cursor").await;
    let (_, rest) = live.resume(a).await;
    let again = ["message after".to_owned(), format!("read {}", ann.id)];
    assert!(rest.iter().all(|frame| again.contains(&short(frame))), "{rest:?}");
}

#[tokio::test]
async fn who_was_on_a_node_that_stops_or_dies_goes_on_elsewhere() {
    let mut cluster = Cluster::start_with(3, &CHEAP_HASHES).await;
    let [a, b, c] = [0, 1, 2].map(|node| cluster[node].http);
    let (ann, bob) = (Account::register(a, "ann").await, Account::register(b, "bob").await);
    let room = befriend((&ann, a), (&bob, b)).await;
    let mut at_a = Live::join(a, &ann.access).await;
    let mut at_b = Live::join(b, &bob.access).await;
    at_a.post(&room, "one").await;
    at_b.until_message("one").await;
    cluster[1].ask_to_stop();
    assert_eq!(at_b.closes(harness::PATIENCE).await, Some(1001));
    at_a.post(&room, "two").await;
    let (mut at_c, replayed) = at_b.resume(c).await;
    assert!(replayed.iter().any(|frame| short(frame) == "message two"), "{replayed:?}");
    at_a.post(&room, "three").await;
    at_c.until_message("three").await;
    assert_eq!(cluster[1].wait_exit().await.code(), Some(0));
    cluster[2].kill9().await;
    at_a.post(&room, "four").await;
    let (_, replayed) = at_c.resume(a).await;
    assert!(replayed.iter().any(|frame| short(frame) == "message four"), "{replayed:?}");
    assert!(replayed.iter().all(|frame| short(frame) != "message one"), "{replayed:?}");
}

#[tokio::test]
async fn a_cursor_of_somebody_else_or_of_nobody_leads_to_a_resync() {
    let cluster = Cluster::start_with(1, &CHEAP_HASHES).await;
    let node = cluster[0].http;
    let (ann, bob) = (Account::register(node, "ann").await, Account::register(node, "bob").await);
    befriend((&ann, node), (&bob, node)).await;
    // Stays open: the news that Ann went offline would come between the frames below.
    let anns = Live::join(node, &ann.access).await;
    for cursor in [anns.cursor.as_str(), "x", &"A".repeat(5_000), ""] {
        let mut live = Live::connect(node, &bob.access, Some(cursor)).await.expect("they are let in");
        let replayed = live.replay().await;
        let kinds: Vec<_> = replayed.iter().map(|frame| frame["type"].as_str().unwrap_or_default()).collect();
        assert_eq!(kinds, ["resync"], "{cursor}");
        assert_ne!(live.cursor, cursor);
    }
    // What a REST answer carries is a cursor like any other, of whoever asked.
    let answer = bob.call(node, "GET", "/me", None).await;
    let cursor = answer.header("x-starling-cursor").expect("it is carried").to_owned();
    let mut live = Live::connect(node, &bob.access, Some(&cursor)).await.expect("they are let in");
    assert_eq!(live.replay().await, Vec::<Value>::new());
}
