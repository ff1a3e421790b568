//! Pages of other sites and requests for other host names are refused.

use tokio::io::AsyncWriteExt as _;

use harness::Node;
use harness::account::{Account, CHEAP_HASHES, PASSWORD};
use harness::http::{Answer, create_room, get, request};

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
        harness::http::read_answer(&mut stream).await.expect("it answers").0
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
    let form = format!("username=ann&password={}", harness::http::encode(PASSWORD));
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
