//! One client against all: what a network, a room, an account and a session may take of a node.

use std::net::SocketAddr;

use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::{Frame as RawFrame, coding};
use uuid::Uuid;

use harness::account::{Account, CHEAP_HASHES};
use harness::http::{Answer, create_room, head, read_answer, request};
use harness::{Client, Live, Node, PATIENCE, eventually};

/// Counts how many of four messages of 4,000 bytes are taken; the others must be refused as the contract says.
async fn taken_of_four(guest: &mut Client) -> usize {
    let mut taken = 0;
    for _ in 0..4 {
        match guest.resend(&Uuid::new_v4().to_string(), &"x".repeat(4_000)).await {
            Ok(_) => taken += 1,
            Err(code) => assert_eq!(code, "rate_limited"),
        }
    }
    taken
}

/// Each connection is a new guest, so what guests write is counted by address and by room: who comes again, or with
/// friends, has no more.
#[tokio::test]
async fn guests_of_one_address_and_of_one_room_share_what_may_be_written() {
    for (limit, by_room) in [
        (["--limit-bytes-per-address", "13000/h"], false),
        (["--limit-messages-per-address", "3/h"], false),
        (["--limit-bytes-per-room", "13000/h"], true),
        (["--limit-messages-per-room", "3/h"], true),
    ] {
        let node = Node::lone(&[&limit[..], &["--trusted-proxy", "127.0.0.0/8"]].concat()).await;
        let rooms = [create_room(node.http).await, create_room(node.http).await];
        let mut taken = Vec::new();
        for (room, name, address) in
            [(0, "A", "192.0.2.1"), (0, "B", "192.0.2.1"), (0, "C", "192.0.2.2"), (1, "D", "192.0.2.1")]
        {
            let guest = Client::join_from(node.http, &rooms[room], name, address).await;
            taken.push(taken_of_four(&mut guest.expect("a guest is let in")).await);
        }
        let expected = if by_room { [3, 0, 0, 3] } else { [3, 0, 3, 0] };
        assert_eq!(taken, expected, "{limit:?}");
    }
}

/// Over all sessions and calls of an account.
#[tokio::test]
async fn an_account_writes_only_so_many_bytes() {
    let node = Node::lone(&[&CHEAP_HASHES[..], &["--limit-bytes-per-account", "9000/h"]].concat()).await;
    let [ann, bob] = [Account::register(node.http, "ann").await, Account::register(node.http, "bob").await];
    for who in [&ann, &bob] {
        let room = json!({"name": "r", "visibility": "public"});
        let room = who.call(node.http, "POST", "/rooms", Some(room)).await.json()["id"].clone();
        let target = format!("/rooms/{}/messages", room.as_str().expect("a room has an id"));
        for expected in [201, 201, 429] {
            let body = json!({"body": "x".repeat(4_000)});
            let answer = who.call(node.http, "POST", &target, Some(body)).await;
            assert_eq!(answer.status, expected, "{}: {}", who.username, answer.text());
        }
    }
}

/// Promise: strangers use up nothing of what the members of a public room may write.
#[tokio::test]
async fn strangers_do_not_use_up_what_a_room_may_take() {
    let node = Node::lone(&[&CHEAP_HASHES[..], &["--limit-messages-per-room", "2/h"]].concat()).await;
    let [ann, eve] = [Account::register(node.http, "ann").await, Account::register(node.http, "eve").await];
    let room = json!({"name": "open", "visibility": "public"});
    let room = ann.call(node.http, "POST", "/rooms", Some(room)).await.json()["id"].clone();
    let target = format!("/rooms/{}/messages", room.as_str().expect("a room has an id"));
    let post = async |who: &Account| {
        who.call(node.http, "POST", &target, Some(json!({"body": "hello"}))).await.status
    };
    for (who, expected) in [(&eve, [404; 3]), (&ann, [201, 201, 429])] {
        for expected in expected {
            assert_eq!(post(who).await, expected, "{}", who.username);
        }
    }
}

/// Pings, pongs and empty frames count: without that, a few sockets keep a node busy.
#[tokio::test]
async fn frames_of_any_kind_end_a_session_that_sends_too_many() {
    let kinds = [Message::Ping(vec![0; 125].into()), Message::Pong(vec![].into()), Message::text("")];
    for limit in [["--limit-frames-per-session", "50/h"], ["--limit-frames-per-address", "50/h"]] {
        let node = Node::lone(&limit).await;
        let room = create_room(node.http).await;
        for kind in &kinds {
            let mut eve = Client::join(node.http, &room, "Eve").await;
            for _ in 0..60 {
                // It may be closed already.
                let _ = eve.try_send(kind.clone()).await;
            }
            assert_eq!(eve.until_closed().await, Some(4003), "{limit:?}: {kind:?}");
        }
        // A neighbour of hers, who says little, goes on.
        Client::join(node.http, &room, "Bob").await.post("still here").await;
    }
    let node = Node::lone(&[&CHEAP_HASHES[..], &["--limit-frames-per-session", "50/h"]].concat()).await;
    let ann = Account::register(node.http, "ann").await;
    let mut live = Live::join(node.http, &ann.access).await;
    for _ in 0..51 {
        live.send_raw(kinds[0].clone()).await;
    }
    assert_eq!(live.closes(PATIENCE).await, Some(4003));
}

/// Fragments that never become a message are seen by no session, and end the connection all the same.
#[tokio::test]
async fn fragments_without_end_end_the_connection() {
    let node = Node::lone(&[]).await;
    let room = create_room(node.http).await;
    let mut eve = Client::join(node.http, &room, "Eve").await;
    let mut opcode = coding::Data::Text;
    let mut sent = 0;
    let fragment = |data| Message::Frame(RawFrame::message(vec![], coding::OpCode::Data(data), false));
    while eve.try_send(fragment(opcode)).await.is_ok() {
        opcode = coding::Data::Continue;
        sent += 1;
        assert!(sent < 1_000_000, "the node takes fragments without end");
    }
}

/// A request from another address of this machine.
async fn get_from(node: SocketAddr, last: u8, target: &str) -> std::io::Result<Answer> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([127, 0, 0, last], 0)))?;
    let exchange = async {
        let mut stream = socket.connect(node).await?;
        stream.write_all(format!("{}\r\n", head(node, "GET", target, &[])).as_bytes()).await?;
        Ok(read_answer(&mut stream).await?.0)
    };
    timeout(PATIENCE, exchange).await?
}

async fn status_from(node: SocketAddr, last: u8, target: &str) -> u16 {
    get_from(node, last, target).await.map_or(0, |answer| answer.status)
}

async fn until_served(node: SocketAddr, last: u8, target: &str) {
    eventually(PATIENCE, &format!("{target} is served"), async || {
        let status = status_from(node, last, target).await;
        if status == 200 { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
}

/// Connections that say nothing.
async fn idle(node: SocketAddr, count: usize) -> Vec<TcpStream> {
    let mut idle = Vec::new();
    for _ in 0..count {
        idle.push(TcpStream::connect(node).await.expect("the kernel accepts"));
    }
    idle
}

/// A connection that is kept open by the node, unless it is one that it takes for health only.
async fn keep(node: SocketAddr) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(node).await.expect("the kernel accepts");
    let asked = stream.write_all(format!("{}\r\n", head(node, "GET", "/livez", &[])).as_bytes()).await;
    let answer = read_answer(&mut stream).await.ok().filter(|_| asked.is_ok())?;
    (answer.0.header("connection") != Some("close")).then_some(stream)
}

/// Whether it is its own share that an address has taken or all there are: everybody is told how the node is.
#[tokio::test]
async fn one_address_takes_its_share_of_connections_and_health_is_answered_beyond_it() {
    for (limit, all) in [("its share", "50"), ("all", "5")] {
        let args = ["--limit-connections-per-address", "5", "--http-connections-max", all];
        let node = Node::lone(&args).await;
        let mut kept = Vec::new();
        while kept.len() < 5 {
            kept.extend(keep(node.http).await);
        }
        let refused = get_from(node.http, 1, "/").await.expect("it is told why");
        assert_eq!((refused.status, refused.code().as_str()), (503, "overloaded"));
        assert_eq!(refused.header("connection"), Some("close"));
        assert!(refused.header("retry-after").is_some() && refused.header("x-request-id").is_some());
        for path in ["/livez", "/readyz", "/healthz", "/metrics"] {
            assert_eq!(status_from(node.http, 1, path).await, 200, "{limit}: {path}");
        }
        let other = if limit == "all" { 503 } else { 200 };
        assert_eq!(status_from(node.http, 2, "/").await, other, "{limit}");
        assert_eq!(status_from(node.http, 2, "/readyz").await, 200, "{limit}");
        kept.pop();
        until_served(node.http, 1, "/").await;
    }
}

/// Even those that wait for nothing but health are only so many of one address.
#[tokio::test]
async fn nobody_keeps_others_from_asking_for_health() {
    let node = Node::lone(&["--http-connections-max", "1"]).await;
    let _idle = idle(node.http, 200).await;
    until_served(node.http, 2, "/readyz").await;
}

/// A proxy's connections are not counted, but what each of its clients does over them.
#[tokio::test]
async fn behind_a_proxy_each_client_has_its_share() {
    let args = ["--trusted-proxy", "127.0.0.0/8", "--limit-connections-per-address", "2"];
    let node = Node::lone(&args).await;
    let room = create_room(node.http).await;
    let _idle = idle(node.http, 20).await;
    let join = async |name, address| Client::join_from(node.http, &room, name, address).await;
    let first = join("A", "192.0.2.1").await.expect("a guest is let in");
    let _second = join("B", "192.0.2.1").await.expect("a guest is let in");
    let refused = join("C", "192.0.2.1").await.err().expect("there is no third place");
    assert_eq!((refused.status, refused.code.as_str()), (503, "overloaded"));
    let forwarded = [("x-forwarded-for", "192.0.2.1")];
    let health = request(node.http, "GET", "/readyz", &forwarded, b"").await.expect("an answer");
    assert_eq!(health.status, 200);
    let _other = join("D", "192.0.2.2").await.expect("another address has its own");
    drop(first);
    eventually(PATIENCE, "there is a place again", async || {
        join("E", "192.0.2.1").await.map(drop).map_err(|refused| refused.status.to_string())
    })
    .await;
}

/// Connections and WebSockets of one address are limited in time, too.
#[tokio::test]
async fn opening_and_closing_is_limited() {
    let node = Node::lone(&["--limit-sockets-per-address", "2/h"]).await;
    let room = create_room(node.http).await;
    for name in ["A", "B"] {
        Client::join(node.http, &room, name).await;
    }
    let refused = Client::connect(node.http, &room, "C", None, None).await.err();
    assert_eq!(refused.map(|refused| (refused.status, refused.code)), Some((429, "rate_limited".to_owned())));

    let node = Node::lone(&["--limit-new-connections-per-address", "50/h"]).await;
    while status_from(node.http, 2, "/").await == 200 {}
    assert_eq!(status_from(node.http, 2, "/").await, 503);
    assert_eq!(
        (status_from(node.http, 2, "/readyz").await, status_from(node.http, 3, "/").await),
        (200, 200)
    );
}
