//! Two people see each other's messages, presence and typing.

use std::time::Duration;

use serde_json::{Value, json};

use crate::live::befriend;
use harness::account::CHEAP_HASHES;
use harness::{Account, Cluster, Live};

/// Promise 7.
const GHOSTS_END: Duration = Duration::from_secs(5);

fn of_user(frame: &Value, kind: &str, user: &str) -> bool {
    frame["type"] == kind && frame["user_id"] == user
}

#[tokio::test]
async fn two_people_meet_and_talk_each_on_another_node() {
    let cluster = Cluster::start_with(3, &CHEAP_HASHES).await;
    let [a, b, c] = [0, 1, 2].map(|node| cluster[node].http);
    let (ann, bob) = (Account::register(a, "ann").await, Account::register(b, "bob").await);
    let mut at_a = Live::join(a, &ann.access).await;
    let mut at_b = Live::join(b, &bob.access).await;
    let welcome = &at_a.welcome;
    assert_eq!(welcome["user"]["id"], ann.id.as_str());
    assert!(welcome["heartbeat_s"].as_u64() > Some(0) && !welcome["node"].is_null(), "{welcome}");
    assert_eq!(
        (&welcome["presence"], &welcome["public_urls"]),
        (&json!([]), &json!([])),
        "they are strangers"
    );

    ann.expect(c, "POST", "/contacts", json!({"username": "bob"}), 201).await;
    let contact = |frame: &Value, state: &str| {
        (frame["type"] == "contact" && frame["contact"]["state"] == state)
            .then(|| frame["contact"]["user"]["username"].clone())
    };
    assert_eq!(at_b.until("the request", |frame| contact(frame, "incoming")).await, "ann");
    assert_eq!(at_a.until("that it was sent", |frame| contact(frame, "outgoing")).await, "bob");
    bob.expect(a, "POST", &format!("/contacts/{}/accept", ann.id), Value::Null, 200).await;
    for (live, other) in [(&mut at_a, &bob), (&mut at_b, &ann)] {
        live.until("that they are contacts", |frame| contact(frame, "accepted")).await;
        let online = |frame: &Value| {
            (frame["state"] == "online" && of_user(frame, "presence", &other.id)).then_some(())
        };
        live.until("that the other is here", online).await;
    }
    let room = ann.expect(b, "POST", "/direct", json!({"user_id": bob.id}), 201).await;
    let room = room["id"].as_str().expect("it has an id").to_owned();
    for (live, other) in [(&mut at_a, &bob), (&mut at_b, &ann)] {
        let joined = live.until_type("room").await;
        assert_eq!((&joined["change"], &joined["room"]["id"]), (&json!("joined"), &json!(room)));
        assert_eq!(joined["room"]["peer"]["id"], other.id.as_str());
    }

    at_b.send(json!({"type": "typing", "room_id": room})).await;
    let typing = at_a.until_type("typing").await;
    assert_eq!((&typing["room_id"], &typing["user"]["username"]), (&json!(room), &json!("bob")));
    let id = at_b.post(&room, "Hello, Ann").await;
    let message = at_a.until_message("Hello, Ann").await;
    assert_eq!((&message["id"], &message["room_id"]), (&json!(id), &json!(room)));
    assert_eq!(message["sender"]["id"], bob.id.as_str());
    at_a.send(json!({"type": "read", "room_id": room, "message_id": id})).await;
    for live in [&mut at_a, &mut at_b] {
        let read = live.until_type("read").await;
        assert_eq!((&read["user_id"], &read["message_id"]), (&json!(ann.id), &json!(id)));
    }
    // What is done over REST, anywhere, is told like the rest.
    bob.expect(c, "PATCH", &format!("/messages/{id}"), json!({"body": "Hello!"}), 200).await;
    let updated = at_a.until_type("message_updated").await;
    assert_eq!((&updated["message"]["id"], &updated["message"]["body"]), (&json!(id), &json!("Hello!")));
    bob.expect(a, "DELETE", &format!("/messages/{id}"), Value::Null, 204).await;
    let deleted = at_a.until_type("message_deleted").await;
    assert_eq!(deleted, json!({"type": "message_deleted", "room_id": room, "id": id}));
}

/// Promise 1: the ack says on how many nodes the post was durable.
#[tokio::test]
async fn an_ack_tells_the_copies_and_a_post_sent_again_is_the_same() {
    let cluster = Cluster::start_with(2, &CHEAP_HASHES).await;
    let [a, b] = [0, 1].map(|node| cluster[node].http);
    let (ann, bob) = (Account::register(a, "ann").await, Account::register(b, "bob").await);
    let room = befriend((&ann, a), (&bob, b)).await;
    let mut at_a = Live::join(a, &ann.access).await;
    let id = "00000000-0000-4000-8000-000000000001";
    let send = |body: &str| json!({"type": "send", "id": id, "room_id": room, "body": body});
    at_a.send(send("x")).await;
    let both = |frame: &Value| (frame["type"] == "ack" && frame["copies"] == 2).then(|| frame.clone());
    let ack = at_a.until("an ack of two nodes", both).await;
    let (mut at_b, _) = at_a.resume(b).await;
    at_b.send(send("x")).await;
    let again = at_b.until_type("ack").await;
    assert_eq!((&again["id"], &again["pos"], &again["at"]), (&ack["id"], &ack["pos"], &ack["at"]));
    at_b.send(send("y")).await;
    let refused = at_b.until_type("error").await;
    assert_eq!((&refused["code"], &refused["id"]), (&json!("id_reused"), &json!(id)));
    let page = bob.expect(a, "GET", &format!("/rooms/{room}/messages"), Value::Null, 200).await;
    assert_eq!(page["items"].as_array().map(Vec::len), Some(1), "{page}");
}

#[tokio::test]
async fn presence_follows_people_over_nodes_and_ends_with_theirs() {
    let mut cluster = Cluster::start_with(3, &CHEAP_HASHES).await;
    let [a, b, c] = [0, 1, 2].map(|node| cluster[node].http);
    let (ann, bob) = (Account::register(a, "ann").await, Account::register(b, "bob").await);
    befriend((&ann, a), (&bob, b)).await;
    let mut at_a = Live::join(a, &ann.access).await;
    let state = |state: &'static str| {
        let bob = bob.id.clone();
        move |frame: &Value| (of_user(frame, "presence", &bob) && frame["state"] == state).then_some(())
    };
    let at_b = Live::join(b, &bob.access).await;
    at_a.until("that Bob is here", state("online")).await;
    let online = json!([{"user_id": bob.id, "state": "online"}]);
    assert_eq!(Live::join(c, &ann.access).await.welcome["presence"], online);
    drop(at_b);
    at_a.until("that Bob has gone", state("offline")).await;
    let _at_b = Live::join(b, &bob.access).await;
    at_a.until("that Bob is back", state("online")).await;
    cluster[1].kill9().await;
    at_a.until_within(GHOSTS_END, "that Bob went offline with the node", state("offline")).await;
    let _at_c = Live::join(c, &bob.access).await;
    at_a.until("that Bob is elsewhere", state("online")).await;
}

#[tokio::test]
async fn who_is_no_contact_any_more_is_seen_neither_coming_nor_typing() {
    let cluster = Cluster::start_with(2, &CHEAP_HASHES).await;
    let [a, b] = [0, 1].map(|node| cluster[node].http);
    let (ann, bob) = (Account::register(a, "ann").await, Account::register(b, "bob").await);
    let room = befriend((&ann, a), (&bob, b)).await;
    let mut at_a = Live::join(a, &ann.access).await;
    ann.expect(a, "DELETE", &format!("/contacts/{}", bob.id), Value::Null, 204).await;
    at_a.until("that it is over", |frame| (frame["contact"]["state"] == "none").then_some(())).await;
    assert_eq!(Live::join(b, &bob.access).await.welcome["presence"], json!([]));
    let mut at_b = Live::join(b, &bob.access).await;
    at_a.send(json!({"type": "typing", "room_id": room})).await;
    at_a.send(json!({"type": "ping"})).await;
    at_a.until_type("pong").await;
    drop(at_a);
    Live::join(a, &ann.access).await;
    bob.expect(a, "POST", "/rooms", json!({"name": "hall", "visibility": "private"}), 201).await;
    let unasked = |frame: &Value| {
        assert!(!["typing", "presence"].iter().any(|kind| frame["type"] == *kind), "{frame}");
        (frame["room"]["name"] == "hall").then_some(())
    };
    at_b.until("what they did themselves after all that", unasked).await;
}

#[tokio::test]
async fn a_block_hides_both_from_each_other_and_ends_what_they_say() {
    let cluster = Cluster::start_with(2, &CHEAP_HASHES).await;
    let [a, b] = [0, 1].map(|node| cluster[node].http);
    let (ann, bob) = (Account::register(a, "ann").await, Account::register(b, "bob").await);
    let room = befriend((&ann, a), (&bob, b)).await;
    let (mut at_a, mut at_b) = (Live::join(a, &ann.access).await, Live::join(b, &bob.access).await);
    bob.expect(a, "POST", &format!("/contacts/{}/block", ann.id), Value::Null, 200).await;
    for (live, other) in [(&mut at_a, &bob.id), (&mut at_b, &ann.id)] {
        let gone =
            |frame: &Value| (of_user(frame, "presence", other) && frame["state"] == "offline").then_some(());
        live.until("that the other has gone", gone).await;
    }
    at_a.send(json!({"type": "typing", "room_id": room})).await;
    at_a.send(
        json!({"type": "send", "id": "00000000-0000-4000-8000-000000000001", "room_id": room, "body": "x"}),
    )
    .await;
    assert_eq!(at_a.until_type("error").await["code"], "not_contacts");
    assert_eq!(Live::join(a, &bob.access).await.welcome["presence"], json!([]));
    // Bob was sent nothing of it: the next frame is about Bob's own message.
    at_b.send(json!({"type": "ping"})).await;
    let unasked = |frame: &Value| {
        assert!(!["typing", "message"].iter().any(|kind| frame["type"] == *kind), "{frame}");
        (frame["type"] == "pong").then_some(())
    };
    at_b.until("the pong", unasked).await;
}
