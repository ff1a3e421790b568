//! Members of a room learn who joins and leaves, what is posted, and what is unread, on any node.

use std::net::SocketAddr;

use serde_json::{Value, json};

use harness::account::CHEAP_HASHES;
use harness::{Account, Cluster, Live, PATIENCE, eventually, same};

/// Waits for a `room` frame with this change of this room; gives the room.
async fn room_is(live: &mut Live, room: &str, change: &str) -> Value {
    let is_it =
        |frame: &Value| frame["type"] == "room" && frame["change"] == change && frame["room"]["id"] == room;
    live.until(&format!("that the room is {change}"), |frame| is_it(frame).then(|| frame["room"].clone()))
        .await
}

async fn sees(live: &mut Live, who: &Account) {
    let online = |frame: &Value| {
        frame["type"] == "presence" && frame["user_id"] == who.id && frame["state"] == "online"
    };
    live.until(&format!("that {} is here", who.username), |frame| online(frame).then_some(())).await;
}

/// Waits until a node shows so many as unread.
async fn unread(who: &Account, nodes: &[SocketAddr], room: &str, expected: u64) {
    for &node in nodes {
        eventually(PATIENCE, "what is unread", async || {
            let room = who.expect(node, "GET", &format!("/rooms/{room}"), Value::Null, 200).await;
            same(&room["unread"], &json!(expected))
        })
        .await;
    }
}

#[tokio::test]
async fn members_see_each_other_come_talk_and_go_wherever_they_are() {
    let cluster = Cluster::start_with(3, &CHEAP_HASHES).await;
    let nodes = [0, 1, 2].map(|node| cluster[node].http);
    let [a, b, c] = nodes;
    let (ann, bob) = (Account::register(a, "ann").await, Account::register(b, "bob").await);
    let eve = Account::register(c, "eve").await;
    let mut of_ann = Live::join(a, &ann.access).await;
    let mut of_bob = Live::join(b, &bob.access).await;
    let mut of_eve = Live::join(c, &eve.access).await;
    let room = ann.expect(b, "POST", "/rooms", json!({"name": "Garden", "visibility": "public"}), 201).await;
    let room = room["id"].as_str().expect("it has an id").to_owned();
    assert_eq!(room_is(&mut of_ann, &room, "joined").await["role"], "owner");
    let join = format!("/rooms/{room}/join");
    bob.expect(c, "POST", &join, Value::Null, 200).await;
    assert_eq!(room_is(&mut of_bob, &room, "joined").await["name"], "Garden");
    sees(&mut of_bob, &ann).await;
    sees(&mut of_ann, &bob).await;
    eve.expect(a, "POST", &join, Value::Null, 200).await;
    room_is(&mut of_eve, &room, "joined").await;
    sees(&mut of_ann, &eve).await;
    sees(&mut of_bob, &eve).await;

    // What is unread is right on every node, and moves with what is read on any.
    let mut last = String::new();
    for n in 0..3 {
        last = of_ann.post(&room, &format!("ann {n}")).await;
        of_eve.post(&room, &format!("eve {n}")).await;
    }
    of_bob.until_message("ann 2").await;
    of_bob.until_type("cursor").await;
    unread(&bob, &nodes, &room, 6).await;
    let last_of_eve = of_eve.post(&room, "the last").await;
    let cursor = of_bob.cursor.clone();
    drop(of_bob);
    let mut of_bob = Live::connect(c, &bob.access, Some(&cursor)).await.expect("they are let in");
    of_bob.until_message("the last").await;
    of_bob.until_type("cursor").await;
    of_bob.send(json!({"type": "read", "room_id": room, "message_id": last_of_eve})).await;
    let read = of_bob.until_type("read").await;
    assert_eq!((&read["user_id"], &read["message_id"]), (&json!(bob.id), &json!(last_of_eve)));
    unread(&bob, &nodes, &room, 0).await;
    unread(&ann, &nodes, &room, 4).await;

    ann.expect(a, "PATCH", &format!("/rooms/{room}"), json!({"name": "Orchard"}), 200).await;
    for live in [&mut of_ann, &mut of_bob, &mut of_eve] {
        assert_eq!(room_is(live, &room, "updated").await["name"], "Orchard");
    }
    ann.expect(b, "DELETE", &format!("/rooms/{room}/members/{}", bob.id), Value::Null, 204).await;
    room_is(&mut of_bob, &room, "removed").await;
    of_ann.post(&room, "without Bob").await;
    of_bob.send(json!({"type": "send", "id": last, "room_id": room, "body": "x"})).await;
    let frame = |frame: &Value| {
        assert!(frame["type"] != "message", "they are not in the room any more: {frame}");
        (frame["type"] == "error").then(|| frame["code"].clone())
    };
    assert_eq!(of_bob.until("the refusal", frame).await, "not_found");

    // Eve hears of the room's end when she comes back.
    of_eve.until_message("without Bob").await;
    of_eve.until_type("cursor").await;
    let cursor = of_eve.cursor.clone();
    drop(of_eve);
    ann.expect(c, "DELETE", &format!("/rooms/{room}"), Value::Null, 204).await;
    room_is(&mut of_ann, &room, "removed").await;
    let mut of_eve = Live::connect(b, &eve.access, Some(&cursor)).await.expect("sthey are let in");
    room_is(&mut of_eve, &room, "removed").await;
    assert_eq!(of_eve.welcome["presence"], json!([]), "they have nothing in common any more");
}
