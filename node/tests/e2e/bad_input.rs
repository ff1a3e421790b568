//! A server bears everything from outside: malformed frames, requests, half-sent heads and foreign datagrams.
//! Each gets a clear answer; the connection, or at least the node, goes on.

use std::io::ErrorKind;
use std::net::SocketAddr;

use futures_util::StreamExt as _;
use harness::http::{create_room, encode, get, read_answer, request};
use harness::{Client, Cluster, Frame, Node, PATIENCE, Refused};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, frame::coding::CloseCode};
use uuid::Uuid;

const BODY_CHARS_MAX: usize = 8_000;
const FRAME_BYTES_MAX: usize = 128 * 1_024;

#[tokio::test]
async fn a_malformed_frame_gets_an_error_and_the_connection_goes_on() {
    let node = Node::lone(&[]).await;
    let room = create_room(node.http).await;
    let mut ann = Client::join(node.http, &room, "Ann").await;
    let id = Uuid::new_v4().to_string();
    let not_a_uuid = "not a uuid".to_owned();
    let with_id = |body: &str| format!(r#"{{"id":"{id}","body":{body}}}"#);
    let too_long = "ü".repeat(BODY_CHARS_MAX + 1);
    let cases = [
        ("{}".to_owned(), None),
        (r#"{"text":"hello"}"#.to_owned(), None),
        (with_id("5"), Some(&id)),
        (with_id("null"), Some(&id)),
        (with_id(r#""""#), Some(&id)),
        (with_id(&format!("{too_long:?}")), Some(&id)),
        (r#"{"id":"not a uuid","body":"hello"}"#.to_owned(), Some(&not_a_uuid)),
        (r#"{"id":7,"body":"hello"}"#.to_owned(), None),
        (String::new(), None),
        (too_long, None),
        ("x".repeat(FRAME_BYTES_MAX), None),
    ];
    for (text, echoed) in cases {
        let shown: String = text.chars().take(60).collect();
        ann.send_raw(Message::text(text)).await;
        check_error(&mut ann, &shown, echoed).await;
    }
    for bytes in [vec![], vec![0xff; 40], br#"{"body":"hello"}"#.to_vec()] {
        ann.send_raw(Message::binary(bytes)).await;
        check_error(&mut ann, "a binary frame", None).await;
    }
}

/// The next frame is an error, for this id if one is given, and the connection takes posts as before.
async fn check_error(client: &mut Client, what: &str, echoed: Option<&String>) {
    let seen = client.messages.len();
    let wanted = |frame: &Frame| match frame {
        Frame::Error { code, detail, id } => Some((code.clone(), detail.clone(), id.clone())),
        _ => None,
    };
    let (code, detail, id) = client.until(&format!("an error about {what:?}"), wanted).await;
    assert!(!code.is_empty() && !detail.is_empty(), "{what:?}: {code:?} {detail:?}");
    if echoed.is_some() {
        assert_eq!(id.as_ref(), echoed, "{what:?}");
    }
    let (next, _) = client.post("still here").await;
    assert_eq!(client.messages[seen..], [next], "{what:?} was posted");
}

#[tokio::test]
async fn any_other_text_is_a_message() {
    let node = Node::lone(&[]).await;
    let room = create_room(node.http).await;
    let mut ann = Client::join(node.http, &room, "Ann").await;
    let mut bob = Client::join(node.http, &room, "Bob").await;
    let longest = ["x".repeat(BODY_CHARS_MAX), "🐦".repeat(BODY_CHARS_MAX)];
    let plain = ["hello", "[1, 2]", "42", "\"quoted\"", "null", "<b>&amp;", "ä\u{0301} 🐦", "first\nsecond"];
    for text in plain.into_iter().chain(longest.iter().map(String::as_str)) {
        ann.send_raw(Message::text(text)).await;
        assert_eq!(bob.next_message().await.body, text);
        ann.until_message(text).await;
    }
    ann.post(&longest[1]).await;
    bob.until_message(&longest[1]).await;
}

#[tokio::test]
async fn a_frame_beyond_the_hard_limit_ends_the_connection_alone() {
    let node = Node::lone(&[]).await;
    let room = create_room(node.http).await;
    let mut bob = Client::join(node.http, &room, "Bob").await;
    for (at, frame) in [
        Message::text("x".repeat(FRAME_BYTES_MAX + 1)),
        Message::binary(vec![0; FRAME_BYTES_MAX + 1]),
        Message::text("x".repeat(20 * FRAME_BYTES_MAX)),
    ]
    .into_iter()
    .enumerate()
    {
        let mut ann = Client::join(node.http, &room, &format!("Ann {at}")).await;
        // The server may close before it has read it all.
        let _ = ann.try_send(frame).await;
        assert_eq!(ann.until_closed().await, Some(1009), "frame {at}");
        bob.post("unharmed").await;
    }
}

#[tokio::test]
async fn a_malformed_request_gets_its_problem() {
    let node = Node::lone(&[]).await;
    let room = create_room(node.http).await;
    // Well-formed, and nobody's: another character in front.
    let absent = format!("{}{}", if room.starts_with('a') { 'b' } else { 'a' }, &room[1..]);
    let cases = [
        ("GET", "/room-exists".to_owned(), 400, "bad_request"),
        ("GET", "/room-exists?roomID=".to_owned(), 400, "bad_request"),
        ("GET", format!("/room-exists?roomID={}", encode("../../etc")), 400, "bad_request"),
        ("GET", format!("/room-exists?roomID={}", "a".repeat(3_000)), 400, "bad_request"),
        ("GET", format!("/room-messages?roomID={}", encode("ü")), 400, "bad_request"),
        ("GET", format!("/room-messages?roomID={room}&limit=many"), 400, "bad_request"),
        ("GET", format!("/room-messages?roomID={room}&before={}", encode("!")), 400, "bad_request"),
        ("GET", format!("/room-messages?roomID={absent}"), 404, "not_found"),
        ("GET", "/no-such-page".to_owned(), 404, "not_found"),
        ("GET", "/api/v1/no-such-call".to_owned(), 404, "not_found"),
    ];
    for (method, target, status, code) in cases {
        let answer = request(node.http, method, &target, &[], b"").await.expect("there is an answer");
        let shown = (target, answer.status, answer.text());
        assert_eq!(answer.status, status, "{shown:?}");
        assert!(answer.header("x-request-id").is_some(), "{shown:?}: {:?}", answer.headers);
        let html = answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html"));
        if shown.0 != "/no-such-page" || !html {
            assert_eq!(answer.code(), code, "{shown:?}");
            assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{shown:?}");
            assert_eq!(answer.json()["status"], status, "{shown:?}");
        }
    }
    for (method, target, allowed) in [
        ("GET", "/create-room", "POST"),
        ("POST", "/room-exists", "GET,HEAD"),
        ("DELETE", "/", "GET,HEAD"),
        ("PUT", "/livez", "GET,HEAD"),
        ("BREW", "/", "GET,HEAD"),
        ("POST", "/metrics", "GET,HEAD"),
        ("PUT", "/api/v1/register", "POST"),
        ("OPTIONS", &format!("/r/{room}"), "GET,HEAD"),
    ] {
        let answer = request(node.http, method, target, &[], b"").await.expect("there is an answer");
        let shown = (answer.status, answer.code(), answer.header("allow").map(str::to_owned));
        let expected = (405, "method_not_allowed".to_owned(), Some(allowed.to_owned()));
        assert_eq!(shown, expected, "{method} {target}");
    }
    for body in [r#"{"name": 5}"#, r#"{"name": "#, r#"{"no_such_field": 1}"#, "text"] {
        let kind = [("content-type", "application/json")];
        let answer = request(node.http, "POST", "/create-room", &kind, body.as_bytes()).await;
        let answer = answer.expect("there is an answer");
        assert!(matches!(answer.status, 400 | 422), "{body}: {} {}", answer.status, answer.text());
    }
}

#[tokio::test]
async fn a_malformed_handshake_gets_its_problem() {
    let node = Node::lone(&[]).await;
    let room = create_room(node.http).await;
    let absent = format!("{}{}", if room.starts_with('a') { 'b' } else { 'a' }, &room[1..]);
    let named = |name: &str| format!("roomID={room}&username={}", encode(name));
    let cases = [
        (format!("roomID={room}"), 400, "bad_request"),
        ("username=Ann".to_owned(), 400, "bad_request"),
        ("roomID=%00&username=Ann".to_owned(), 400, "bad_request"),
        (format!("roomID={absent}&username=Ann"), 404, "not_found"),
        (named(""), 400, "bad_request"),
        (named("   "), 400, "bad_request"),
        (named(&"ü".repeat(33)), 400, "bad_request"),
        (named("a\u{7}b"), 400, "bad_request"),
        (named("a\nb"), 400, "bad_request"),
        (named("a\u{85}b"), 400, "bad_request"),
        (named("\u{3164}"), 400, "bad_request"),
        (named("Ann\u{AD}"), 400, "bad_request"),
        (named("Ann\u{E0020}"), 400, "bad_request"),
        (named("Ann~x1"), 400, "bad_request"),
        (named("Ann\u{200D}"), 400, "bad_request"),
    ];
    for (query, status, code) in cases {
        let refused = harness::client::upgrade(node.http, &format!("/ws?{query}"), None).await.err();
        assert_eq!(refused, Some(Refused { status, code: code.to_owned() }), "{query}");
    }
    let answer = get(node.http, &format!("/ws?{}", named("Ann"))).await.expect("there is an answer");
    assert!((400..500).contains(&answer.status), "without an upgrade: {}", answer.status);
    for (name, taken) in [
        ("x".repeat(32), "x".repeat(32)),
        ("🐦".repeat(32), "🐦".repeat(32)),
        (" Ann ".into(), "Ann".into()),
        ("Ze\u{301}lie \u{A0} M".into(), "Zélie M".into()),
        ("👩\u{200D}💻".into(), "👩\u{200D}💻".into()),
    ] {
        assert_eq!(Client::join(node.http, &room, &name).await.name, taken);
    }
}

/// A proxy may split `Connection` in two, or speak HTTP/1.0, which is told what to change; a link may end with a slash.
#[tokio::test]
async fn what_proxies_and_links_do_to_requests_is_borne_or_explained() {
    let node = Node::lone(&[]).await;
    let room = create_room(node.http).await;
    let target = format!("/ws?roomID={room}&username=Ann");
    let keep_alive = [("connection", "keep-alive")];
    // `Upgrade` comes first in one, last in the other.
    let upgraded = harness::client::upgrade_with(node.http, &target, &keep_alive, None).await;
    drop(upgraded.expect("it is let in"));
    let mut stream = TcpStream::connect(node.http).await.expect("the node listens");
    let split = format!(
        "GET {target}n HTTP/1.1\r\nhost: x\r\nconnection: keep-alive\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(split.as_bytes()).await.expect("it takes bytes");
    let (answer, _) = read_answer(&mut stream).await.expect("there is an answer");
    assert_eq!(answer.status, 101, "{}", answer.text());
    let mut stream = TcpStream::connect(node.http).await.expect("the node listens");
    // Another name: the node may not have noticed yet that the first guest is gone.
    let old = format!("GET {target}nn HTTP/1.0\r\nhost: x\r\n\r\n");
    stream.write_all(old.as_bytes()).await.expect("it takes bytes");
    let (answer, _) = read_answer(&mut stream).await.expect("there is an answer");
    let detail = answer.json()["detail"].as_str().unwrap_or_default().to_owned();
    assert_eq!(answer.status, 400);
    assert!(detail.contains("HTTP/1.0") && detail.contains("proxy_http_version 1.1"), "{detail}");

    let page = get(node.http, &format!("/r/{room}/")).await.expect("there is an answer");
    let leads_to = format!("/r/{room}");
    assert_eq!((page.status, page.header("location")), (308, Some(leads_to.as_str())));
    assert_eq!(get(node.http, &leads_to).await.expect("there is an answer").status, 200);
    let elsewhere = get(node.http, "//evil.example/").await.expect("there is an answer");
    assert_eq!((elsewhere.status, elsewhere.header("location")), (404, None));
}

/// Promise: a Close frame is answered (RFC 6455, 5.5.1), on both sockets: else browsers see a broken connection.
#[tokio::test]
async fn a_close_frame_is_answered() {
    let node = Node::lone(&harness::account::CHEAP_HASHES).await;
    let room = create_room(node.http).await;
    let ann = harness::Account::register(node.http, "ann").await;
    let bearer = format!("Bearer {}", ann.access);
    for (target, headers) in [
        (format!("/ws?roomID={room}&username=Gus"), vec![]),
        (format!("/ws?roomID={room}"), vec![("authorization", bearer.as_str())]),
        ("/api/v1/live".to_owned(), vec![("authorization", bearer.as_str())]),
    ] {
        let opened = harness::client::upgrade_with(node.http, &target, &headers, None).await;
        let (mut socket, _) = opened.expect("it is let in");
        let frame = CloseFrame { code: CloseCode::Normal, reason: "bye".into() };
        socket.close(Some(frame.clone())).await.expect("it takes a frame");
        let answered = async {
            loop {
                match socket.next().await {
                    Some(Ok(Message::Close(answer))) => break answer,
                    Some(Ok(_)) => {}
                    other => panic!("{target}: {other:?}"),
                }
            }
        };
        let answer = timeout(PATIENCE, answered).await.expect("it is answered");
        assert_eq!(answer, Some(frame), "{target}");
    }
}

/// The ack of a post carries its id in the client's own letters, and so does a refusal.
#[tokio::test]
async fn an_id_comes_back_as_it_was_given() {
    let node = Node::lone(&[]).await;
    let room = create_room(node.http).await;
    let mut ann = Client::join(node.http, &room, "Ann").await;
    let plain = Uuid::new_v4();
    for id in [plain.to_string().to_uppercase(), plain.simple().to_string(), format!("{{{plain}}}")] {
        assert_eq!(ann.resend(&id, "once").await.map(|_| ()), Ok(()), "{id}");
        assert_eq!(ann.resend(&id, "another text").await, Err("id_reused".to_owned()), "{id}");
    }
    assert_eq!(ann.resend("no uuid", "x").await, Err("invalid".to_owned()));
}

/// However JSON writes the longest body, it is taken: over the socket and over REST.
#[tokio::test]
async fn the_longest_body_is_taken_as_escapes() {
    let node = Node::lone(&harness::account::CHEAP_HASHES).await;
    let room = create_room(node.http).await;
    let mut ann = Client::join(node.http, &room, "Ann").await;
    let longest = "🐦".repeat(BODY_CHARS_MAX);
    let escaped = format!(r#"{{"body":"{}"}}"#, r"\ud83d\udc26".repeat(BODY_CHARS_MAX));
    ann.send_raw(Message::text(escaped.clone())).await;
    ann.until_message(&longest).await;
    let bob = harness::Account::register(node.http, "bob").await;
    let made = serde_json::json!({"name": "Room", "visibility": "private"});
    let made = bob.call(node.http, "POST", "/rooms", Some(made)).await.json();
    let target = format!("/api/v1/rooms/{}/messages", made["id"].as_str().expect("it is made"));
    let bearer = format!("Bearer {}", bob.access);
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let answer = request(node.http, "POST", &target, &headers, escaped.as_bytes()).await.expect("an answer");
    assert_eq!((answer.status, answer.json()["body"].as_str()), (201, Some(longest.as_str())));
}

#[tokio::test]
async fn a_body_beyond_its_limit_is_too_large() {
    let node = Node::lone(&[]).await;
    let body = format!(r#"{{"name":"{}"}}"#, "x".repeat(4 * 1_024 * 1_024));
    let kind = [("content-type", "application/json")];
    let answer = request(node.http, "POST", "/create-room", &kind, body.as_bytes()).await.expect("an answer");
    assert_eq!((answer.status, answer.code().as_str()), (413, "too_large"), "{}", answer.text());
}

#[tokio::test]
async fn half_sent_heads_and_idle_connections_are_closed() {
    let node = Node::lone(&["--http-header-timeout-ms", "500"]).await;
    for sent in ["", "G", "GET /livez HTT", "GET /livez HTTP/1.1\r\nhost: x\r\n"] {
        let mut stream = TcpStream::connect(node.http).await.expect("the node listens");
        stream.write_all(sent.as_bytes()).await.expect("it takes bytes");
        check_ends(&mut stream, sent).await;
    }
    let mut stream = TcpStream::connect(node.http).await.expect("the node listens");
    for _ in 0..3 {
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("it takes bytes");
        let (answer, _) = read_answer(&mut stream).await.expect("there is an answer");
        assert_eq!(answer.status, 200);
    }
    check_ends(&mut stream, "an idle connection").await;
    let mut stream = TcpStream::connect(node.http).await.expect("the node listens");
    stream.write_all(b"\x16\x03\x01 no HTTP at all \r\n\r\n").await.expect("it takes bytes");
    check_ends(&mut stream, "no HTTP").await;
}

/// The server ends the connection, whatever it says before.
async fn check_ends(stream: &mut TcpStream, what: &str) {
    let mut said = Vec::new();
    let ended = timeout(PATIENCE, stream.read_to_end(&mut said)).await;
    let ended = ended.unwrap_or_else(|_| panic!("still open after {PATIENCE:?}: {what:?}"));
    if let Err(error) = ended {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{what:?}");
    }
}

#[tokio::test]
async fn foreign_datagrams_disturb_nobody() {
    let cluster = Cluster::start(2).await;
    let room = create_room(cluster[0].http).await;
    let mut ann = Client::join(cluster[0].http, &room, "Ann").await;
    let mut bob = Client::join(cluster[1].http, &room, "Bob").await;
    let socket = UdpSocket::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a port is free");
    for number in 0..1_000_u32 {
        let mut packet = vec![0_u8; usize::try_from(number).expect("it is small") % 1_400 + 1];
        packet.fill_with(rand::random);
        if number % 3 == 0 {
            // As the first byte of a QUIC packet with a long header.
            packet[0] |= 0xc0;
        }
        let target = cluster.network.front(usize::from(number % 2 == 0));
        socket.send_to(&packet, target).await.expect("a datagram can be sent");
        if number % 100 == 0 {
            let body = format!("amid the flood {number}");
            assert!(ann.post(&body).await.1 >= 2);
            bob.until_message(&body).await;
        }
    }
    assert_eq!(get(cluster[0].http, "/readyz").await.expect("an answer").status, 200);
}
