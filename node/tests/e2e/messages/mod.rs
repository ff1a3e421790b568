//! Messages of member rooms over REST, on three real nodes: each step on another one.

mod seeded;

use std::net::SocketAddr;

use harness::http::{self, Answer};
use harness::{Cluster, PATIENCE, eventually};
use seeded::{Person, Seed, seed};
use serde_json::{Value, json};
use uuid::Uuid;

impl Person {
    async fn ask(&self, node: SocketAddr, method: &str, target: &str, body: &Value) -> Answer {
        send(node, method, target, Some(&self.token), body).await
    }

    /// Asks, and expects this status.
    async fn does(&self, node: SocketAddr, method: &str, target: &str, body: &Value, status: u16) -> Value {
        let answer = self.ask(node, method, target, body).await;
        assert_eq!(answer.status, status, "{method} {target} {body}: {}", answer.text());
        answer.json()
    }

    /// All messages of a room, page by page, the newest first.
    async fn list(&self, node: SocketAddr, room: &str) -> Vec<Value> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let target = format!("/api/v1/rooms/{room}/messages?limit=3{cursor}");
            let page = self.does(node, "GET", &target, &Value::Null, 200).await;
            all.extend(page["items"].as_array().unwrap().iter().cloned());
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return all,
            }
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

async fn send(node: SocketAddr, method: &str, target: &str, token: Option<&str>, body: &Value) -> Answer {
    let bearer = format!("Bearer {}", token.unwrap_or_default());
    let mut headers = Vec::new();
    if token.is_some() {
        headers.push(("authorization", bearer.as_str()));
    }
    let body = if body.is_null() { String::new() } else { body.to_string() };
    if !body.is_empty() {
        headers.push(("content-type", "application/json"));
    }
    http::request(node, method, target, &headers, body.as_bytes()).await.unwrap()
}

/// Starts this number of nodes, all of which know the people.
async fn with_people(count: usize, names: &[&str]) -> (Cluster, Seed) {
    let mut cluster = Cluster::start(count).await;
    cluster[0].stop().await;
    let seeded = seed(&cluster[0], names);
    cluster[0].start();
    cluster[0].wait_ready().await;
    cluster.linked().await;
    (cluster, seeded)
}

/// Promises 2 and 5: what is posted anywhere is listed everywhere once, in one order, with all that is done to it.
#[tokio::test]
async fn a_message_and_what_is_done_to_it_show_alike_on_all_nodes() {
    let (cluster, Seed { people, room }) = with_people(3, &["ann", "bob", "carol", "stranger"]).await;
    let [ann, bob, carol, _] = &people[..] else { unreachable!() };
    let messages = format!("/api/v1/rooms/{room}/messages");
    let [a, b, c] = [0, 1, 2].map(|n| cluster[n].http);
    let id = Uuid::new_v4().to_string();
    let question = bob.does(b, "POST", &messages, &json!({ "id": id, "body": "Where, @ann?" }), 201).await;
    assert_eq!((text(&question["id"]), text(&question["sender"]["username"])), (id.clone(), "bob".into()));
    eventually(PATIENCE, "everybody has the question", async || {
        for node in [a, c] {
            if carol.list(node, &room).await.is_empty() {
                return Err(format!("{node} has not"));
            }
        }
        Ok(())
    })
    .await;
    let again = bob.does(c, "POST", &messages, &json!({ "id": id, "body": "Where, @ann?" }), 200).await;
    assert_eq!(again, question);
    let other = bob.does(c, "POST", &messages, &json!({ "id": id, "body": "other" }), 409).await;
    assert_eq!(other["code"], "id_reused");
    let answer = json!({ "body": "Hear!", "reply_to": id });
    let answer = text(&ann.does(a, "POST", &messages, &answer, 201).await["id"]);
    for n in 0..7 {
        carol.does([a, b, c][n % 3], "POST", &messages, &json!({ "body": format!("{n}") }), 201).await;
    }
    // Writes are on every node in sync when they are answered.
    let edited = format!("/api/v1/messages/{answer}");
    ann.does(b, "PATCH", &edited, &json!({ "body": "Here!" }), 200).await;
    let thumb = format!("{edited}/reactions/%F0%9F%91%8D");
    bob.does(c, "PUT", &thumb, &Value::Null, 204).await;
    carol.does(a, "PUT", &thumb, &Value::Null, 204).await;
    carol.does(b, "DELETE", &thumb, &Value::Null, 204).await;
    let shown = carol.does(c, "GET", &edited, &Value::Null, 200).await;
    assert_eq!((&shown["body"], &shown["reply_to"]), (&json!("Here!"), &json!(id)));
    assert_eq!(shown["reactions"], json!({ "👍": [bob.id] }));
    assert!(shown["edited_at"].is_string());
    assert_eq!(carol.does(a, "DELETE", &edited, &Value::Null, 403).await["code"], "forbidden");
    ann.does(b, "DELETE", &format!("/api/v1/messages/{id}"), &Value::Null, 204).await;
    let read = format!("/api/v1/rooms/{room}/read");
    carol.does(c, "PUT", &read, &json!({ "message_id": answer }), 204).await;
    let listed = ann.list(a, &room).await;
    assert_eq!(listed.len(), 9);
    let stub = listed.last().unwrap();
    assert_eq!((&stub["deleted"], &stub["body"]), (&json!(true), &json!("")));
    for node in [b, c] {
        assert_eq!(bob.list(node, &room).await, listed);
    }
}

/// No 500 may be provoked, and what one may not know of is not there.
#[tokio::test]
async fn bad_requests_are_refused_by_their_kind() {
    let (cluster, Seed { people, room }) = with_people(1, &["ann", "eve"]).await;
    let (node, ann, eve) = (cluster[0].http, &people[0], &people[1]);
    let messages = format!("/api/v1/rooms/{room}/messages");
    let id = text(&ann.does(node, "POST", &messages, &json!({ "body": "x" }), 201).await["id"]);
    let message = format!("/api/v1/messages/{id}");
    let unknown = format!("/api/v1/messages/{}", Uuid::new_v4());
    let elsewhere = "/api/v1/rooms/0123456789abcdef/messages";
    let thumb = |message: &str| format!("{message}/reactions/%F0%9F%91%8D");
    let (x, null) = (json!({ "body": "x" }), Value::Null);
    for (target, method, body, status, code) in [
        (messages.as_str(), "POST", &json!({ "body": "" }), 422, "invalid"),
        (&messages, "POST", &json!({ "body": "x".repeat(8_001) }), 422, "invalid"),
        (&messages, "POST", &json!({ "body": "x", "id": "x" }), 422, "invalid"),
        (&messages, "POST", &json!({ "body": "x", "reply_to": "x" }), 422, "invalid"),
        (&messages, "POST", &json!({ "body": "x", "file_ids": ["x"] }), 422, "invalid"),
        (&messages, "POST", &json!({ "body": "x", "reply_to": Uuid::new_v4() }), 404, "not_found"),
        (&messages, "POST", &json!({ "body": 7 }), 400, "bad_request"),
        (&messages, "POST", &json!({ "body": "x", "more": 1 }), 400, "bad_request"),
        (&messages, "POST", &json!(["x"]), 400, "bad_request"),
        (&messages, "POST", &json!({ "body": "x".repeat(140_000) }), 413, "too_large"),
        (elsewhere, "POST", &x, 404, "not_found"),
        ("/api/v1/rooms/x/messages", "GET", &null, 404, "not_found"),
        (&format!("{messages}?limit=0"), "GET", &null, 400, "bad_request"),
        (&format!("{messages}?before=x"), "GET", &null, 400, "bad_request"),
        (&format!("{messages}?cursor=x"), "GET", &null, 400, "bad_request"),
        (&format!("{messages}?around={}", Uuid::new_v4()), "GET", &null, 404, "not_found"),
        (&unknown, "GET", &null, 404, "not_found"),
        ("/api/v1/messages/x", "GET", &null, 404, "not_found"),
        (&unknown, "PATCH", &x, 404, "not_found"),
        (&unknown, "DELETE", &null, 404, "not_found"),
        (&thumb(&unknown), "PUT", &null, 404, "not_found"),
        (&format!("{message}/reactions/%00"), "PUT", &null, 404, "not_found"),
        (&format!("{message}/reactions/%ff"), "PUT", &null, 404, "not_found"),
        (&format!("/api/v1/rooms/{room}/read"), "PUT", &json!({ "message_id": "x" }), 422, "invalid"),
    ] {
        let refused = ann.does(node, method, target, body, status).await;
        assert_eq!(refused["code"], code, "{method} {target}");
    }
    // Somebody else's ids are as unknown as those of nothing; nobody's need not even be looked up.
    for (target, method, body) in [
        (messages.as_str(), "GET", &null),
        (&messages, "POST", &x),
        (&message, "GET", &null),
        (&message, "PATCH", &x),
        (&message, "DELETE", &null),
        (&thumb(&message), "PUT", &null),
        (&thumb(&message), "DELETE", &null),
        (&format!("/api/v1/rooms/{room}/read"), "PUT", &json!({ "message_id": id })),
    ] {
        assert_eq!(eve.does(node, method, target, body, 404).await["code"], "not_found");
        let nobody = send(node, method, target, None, body).await;
        assert_eq!((nobody.status, nobody.code()), (401, "unauthenticated".to_owned()), "{method} {target}");
    }
    let plain = [("authorization", &*format!("Bearer {}", ann.token)), ("content-type", "text/plain")];
    let refused = http::request(node, "POST", &messages, &plain, b"x").await.unwrap();
    assert_eq!(refused.code(), "unsupported_media_type");
    assert_eq!(ann.list(node, &room).await.len(), 1);
}
