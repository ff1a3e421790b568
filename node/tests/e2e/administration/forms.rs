//! Promise: a form lets in whom its JSON sister lets in, by a cookie that ends with the session; what is refused is
//! said on a page that keeps what was typed, except passwords.

use serde_json::json;

use harness::account::{CHEAP_HASHES, PASSWORD, call};
use harness::visitor::{Visitor, page, sent_to};
use harness::{Account, Cluster, Node};

#[tokio::test]
async fn a_browser_registers_is_known_on_every_node_and_logs_out() {
    let cluster = Cluster::start_with(2, &CHEAP_HASHES).await;
    let [a, b] = [0, 1].map(|node| cluster[node].http);
    let mut ann = Visitor::at(a);
    assert!(page(&ann.get("/").await, 200).contains("href=\"/login\""));
    let form =
        [("username", "Ann"), ("display_name", "Ann <b>"), ("password", PASSWORD), ("next", "/r/x?y=1")];
    assert_eq!(sent_to(&ann.submit("/register", &form).await), "/r/x?y=1");
    for node in [b, a] {
        ann.node = node;
        let (status, me) = ann.me().await;
        assert_eq!((status, &me["username"], &me["admin"]), (200, &json!("ann"), &json!(false)), "{me}");
        let front = ann.get("/").await;
        assert_eq!(front.header("cache-control"), Some("private, no-store"), "it shows who is logged in");
        assert!(page(&front, 200).contains("Ann &lt;b&gt;"));
        for form in ["/login", "/register", "/login?next=/r/x"] {
            assert!(["/", "/r/x"].contains(&sent_to(&ann.get(form).await)), "they are logged in already");
        }
    }
    // What the cookie lets do is done from the node's own pages, and listed as a login.
    ann.node = b;
    let own = format!("http://{b}");
    let kind = ("content-type", "application/json");
    let renamed = ann.ask("PATCH", "/api/v1/me", &[("origin", &own), kind], r#"{"display_name":"A"}"#).await;
    assert_eq!(renamed.status, 200, "{}", renamed.text());
    let foreign = ann.ask("PATCH", "/api/v1/me", &[("origin", "http://evil.example"), kind], "{}").await;
    assert_eq!(foreign.code(), "forbidden");
    assert_eq!(ann.get("/api/v1/sessions").await.json()["items"].as_array().map(Vec::len), Some(1));

    let old = ann.clone();
    assert_eq!(sent_to(&ann.submit("/logout", &[]).await), "/");
    assert_eq!(ann.cookie, None, "the browser is told to forget it");
    for node in [a, b] {
        let mut old = Visitor { node, ..old.clone() };
        assert_eq!(old.me().await.0, 401, "the session has ended, whoever kept its cookie");
        let front = old.get("/").await;
        assert!(page(&front, 200).contains("href=\"/login\""));
        assert_eq!(old.cookie, None, "a cookie that is good no more is taken away");
    }
    assert_eq!(sent_to(&ann.submit("/logout", &[]).await), "/", "who is out may ask again");
    assert_eq!(sent_to(&ann.submit("/login", &[("username", "ANN"), ("password", PASSWORD)]).await), "/");
    assert_eq!(ann.me().await.0, 200);
}

#[tokio::test]
async fn a_form_that_is_refused_says_why_and_keeps_what_was_typed() {
    let node = Node::lone(&CHEAP_HASHES).await;
    Account::register(node.http, "bob").await;
    let mut visitor = Visitor::at(node.http);
    let long = "x".repeat(65);
    let wrong = "wrong <i>horse";
    for (target, form, status, says) in [
        ("/login", [("username", "bob"), ("password", wrong), ("next", "/r/<i>")], 401, "password"),
        ("/login", [("username", "no \"<i>body"), ("password", wrong), ("next", "/")], 401, "password"),
        ("/login", [("username", "bob"), ("password", ""), ("next", "")], 401, "password"),
        ("/register", [("username", "bob"), ("password", wrong), ("display_name", "")], 409, "username"),
        ("/register", [("username", "<i>"), ("password", wrong), ("display_name", "B")], 422, "username"),
        (
            "/register",
            [("username", "cat"), ("password", "12345678"), ("display_name", "B")],
            422,
            "password",
        ),
        (
            "/register",
            [("username", "cat"), ("password", wrong), ("display_name", &long)],
            422,
            "display_name",
        ),
    ] {
        let answer = visitor.submit(target, &form).await;
        let markup = page(&answer, status);
        let about = if target == "/login" { "role=\"alert\"" } else { &format!("id=\"{says}-problem\"") };
        assert!(markup.contains(about), "it does not say what is wrong with {says}: {markup}");
        let kept = form[0].1.replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;");
        assert!(markup.contains(&format!("value=\"{kept}\"")), "{kept} is to be typed again: {markup}");
        assert!(!markup.contains("wrong &lt;i") && !markup.contains("<i>"), "{markup}");
        assert_eq!(visitor.cookie, None);
    }
    let known = page(&visitor.submit("/login", &[("username", "bob"), ("password", wrong)]).await, 401);
    let unknown = page(&visitor.submit("/login", &[("username", "eva"), ("password", wrong)]).await, 401);
    assert_eq!(known.replace("bob", "eva"), unknown, "nobody learns who has an account");
}

#[tokio::test]
async fn what_is_no_form_is_refused_and_no_answer_leads_elsewhere() {
    let node = Node::lone(&CHEAP_HASHES).await;
    Account::register(node.http, "bob").await;
    let mut visitor = Visitor::at(node.http);
    let kind = ("content-type", "application/x-www-form-urlencoded");
    let large = format!("username={}", "x".repeat(140_000));
    let both = format!("username=bob&username=eve&password={PASSWORD}");
    for (headers, body, status) in [
        (&[("content-type", "application/json")][..], r#"{"username":"bob","password":"x"}"#, 415),
        (&[], "username=bob", 415),
        (&[kind], "%FF=%FE&username=%", 401),
        (&[kind], "username=%00&password=%00", 401),
        (&[kind], &both, 400),
        (&[kind], &large, 413),
    ] {
        for target in ["/login", "/register", "/setup/x", "/reset/x"] {
            let answer = visitor.ask("POST", target, headers, body).await;
            let readable = status == 401;
            let fits = if readable { (400..500).contains(&answer.status) } else { answer.status == status };
            // Where there is only the password, two names are no matter.
            let fits = fits || target == "/reset/x" && answer.status == 404;
            assert!(fits, "{target} {headers:?} {:.60}: {} {}", body, answer.status, answer.text());
        }
    }
    for (next, to) in [
        ("/r/abc?x=1", "/r/abc?x=1"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example/", "/"),
        ("/\r\nset-cookie: a=b", "/"),
        ("/ü", "/"),
    ] {
        let form = [("username", "bob"), ("password", PASSWORD), ("next", next)];
        let answer = Visitor::at(node.http).submit("/login", &form).await;
        assert_eq!(sent_to(&answer), to, "{next:?}");
    }
}

/// Promise: nobody is left in a browser whose next user has logged in.
#[tokio::test]
async fn a_login_over_a_live_session_ends_it() {
    let node = Node::lone(&CHEAP_HASHES).await;
    Account::register(node.http, "bob").await;
    let bob = [("username", "bob"), ("password", PASSWORD)];
    let mut browser = Visitor::at(node.http);
    sent_to(&browser.submit("/login", &bob).await);
    for form in ["/login", "/register"] {
        let mut before = browser.clone();
        assert_eq!(before.me().await.0, 200);
        let wrong = [("username", "bob"), ("password", "wrong horse")];
        assert_ne!(browser.submit(form, &wrong).await.status, 303);
        assert_eq!(before.me().await.0, 200, "what was refused changes nothing");
        let eve = [("username", "eve"), ("password", PASSWORD)];
        sent_to(&browser.submit(form, if form == "/login" { &bob } else { &eve }).await);
        assert_eq!((before.me().await.0, browser.me().await.0), (401, 200), "{form}");
        assert_ne!(before.cookie, browser.cookie);
    }
}

/// Promise: cookies of other servers on this host, and old ones of this, log nobody out.
#[tokio::test]
async fn the_good_cookie_is_found_among_others() {
    let node = Node::lone(&CHEAP_HASHES).await;
    Account::register(node.http, "bob").await;
    let form = [("username", "bob"), ("password", PASSWORD)];
    let (mut old, mut browser) = (Visitor::at(node.http), Visitor::at(node.http));
    sent_to(&old.submit("/login", &form).await);
    let stale = old.cookie.clone().expect("a session");
    sent_to(&old.submit("/logout", &[]).await);
    sent_to(&browser.submit("/login", &form).await);
    let good = browser.cookie.clone().expect("a session");
    for others in ["other=caf\u{e9}", &stale, "starling_session=x", "starling_session=\u{e9}", "=; ;;"] {
        for cookie in [format!("{others}; {good}"), format!("{good}; {others}")] {
            browser.cookie = Some(cookie.clone());
            assert_eq!(browser.me().await.0, 200, "{cookie}");
            let front = browser.get("/").await;
            assert_eq!(front.header("set-cookie"), None, "{cookie}");
            assert!(page(&front, 200).contains("bob"), "{cookie}");
        }
    }
    // Over TLS the name says that no other server has set it; an earlier session goes on until it ends.
    browser.cookie = Some(good.replace("starling_session=", "__Host-starling_session="));
    assert_eq!(browser.me().await.0, 200);
}

#[tokio::test]
async fn cookies_are_for_tls_alone_where_users_speak_it_and_forms_know_limits() {
    let args = ["--trusted-proxy", "127.0.0.1", "--limit-logins-per-address", "2/h"];
    let node = Node::lone(&[&CHEAP_HASHES[..], &args].concat()).await;
    Account::register(node.http, "bob").await;
    let form = [("username", "bob"), ("password", PASSWORD)];
    for (proto, secure) in [("https", true), ("http", false)] {
        let headers = [("x-forwarded-proto", proto), ("x-forwarded-for", "203.0.113.7")];
        let answer = Visitor::at(node.http).submit_with("/login", &form, &headers).await;
        let set = answer.header("set-cookie").expect("they are logged in");
        assert_eq!(set.contains("; Secure"), secure, "{proto}: {set}");
        assert_eq!(set.starts_with("__Host-starling_session="), secure, "{proto}: {set}");
    }
    let headers = [("x-forwarded-for", "203.0.113.7")];
    let refused = Visitor::at(node.http).submit_with("/login", &form, &headers).await;
    page(&refused, 429);
    assert!(refused.header("retry-after").is_some(), "{:?}", refused.headers);
}

#[tokio::test]
async fn who_may_register_is_as_the_operator_has_set() {
    let form = [("username", "ann"), ("password", PASSWORD)];
    for (mode, status) in [("closed", 403), ("invite", 403)] {
        let node = Node::lone(&[&CHEAP_HASHES[..], &["--registration-mode", mode]].concat()).await;
        let mut visitor = Visitor::at(node.http);
        let front = page(&visitor.get("/").await, 200);
        assert_eq!(front.contains("href=\"/register\""), mode == "invite");
        page(&visitor.get("/register").await, if mode == "closed" { 403 } else { 200 });
        page(&visitor.submit("/register", &form).await, status);
        let nobodys = [&form[..], &[("invite", "AAAAAAAAAAAAAAAAAAAAAA")]].concat();
        page(&visitor.submit("/register", &nobodys).await, status);
        let body = json!({"username": "ann", "password": PASSWORD});
        assert_eq!(
            call(node.http, "POST", "/register", None, Some(body)).await.code(),
            "registration_closed"
        );

        // The first administrator can register all the same, and so can those they invite to a room.
        let address = crate::administration::setup::printed(&node).await;
        sent_to(&visitor.submit(&address, &form).await);
        if mode == "invite" {
            let origin = format!("http://{}", node.http);
            let headers = [("origin", origin.as_str()), ("content-type", "application/json")];
            let room = r#"{"name":"Tea","visibility":"private"}"#;
            let room = visitor.ask("POST", "/api/v1/rooms", &headers, room).await.json();
            let room = room["id"].as_str().expect("a room is made").to_owned();
            let target = format!("/api/v1/rooms/{room}/invites");
            let invite = visitor.ask("POST", &target, &headers, r#"{"max_uses":1}"#).await.json();
            let code = invite["code"].as_str().expect("an invite is made").to_owned();
            let forged = format!("{}{}", &code[..16], "0".repeat(26));
            let form = [("username", "bob"), ("password", PASSWORD), ("invite", &forged)];
            page(&Visitor::at(node.http).submit("/register", &form).await, 403);
            let form = [("username", "bob"), ("password", PASSWORD), ("invite", &code)];
            sent_to(&Visitor::at(node.http).submit("/register", &form).await);
            // It was good for one, who is in the room by it.
            let form = [("username", "eve"), ("password", PASSWORD), ("invite", &code)];
            page(&Visitor::at(node.http).submit("/register", &form).await, 403);
            let invites = visitor.ask("GET", &target, &headers, "").await.json();
            assert_eq!(invites["items"][0]["uses"], 1, "{invites}");
            let members = format!("/api/v1/rooms/{room}/members");
            let members = visitor.ask("GET", &members, &headers, "").await.json();
            assert_eq!(members["items"][1]["user"]["username"], "bob", "{members}");
        }
    }
}
