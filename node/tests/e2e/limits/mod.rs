//! Keeps one client from taking everything: limits per real client, told by trusted proxies alone; refusal of foreign pages;
//! the end of a session that floods; a place for health where all connections are taken.

mod one_client;
mod pages;

use std::net::SocketAddr;

use harness::account::{Account, CHEAP_HASHES, PASSWORD, call};
use harness::http::{Answer, create_room, get, request};
use harness::{Client, Frame, Node};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

async fn create_for(node: SocketAddr, forwarded: &str) -> Answer {
    let headers = [("x-forwarded-for", forwarded)];
    request(node, "POST", "/create-room", &headers, b"").await.expect("create-room is answered")
}

/// Checks that exactly this number passes, and the next is refused as the contract says.
async fn check_exactly(node: SocketAddr, passes: usize, forwarded: &str) {
    for _ in 0..passes {
        assert_eq!(create_for(node, forwarded).await.status, 201, "{forwarded}");
    }
    let refused = create_for(node, forwarded).await;
    assert_eq!((refused.status, refused.code().as_str()), (429, "rate_limited"), "{forwarded}");
    let wait: u32 = refused.header("retry-after").and_then(|wait| wait.parse().ok()).expect("it says when");
    assert!((1..=1_200).contains(&wait), "3 an hour: {wait} s");
    assert!(refused.header("x-request-id").is_some());
}

#[tokio::test]
async fn rooms_are_limited_per_connection_where_no_proxy_is_trusted() {
    let node = Node::lone(&["--limit-rooms-per-address", "3/h"]).await;
    for stranger in ["192.0.2.1", "192.0.2.2", "2001:db8::1"] {
        assert_eq!(create_for(node.http, stranger).await.status, 201);
    }
    check_exactly(node.http, 0, "192.0.2.4").await;
}

#[tokio::test]
async fn rooms_are_limited_per_client_behind_a_trusted_proxy() {
    let args = ["--limit-rooms-per-address", "3/h", "--trusted-proxy", "127.0.0.0/8,10.0.0.0/8"];
    let node = Node::lone(&args).await;
    check_exactly(node.http, 3, "192.0.2.1").await;
    check_exactly(node.http, 3, "192.0.2.2, 10.1.2.3").await;
    // What a client writes itself changes nothing.
    check_exactly(node.http, 0, "192.0.2.99, 192.0.2.1").await;
    // A household has a whole network of IPv6.
    check_exactly(node.http, 3, "2001:db8:1:2::1").await;
    check_exactly(node.http, 0, "2001:db8:1:2:aaaa::7").await;
    check_exactly(node.http, 3, "2001:db8:1:3::1").await;
    let metrics = get(node.http, "/metrics").await.expect("an answer").text();
    assert!(metrics.contains("starling_rate_limited_total{limit=\"rooms_per_address\"} 6"), "{metrics}");
}

async fn log_in(node: SocketAddr, from: &str, password: &str) -> u16 {
    let headers = [("x-forwarded-for", from), ("content-type", "application/json")];
    let body = json!({"username": "alice", "password": password}).to_string();
    let answer = request(node, "POST", "/api/v1/login", &headers, body.as_bytes()).await;
    answer.expect("login is answered").status
}

#[tokio::test]
async fn nobody_shuts_another_out_of_his_account() {
    let limits = ["--limit-logins-per-account", "3/h", "--limit-logins-per-account-everywhere", "5/h"];
    let proxy = ["--trusted-proxy", "127.0.0.0/8"];
    let node = Node::lone(&[&CHEAP_HASHES[..], &limits[..], &proxy[..]].concat()).await;
    Account::register(node.http, "alice").await;
    for expected in [401, 401, 401, 429] {
        assert_eq!(log_in(node.http, "192.0.2.1", "a guess").await, expected);
    }
    assert_eq!(log_in(node.http, "192.0.2.1", PASSWORD).await, 429, "who guesses stays out");
    assert_eq!(log_in(node.http, "192.0.2.9", PASSWORD).await, 200, "from elsewhere she comes in");
    // Many guess together: from new addresses nobody comes in for a while, but she does from her own.
    for from in ["192.0.2.2", "192.0.2.3"] {
        assert_eq!(log_in(node.http, from, "a guess").await, 401);
    }
    assert_eq!(log_in(node.http, "192.0.2.4", PASSWORD).await, 429);
    assert_eq!(log_in(node.http, "192.0.2.9", PASSWORD).await, 200);
}

#[tokio::test]
async fn calls_are_limited_before_they_ask_anything_and_health_never_is() {
    let node = Node::lone(&["--limit-calls-per-address", "5/h"]).await;
    for call in 0..7 {
        let answer = get(node.http, "/room-exists?roomID=aaaaaaaaaaaaaaaa").await.expect("an answer");
        let expected = if call < 5 { (200, String::new()) } else { (429, "rate_limited".to_owned()) };
        assert_eq!((answer.status, answer.code()), expected, "call {call}");
    }
    for path in ["/livez", "/readyz", "/healthz", "/metrics"] {
        assert_eq!(get(node.http, path).await.expect("an answer").status, 200, "{path}");
    }
}

/// A block is kept whoever it is of: nobody makes them without end.
#[tokio::test]
async fn blocks_are_limited_for_each_account() {
    let node = Node::lone(&[&CHEAP_HASHES[..], &["--limit-blocks-per-account", "1/h"]].concat()).await;
    let ann = Account::register(node.http, "ann").await;
    let bob = Account::register(node.http, "bob").await;
    let eve = Account::register(node.http, "eve").await;
    let block = async |by: &Account, whom: &Account| {
        let target = format!("/contacts/{}/block", whom.id);
        call(node.http, "POST", &target, Some(&by.access), None).await.status
    };
    assert_eq!((block(&ann, &bob).await, block(&ann, &eve).await), (200, 429));
    assert_eq!(block(&bob, &eve).await, 200);
}

#[tokio::test]
async fn who_has_an_account_is_counted_by_it_and_not_by_the_address_that_he_shares() {
    let args = ["--limit-calls-per-address", "10/h", "--limit-calls-per-account", "30/h"];
    let node = Node::lone(&[&CHEAP_HASHES[..], &args].concat()).await;
    let ann = Account::register(node.http, "ann").await;
    for call in 0..30 {
        assert_eq!(ann.status(node.http).await, 200, "call {call}");
    }
    assert_eq!(ann.call(node.http, "GET", "/me", None).await.code(), "rate_limited");
    // Her registration and what was refused count under the address.
    for call in 0..9 {
        let answer = get(node.http, "/room-exists?roomID=aaaaaaaaaaaaaaaa").await.expect("an answer");
        assert_eq!(answer.status, if call < 8 { 200 } else { 429 }, "call {call}");
    }
}

#[tokio::test]
async fn who_floods_is_refused_then_closed_and_nobody_else_notices() {
    let args = ["--limit-messages-per-session", "20/h", "--limit-flooding-per-session", "30/h"];
    let node = Node::lone(&args).await;
    let room = create_room(node.http).await;
    let mut bob = Client::join(node.http, &room, "Bob").await;
    let mut ann = Client::join(node.http, &room, "Ann").await;
    for number in 0..20 {
        ann.post(&number.to_string()).await;
    }
    for _ in 0..30 {
        let id = Uuid::new_v4().to_string();
        assert_eq!(ann.resend(&id, "too many").await, Err("rate_limited".to_owned()));
    }
    // A frame that cannot be read counts as well.
    ann.send_raw(Message::binary(vec![1])).await;
    let refused =
        |frame: &Frame| matches!(frame, Frame::Error { code, .. } if code == "rate_limited").then_some(());
    ann.until("a refusal of what cannot be read", refused).await;
    assert_eq!(ann.until_closed().await, Some(4003));
    bob.post("unharmed").await;
    assert!(bob.bodies().contains(&"19"));
}
