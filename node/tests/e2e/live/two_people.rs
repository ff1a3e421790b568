//! The mission in one story: two people find each other, talk and part, each step on a different one of three nodes.

use std::time::Duration;

use serde_json::{Value, json};

use harness::account::{CHEAP_HASHES, PASSWORD, call};
use harness::{Account, Cluster, Live, PATIENCE, eventually, same};

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story, told in its order")]
async fn two_people_from_registration_to_logout_each_step_on_a_different_node() {
    let cluster = Cluster::start_with(3, &CHEAP_HASHES).await;
    let [a, b, c] = [0, 1, 2].map(|node| cluster[node].http);

    // A user registers on one node, logs in on another, and is the same user on the third.
    Account::register(a, "ann").await;
    let bob = Account::register(b, "bob").await;
    let ann = Account::login(c, "Ann").await;
    assert_eq!(ann.expect(b, "GET", "/me", Value::Null, 200).await["username"], "ann");
    let mut at_b = Live::join(b, &ann.access).await;
    let mut at_a = Live::join(a, &bob.access).await;

    // Search finds them by the beginning of their name, and not by less than two letters.
    let found = ann.expect(a, "GET", "/users?q=bo", Value::Null, 200).await;
    assert_eq!(found["items"].as_array().map(Vec::len), Some(1), "{found}");
    assert_eq!(found["items"][0]["id"], bob.id.as_str());
    ann.expect(b, "GET", "/users?q=b", Value::Null, 422).await;
    let further = ann.expect(a, "GET", "/users?q=bo&cursor=1", Value::Null, 200).await;
    assert_eq!((&further["items"], &further["next"]), (&json!([]), &Value::Null), "it is a list by pages");

    // A request and its approval; nobody writes before.
    ann.expect(a, "POST", "/direct", json!({"user_id": bob.id}), 403).await;
    ann.expect(c, "POST", "/contacts", json!({"username": "BOB"}), 201).await;
    let told = at_a.until_type("contact").await;
    assert_eq!(
        (&told["contact"]["state"], &told["contact"]["user"]["username"]),
        (&json!("incoming"), &json!("ann"))
    );
    let asked = bob.expect(b, "GET", "/contacts?state=incoming", Value::Null, 200).await;
    assert_eq!(asked["items"][0]["user"]["id"], ann.id.as_str());
    assert_eq!(asked["items"][0]["user"]["presence"], Value::Null, "a stranger is not shown to be here");
    bob.expect(c, "POST", &format!("/contacts/{}/accept", ann.id), Value::Null, 200).await;
    at_b.until("that they accepted", |frame| (frame["contact"]["state"] == "accepted").then_some(())).await;
    let contacts = bob.expect(b, "GET", "/contacts", Value::Null, 200).await;
    assert_eq!(contacts["items"][0]["user"]["presence"], "online", "her socket is open: {contacts}");

    // One room of the two, whoever opens it and where.
    let room = ann.expect(a, "POST", "/direct", json!({"user_id": bob.id}), 201).await;
    let room = room["id"].as_str().expect("it has an id").to_owned();
    assert_eq!(bob.expect(b, "POST", "/direct", json!({"user_id": ann.id}), 200).await["id"], room.as_str());

    // They talk, over sockets and over HTTP.
    at_b.send(json!({"type": "typing", "room_id": room})).await;
    assert_eq!(at_a.until_type("typing").await["user"]["id"], ann.id.as_str());
    let hello = at_b.post(&room, "hello").await;
    let shown = at_a.until_message("hello").await;
    assert_eq!((&shown["sender"]["username"], &shown["sender"]["guest"]), (&json!("ann"), &json!(false)));
    let unread = async |who: &Account, node| {
        let rooms = who.expect(node, "GET", "/rooms", Value::Null, 200).await;
        (rooms["items"][0]["unread"].clone(), rooms["items"][0]["peer"]["username"].clone())
    };
    eventually(PATIENCE, "the message is on the third node", async || match unread(&bob, c).await {
        (unread, peer) if unread == 1 && peer == "ann" => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    bob.expect(b, "PUT", &format!("/rooms/{room}/read"), json!({"message_id": hello}), 204).await;
    assert_eq!(at_b.until_type("read").await["message_id"], hello.as_str());
    assert_eq!(unread(&bob, a).await.0, json!(0));
    let answer = json!({"body": "hello yourself", "reply_to": hello});
    let answer = bob.expect(c, "POST", &format!("/rooms/{room}/messages"), answer, 201).await;
    let id = answer["id"].as_str().expect("it has an id");
    assert_eq!(at_b.until_message("hello yourself").await["reply_to"], hello.as_str());

    // What is done to messages is seen on all nodes.
    ann.expect(c, "PUT", &format!("/messages/{id}/reactions/%F0%9F%91%8D"), Value::Null, 204).await;
    ann.expect(a, "PATCH", &format!("/messages/{hello}"), json!({"body": "hello, Bob"}), 200).await;
    at_a.until("the edit", |frame| (frame["message"]["body"] == "hello, Bob").then_some(())).await;
    bob.expect(b, "DELETE", &format!("/messages/{id}"), Value::Null, 204).await;
    at_b.until("the deletion", |frame| {
        (frame["type"] == "message_deleted" && frame["id"] == id).then_some(())
    })
    .await;
    for node in [a, b, c] {
        let page = ann.expect(node, "GET", &format!("/rooms/{room}/messages"), Value::Null, 200).await;
        let bodies: Vec<_> =
            page["items"].as_array().expect("a list").iter().map(|item| &item["body"]).collect();
        assert_eq!(bodies.last(), Some(&&json!("hello, Bob")), "{page}");
        assert!(!page.to_string().contains("hello yourself"), "what was deleted is gone: {page}");
    }

    // They leave and return on another node; nothing is missing.
    at_a.until_type("cursor").await;
    let cursor = at_a.cursor.clone();
    drop(at_a);
    at_b.until("that they are away", |frame| (frame["state"] == "offline").then_some(())).await;
    at_b.post(&room, "still there?").await;
    let mut at_c = Live::connect(c, &bob.access, Some(&cursor)).await.expect("they are let in");
    at_c.until_message("still there?").await;
    at_b.until("that they are here", |frame| (frame["state"] == "online").then_some(())).await;

    // They part: what ends on one node ends on all.
    ann.expect(c, "POST", "/logout", Value::Null, 204).await;
    assert_eq!(at_b.closes(Duration::from_secs(1)).await, Some(4001));
    eventually(Duration::from_secs(1), "her token is refused", async || same(&ann.status(a).await, &401))
        .await;
    at_c.until("that she is away", |frame| (frame["state"] == "offline").then_some(())).await;
    let refresh = json!({"refresh_token": bob.refresh});
    let bob = Account::of(&call(a, "POST", "/refresh", None, Some(refresh)).await, 200);
    bob.expect(b, "POST", "/logout?all=true", Value::Null, 204).await;
    assert_eq!(at_c.closes(Duration::from_secs(1)).await, Some(4001));
    let again = json!({"username": "bob", "password": PASSWORD});
    assert_eq!(call(c, "POST", "/login", None, Some(again)).await.status, 200, "they may come back");
}
