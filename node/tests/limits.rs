//! What keeps one from taking it all: limits per real client, told by trusted proxies alone; refusal of foreign pages;
//! the end of a session that floods; a place for health where all connections are taken.

mod support;

use std::net::SocketAddr;

use serde_json::json;
use support::account::{Account, CHEAP_HASHES, PASSWORD, call};
use support::http::{Answer, create_room, get, head, read_answer, request};
use support::{Client, Frame, Live, Node, PATIENCE, eventually};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::{Frame as RawFrame, coding};
use uuid::Uuid;

async fn create_for(node: SocketAddr, forwarded: &str) -> Answer {
    let headers = [("x-forwarded-for", forwarded)];
    request(node, "POST", "/create-room", &headers, b"").await.expect("create-room is answered")
}

/// So many pass and the next is refused as the contract says.
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
async fn a_foreign_page_opens_no_socket() {
    let node =
        Node::lone(&["--allowed-origin", "https://app.example", "--public-url", "https://chat.example"])
            .await;
    let room = create_room(node.http).await;
    let own = format!("http://{}", node.http);
    let upgrade = async |name: &str, said: &[(&str, &str)]| {
        let handshake = [
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let target = format!("/ws?roomID={room}&username={name}");
        let answer = request(node.http, "GET", &target, &[&handshake, said].concat(), b"").await;
        let answer = answer.expect("there is an answer");
        (answer.status, answer.code())
    };
    let forbidden = (403, "forbidden".to_owned());
    for origin in ["https://evil.example", "null", "http://127.0.0.1:1", "https://app.example.evil.example"] {
        assert_eq!(upgrade("Eve", &[("origin", origin)]).await, forbidden, "{origin}");
    }
    let told = [("origin", own.as_str()), ("sec-fetch-site", "cross-site")];
    assert_eq!(upgrade("Eve", &told).await, forbidden);
    for (name, origin) in [("A", own.as_str()), ("B", "https://app.example"), ("C", "https://chat.example")] {
        assert_eq!(upgrade(name, &[("origin", origin)]).await.0, 101, "{origin}");
    }
    assert_eq!(upgrade("D", &[]).await.0, 101, "a program");
}

/// Promise: a foreign name that is given this server's address opens nothing (DNS rebinding).
#[tokio::test]
async fn a_server_with_a_public_address_is_asked_by_its_own_names_alone() {
    let args = ["--public-url", "https://chat.example", "--allowed-host", "node-1.internal"];
    let node = Node::lone(&[&CHEAP_HASHES[..], &args].concat()).await;
    let ask = async |target: &str, host: &str| {
        let head = format!("GET {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        let mut stream = tokio::net::TcpStream::connect(node.http).await.expect("it listens");
        stream.write_all(head.as_bytes()).await.expect("it reads");
        support::http::read_answer(&mut stream).await.expect("it answers").0
    };
    let own = node.http.to_string();
    for host in [
        "chat.example",
        "CHAT.example:443",
        "node-1.internal:8080",
        "localhost",
        "127.0.0.1",
        "[::1]:1",
        &own,
    ] {
        assert_eq!(ask("/", host).await.status, 200, "{host}");
    }
    for host in ["evil.example", "chat.example.evil.example", "127.0.0.1.evil.example"] {
        for target in
            ["/", "/login", "/api/v1/me", "/room-exists?roomID=aaaaaaaaaaaaaaaa", "/assets/x/y", "/no"]
        {
            let refused = ask(target, host).await;
            assert_eq!((refused.status, refused.code().as_str()), (400, "bad_request"), "{host} {target}");
        }
        for target in ["/livez", "/readyz", "/healthz"] {
            assert_eq!(ask(target, host).await.status, 200, "{host} {target}");
        }
    }
}

/// Promise: every answer tells browsers what to be careful about; what is of accounts is kept nowhere.
#[tokio::test]
async fn answers_tell_browsers_to_be_careful() {
    let tls = Node::lone(&["--public-url", "https://chat.example"]).await;
    let plain = Node::lone(&[]).await;
    for target in
        ["/", "/login", "/api/v1/me", "/api/v1/no-such", "/api/openapi.json", "/livez", "/no", "/create-room"]
    {
        let answer = get(tls.http, target).await.expect("an answer");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("x-frame-options", "DENY"),
            ("strict-transport-security", "max-age=31536000"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{target}");
        }
        let policy = answer.header("content-security-policy").expect("there is one");
        assert!(
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        let over_plain = get(plain.http, target).await.expect("an answer");
        assert_eq!(over_plain.header("strict-transport-security"), None, "{target}");
    }
    for target in
        ["/api/v1/me", "/api/v1/no-such", "/login", "/register", "/reset/x", "/setup/x", "/invite/x"]
    {
        let answer = get(plain.http, target).await.expect("an answer");
        assert!(answer.header("cache-control").is_some_and(|rule| rule.contains("no-store")), "{target}");
    }
}

/// Promise: pages of sites that the operator names use the API by tokens, those of others not at all, and neither by the
/// cookie of whoever looks at them.
#[tokio::test]
async fn pages_of_named_sites_use_the_api_with_tokens_and_never_with_cookies() {
    const APP: &str = "https://app.example";
    let node = Node::lone(&[&CHEAP_HASHES[..], &["--allowed-origin", APP]].concat()).await;
    let ann = Account::register(node.http, "ann").await;
    let form = format!("username=ann&password={}", support::http::encode(PASSWORD));
    let kind = ("content-type", "application/x-www-form-urlencoded");
    let entered = request(node.http, "POST", "/login", &[kind], form.as_bytes()).await.expect("an answer");
    let cookie =
        entered.header("set-cookie").and_then(|set| set.split(';').next()).expect("a session").to_owned();
    let bearer = format!("Bearer {}", ann.access);
    let ask = async |method: &str, target: &str, headers: &[(&str, &str)]| {
        request(node.http, method, target, headers, b"").await.expect("an answer")
    };
    let shared = |answer: &Answer| {
        assert_eq!(answer.header("access-control-allow-credentials"), None);
        answer.header("access-control-allow-origin").map(str::to_owned)
    };
    let preflight =
        [("access-control-request-method", "PATCH"), ("access-control-request-headers", "authorization")];
    for target in ["/api/v1/me", "/api/v1/login", "/api/v1/rooms/x/messages"] {
        let answer = ask("OPTIONS", target, &[&[("origin", APP)][..], &preflight].concat()).await;
        assert_eq!((answer.status, shared(&answer).as_deref()), (204, Some(APP)), "{target}");
        let methods = answer.header("access-control-allow-methods").expect("it says which");
        assert!(["GET", "POST", "PUT", "PATCH", "DELETE"].iter().all(|method| methods.contains(method)));
        let headers = answer.header("access-control-allow-headers").expect("it says which");
        assert!(
            ["authorization", "content-type", "x-starling-cursor"].iter().all(|name| headers.contains(name))
        );
        for origin in ["https://evil.example", "null", "https://app.example.evil.example"] {
            let answer = ask("OPTIONS", target, &[&[("origin", origin)][..], &preflight].concat()).await;
            assert_eq!(shared(&answer), None, "{origin}");
            assert_ne!(answer.status, 204);
        }
    }
    let me = ask("GET", "/api/v1/me", &[("origin", APP), ("authorization", &bearer)]).await;
    assert_eq!((me.status, shared(&me).as_deref()), (200, Some(APP)));
    assert!(
        me.header("access-control-expose-headers").is_some_and(|names| names.contains("x-starling-cursor"))
    );
    assert!(me.header("vary").is_some_and(|names| names.contains("origin")));
    let refused = ask("GET", "/api/v1/me", &[("origin", APP)]).await;
    assert_eq!((refused.status, shared(&refused).as_deref()), (401, Some(APP)), "the page reads why");
    // The browser would send the cookie from a page of the same site.
    for (method, target) in [("GET", "/api/v1/me"), ("POST", "/api/v1/logout"), ("GET", "/api/v1/live")] {
        let answer = ask(method, target, &[("origin", APP), ("cookie", &cookie)]).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "unauthenticated"), "{method} {target}");
    }
    let out = ask("POST", "/logout", &[("origin", APP), ("cookie", &cookie)]).await;
    assert_eq!(out.status, 403, "forms are for the server's own pages");
    assert_eq!(ask("GET", "/api/v1/me", &[("cookie", &cookie)]).await.status, 200, "the session goes on");
    assert_eq!(shared(&ask("GET", "/livez", &[("origin", APP)]).await), None, "only the API is shared");
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

/// How many of four messages of 4,000 bytes are taken; the others are refused as the contract says.
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
