//! Refusals of the live socket: who is not logged in, what cannot be read, what is too much.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use crate::live::befriend;
use harness::account::CHEAP_HASHES;
use harness::client::upgrade_with;
use harness::{Account, Cluster, Live, Node, PATIENCE, Refused};

async fn asks(node: SocketAddr, query: &str, headers: &[(&str, &str)]) -> Result<Option<String>, Refused> {
    let target = format!("/api/v1/live{query}");
    let (_, answer) = upgrade_with(node, &target, headers, None).await?;
    Ok(answer.header("sec-websocket-protocol").map(str::to_owned))
}

fn refused(status: u16, code: &str) -> Result<Option<String>, Refused> {
    Err(Refused { status, code: code.to_owned() })
}

#[tokio::test]
async fn only_who_is_logged_in_is_let_in_by_any_of_three_ways() {
    let node = Node::lone(&CHEAP_HASHES).await;
    let ann = Account::register(node.http, "ann").await;
    let bearer = format!("Bearer {}", ann.access);
    let pair = format!("starling.v1, bearer.{}", ann.access);
    let selected = Some("starling.v1".to_owned());
    let unauthenticated = refused(401, "unauthenticated");
    for (query, headers, answer) in [
        ("", vec![("authorization", bearer.as_str())], Ok(None)),
        ("", vec![("sec-websocket-protocol", pair.as_str())], Ok(selected)),
        ("", vec![], unauthenticated.clone()),
        ("", vec![("authorization", "Bearer x")], unauthenticated.clone()),
        ("", vec![("authorization", "Basic x")], unauthenticated.clone()),
        ("", vec![("sec-websocket-protocol", "starling.v1, bearer.x")], unauthenticated.clone()),
        ("", vec![("sec-websocket-protocol", "starling.v1")], unauthenticated.clone()),
        ("", vec![("cookie", "starling_session=x")], unauthenticated),
        (
            "",
            vec![("cookie", "starling_session=x"), ("origin", "https://evil.example")],
            refused(403, "forbidden"),
        ),
        ("?after=x", vec![("authorization", bearer.as_str())], refused(400, "bad_request")),
        ("?more=1", vec![("authorization", bearer.as_str())], refused(400, "bad_request")),
    ] {
        assert_eq!(asks(node.http, query, &headers).await, answer, "{query} {headers:?}");
    }
    let answer = ann.call(node.http, "GET", "/live", None).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "bad_request"), "no upgrade was asked for");
}

#[tokio::test]
async fn bad_frames_are_refused_one_by_one_and_only_what_is_too_large_ends_the_socket() {
    let cluster = Cluster::start_with(1, &CHEAP_HASHES).await;
    let node = cluster[0].http;
    let (ann, bob) = (Account::register(node, "ann").await, Account::register(node, "bob").await);
    let eve = Account::register(node, "eve").await;
    let room = befriend((&ann, node), (&bob, node)).await;
    let not_hers = befriend((&bob, node), (&eve, node)).await;
    let mut live = Live::join(node, &ann.access).await;
    let id = Uuid::new_v4().to_string();
    let send = |room: &str, more: Value| {
        let mut frame = json!({"type": "send", "id": id, "room_id": room, "body": "x"});
        frame.as_object_mut().expect("it is one").extend(more.as_object().expect("it is one").clone());
        frame
    };
    let nowhere = "0123456789abcdef";
    for (frame, code) in [
        (json!([]), "bad_request"),
        (json!("x"), "bad_request"),
        (json!({}), "bad_request"),
        (json!({"type": "dance"}), "bad_request"),
        (json!({"type": "ping", "more": 1}), "bad_request"),
        (send(&room, json!({"more": 1})), "bad_request"),
        (send(&room, json!({"body": 7})), "bad_request"),
        (send(&room, json!({"body": ""})), "invalid"),
        (send(&room, json!({"body": "x".repeat(8_001)})), "invalid"),
        (send(&room, json!({"id": "x"})), "invalid"),
        (send(&room, json!({"reply_to": "x"})), "not_found"),
        (send(&room, json!({"reply_to": Uuid::new_v4()})), "not_found"),
        (send(&room, json!({"file_ids": ["x"]})), "not_found"),
        (send(nowhere, json!({})), "not_found"),
        (send(&not_hers, json!({})), "not_found"),
        (send("", json!({})), "not_found"),
        (json!({"type": "typing", "room_id": not_hers}), "not_found"),
        (json!({"type": "typing", "room_id": nowhere}), "not_found"),
        (json!({"type": "read", "room_id": room, "message_id": id}), "not_found"),
        (json!({"type": "read", "room_id": not_hers, "message_id": id}), "not_found"),
    ] {
        live.send(frame.clone()).await;
        let error = live.until_type("error").await;
        assert_eq!(error["code"], code, "{frame}: {error}");
        // As it was given, even if it is no id.
        let given = if frame["type"] == "send" { frame["id"].clone() } else { Value::Null };
        assert_eq!(error["id"], given, "{frame}");
    }
    for raw in [Message::binary(vec![1]), Message::text("{"), Message::text("")] {
        live.send_raw(raw).await;
        assert_eq!(live.until_type("error").await["code"], "bad_request");
    }
    live.send(json!({"type": "ping"})).await;
    live.until_type("pong").await;
    live.post(&room, &"🐦".repeat(8_000)).await;
    live.send_raw(Message::text("x".repeat(128 * 1024 + 1))).await;
    assert_eq!(live.closes(PATIENCE).await, Some(1009));
}

#[tokio::test]
async fn messages_are_limited_by_session_and_by_account() {
    let mut args = CHEAP_HASHES.to_vec();
    args.extend(["--limit-messages-per-session", "4/h", "--limit-messages-per-account", "6/h"]);
    args.extend(["--limit-flooding-per-session", "3/h", "--limit-signals-per-session", "5/h"]);
    let cluster = Cluster::start_with(1, &args).await;
    let node = cluster[0].http;
    let (ann, bob) = (Account::register(node, "ann").await, Account::register(node, "bob").await);
    let room = befriend((&ann, node), (&bob, node)).await;
    let send = || json!({"type": "send", "id": Uuid::new_v4(), "room_id": room, "body": "x"});
    let refused = async |live: &mut Live| {
        let is_answer = |frame: &Value| match frame["type"].as_str() {
            Some("ack") => Some(Value::Null),
            Some("error") => Some(frame["code"].clone()),
            _ => None,
        };
        live.until("an answer", is_answer).await
    };
    let second = Account::login(node, "ann").await;
    let (mut one, mut two) = (Live::join(node, &ann.access).await, Live::join(node, &ann.access).await);
    let mut three = Live::join(node, &second.access).await;
    // Two sockets of one session share its limit, two sessions of one account share that of the account.
    for (nth, (live, passes)) in
        [(0, true), (1, true), (0, true), (1, true), (0, false), (1, false), (2, true), (2, true), (2, false)]
            .into_iter()
            .enumerate()
    {
        let live = [&mut one, &mut two, &mut three].into_iter().nth(live).expect("there are three");
        live.send(send()).await;
        let code = refused(live).await;
        assert_eq!(code, if passes { Value::Null } else { json!("rate_limited") }, "post {nth}");
    }
    // Who goes on all the same is shown the door; typing counts for itself.
    for _ in 0..5 {
        two.send(json!({"type": "typing", "room_id": room})).await;
    }
    for _ in 0..3 {
        two.send(json!({"type": "ping"})).await;
    }
    assert_eq!(two.closes(PATIENCE).await, Some(4003));
    let mut of_bob = Live::join(node, &bob.access).await;
    of_bob.send(send()).await;
    assert_eq!(refused(&mut of_bob).await, Value::Null, "others notice nothing");
}
