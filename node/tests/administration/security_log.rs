//! Promise: whatever matters to security is in the log, with who did it, from where, in which request; and no secret is.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::commands::user;
use crate::reset::administrator;
use crate::setup::printed;
use crate::support::account::{CHEAP_HASHES, PASSWORD, call};
use crate::support::http::{Answer, encode, request};
use crate::support::{Account, Node, PATIENCE, eventually};
use crate::visitor::{Visitor, sent_to};

/// What everybody seems to come from.
const FROM: &str = "203.0.113.9";
/// What the proxy calls requests whose line is looked for.
const REQUEST: &str = "request-of-the-test";

/// All lines of a node's log so far.
fn lines(node: &Node) -> Vec<Value> {
    let text = std::fs::read_to_string(node.beside("stderr")).expect("there is a log");
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The log line of an event; it is written before the answer, but maybe not yet in the file.
async fn line(node: &Node, event: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    eventually(PATIENCE, &format!("{event} is logged"), async || {
        let found = lines(node)
            .into_iter()
            .rfind(|line| line["target"] == "security" && line["event"] == event && is_it(line));
        found.ok_or_else(|| {
            format!("{:#?}", lines(node).iter().map(|line| &line["event"]).collect::<Vec<_>>())
        })
    })
    .await
}

/// Asks through a proxy, which names client and request.
async fn ask(node: &Node, method: &str, target: &str, token: Option<&str>, body: Option<Value>) -> Answer {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let mut headers = vec![("x-forwarded-for", FROM), ("x-request-id", REQUEST)];
    headers.extend(bearer.iter().map(|bearer| ("authorization", bearer.as_str())));
    headers.extend(body.iter().map(|_| ("content-type", "application/json")));
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    request(node.http, method, &format!("/api/v1{target}"), &headers, body.as_bytes())
        .await
        .expect("an answer")
}

fn text(answer: &Answer, name: &str) -> String {
    answer.json()[name].as_str().unwrap_or_else(|| unreachable!("no {name}: {}", answer.text())).to_owned()
}

#[tokio::test]
async fn acts_that_matter_are_logged_with_who_where_and_in_which_request_and_without_secrets() {
    let args = ["--trusted-proxy", "127.0.0.0/8", "--log-filter", "debug"];
    let node = Node::lone(&[&CHEAP_HASHES[..], &args].concat()).await;
    let mut secrets = BTreeSet::from([PASSWORD.to_owned(), "wrong horse".to_owned()]);
    let mut expected: Vec<(&str, String)> = Vec::new();

    // The first administrator, by a browser.
    let setup = printed(&node).await;
    secrets.insert(setup["/setup/".len()..].to_owned());
    let mut root = Visitor::at(node.http);
    let form = [("username", "root"), ("password", PASSWORD)];
    let proxied = [("x-forwarded-for", FROM), ("x-request-id", REQUEST)];
    sent_to(&root.submit_with(&setup, &form, &proxied).await);
    secrets.insert(root.cookie.clone().expect("a session").split_once('=').expect("a pair").1.to_owned());
    let root_id = root.me().await.1["id"].as_str().expect("an id").to_owned();
    expected.push(("setup_completed", root_id.clone()));

    // Registration, logins, refreshing.
    let body = |name: &str, password: &str| Some(json!({"username": name, "password": password}));
    let registered = ask(&node, "POST", "/register", None, body("bob", PASSWORD)).await;
    let bob = Account::of(&registered, 201);
    expected.push(("account_registered", bob.id.clone()));
    let bob2 = Account::of(&ask(&node, "POST", "/login", None, body("bob", PASSWORD)).await, 200);
    expected.push(("login_succeeded", bob.id.clone()));
    assert_eq!(ask(&node, "POST", "/login", None, body("bob", "wrong horse")).await.status, 401);
    expected.push(("login_failed", bob.id.clone()));
    // People type their password where their name belongs.
    secrets.insert("typed in the wrong field".to_owned());
    let mistyped = body("typed in the wrong field", PASSWORD);
    assert_eq!(ask(&node, "POST", "/login", None, mistyped).await.status, 401);
    line(&node, "login_failed", |line| line["user"] == "unknown" && line["request_id"] == REQUEST).await;
    let refresh =
        async |token: &str| ask(&node, "POST", "/refresh", None, Some(json!({"refresh_token": token}))).await;
    let next = Account::of(&refresh(&bob2.refresh).await, 200);
    let after = Account::of(&refresh(&next.refresh).await, 200);
    assert_eq!(refresh(&bob2.refresh).await.status, 401);
    expected.push(("refresh_reused", bob.id.clone()));
    for login in [&bob, &bob2, &next, &after] {
        secrets.extend([login.access.clone(), login.refresh.clone()]);
    }

    // Tokens and the password.
    let as_bob = Some(bob.access.as_str());
    let script = |password: &str| Some(json!({"name": "script", "password": password}));
    let made = ask(&node, "POST", "/tokens", as_bob, script(PASSWORD)).await;
    secrets.insert(text(&made, "token"));
    expected.push(("token_made", bob.id.clone()));
    assert_eq!(ask(&node, "POST", "/tokens", as_bob, script("wrong horse")).await.status, 401);
    expected.push(("password_check_failed", bob.id.clone()));
    assert_eq!(
        ask(&node, "DELETE", &format!("/tokens/{}", text(&made, "id")), as_bob, None).await.status,
        204
    );
    expected.push(("token_ended", bob.id.clone()));
    let other = Account::of(&ask(&node, "POST", "/login", None, body("bob", PASSWORD)).await, 200);
    secrets.extend([other.access.clone(), other.refresh.clone()]);
    let sessions = ask(&node, "GET", "/sessions", as_bob, None).await.json();
    let sessions = sessions["items"].as_array().expect("a list");
    let session = sessions.iter().find(|session| session["current"] == false).expect("another");
    let target = format!("/sessions/{}", session["id"].as_str().expect("an id"));
    assert_eq!(ask(&node, "DELETE", &target, as_bob, None).await.status, 204);
    expected.push(("session_ended", bob.id.clone()));
    secrets.insert("second horse".to_owned());
    let change = json!({"current_password": PASSWORD, "new_password": "second horse"});
    assert_eq!(ask(&node, "POST", "/me/password", as_bob, Some(change)).await.status, 204);
    expected.push(("password_changed", bob.id.clone()));

    // A room's roles and bans.
    let root_login = Account::of(&ask(&node, "POST", "/login", None, body("root", PASSWORD)).await, 200);
    secrets.extend([root_login.access.clone(), root_login.refresh.clone()]);
    let as_root = Some(root_login.access.as_str());
    let room = json!({"name": "hall", "visibility": "public"});
    let room = text(&ask(&node, "POST", "/rooms", as_root, Some(room)).await, "id");
    assert_eq!(ask(&node, "POST", &format!("/rooms/{room}/join"), as_bob, None).await.status, 200);
    let member = format!("/rooms/{room}/members/{}", bob.id);
    let role = Some(json!({"role": "moderator"}));
    assert_eq!(ask(&node, "PATCH", &member, as_root, role).await.status, 200);
    assert_eq!(ask(&node, "DELETE", &format!("{member}?ban=true"), as_root, None).await.status, 204);
    assert_eq!(
        ask(&node, "DELETE", &format!("/rooms/{room}/bans/{}", bob.id), as_root, None).await.status,
        204
    );
    assert_eq!(ask(&node, "POST", &format!("/rooms/{room}/join"), as_bob, None).await.status, 200);
    assert_eq!(ask(&node, "DELETE", &member, as_root, None).await.status, 204);
    for event in ["role_set", "member_banned", "ban_lifted", "member_removed"] {
        expected.push((event, root_id.clone()));
    }

    // Administration, by who may and by who may not.
    let target = format!("/admin/users/{}", bob.id);
    let flag = async |by, flags: Value| ask(&node, "PATCH", &target, by, Some(flags)).await.status;
    assert_eq!(flag(as_bob, json!({"admin": true})).await, 403);
    expected.push(("access_refused", bob.id.clone()));
    for (flags, event) in [
        (json!({"admin": true}), "admin_granted"),
        (json!({"admin": false}), "admin_revoked"),
        (json!({"disabled": true}), "account_disabled"),
        (json!({"disabled": false}), "account_enabled"),
    ] {
        assert_eq!(flag(as_root, flags).await, 200);
        expected.push((event, root_id.clone()));
    }
    let link = text(&ask(&node, "POST", &format!("{target}/reset-link"), as_root, None).await, "url");
    let (_, code) = link.split_once("/reset/").expect("a link");
    secrets.extend([code.to_owned(), code.split_once('.').expect("two parts").1.to_owned()]);
    expected.push(("reset_link_made", root_id.clone()));
    secrets.insert("third horse".to_owned());
    let target = format!("/reset/{code}");
    let chosen = Visitor::at(node.http).submit_with(&target, &[("password", "third horse")], &proxied).await;
    assert_eq!(sent_to(&chosen), "/login?changed=bob");
    expected.push(("password_reset", bob.id.clone()));
    let last = Account::of(&ask(&node, "POST", "/login", None, body("bob", "third horse")).await, 200);
    secrets.extend([last.access.clone(), last.refresh.clone()]);
    let gone = Some(json!({"password": "third horse"}));
    assert_eq!(ask(&node, "DELETE", "/me", Some(&last.access), gone).await.status, 204);
    expected.push(("account_deleted", bob.id.clone()));
    assert_eq!(ask(&node, "POST", "/logout?all=true", as_root, None).await.status, 204);
    expected.push(("logged_out", root_id.clone()));
    // A parameter is a secret, too.
    secrets.insert("0123456789abcdef".to_owned());
    call(node.http, "GET", "/no/0123456789abcdef", None, None).await;
    let target = format!("/room-exists?roomID={}", encode("0123456789abcdef"));
    assert_eq!(request(node.http, "GET", &target, &[], b"").await.expect("an answer").status, 200);

    for (event, user) in expected {
        let line = line(&node, event, |line| line["user"] == user.as_str()).await;
        assert_eq!((&line["client"], &line["request_id"]), (&json!(FROM), &json!(REQUEST)), "{line}");
        assert_eq!(line["level"], "INFO", "{line}");
    }
    secrets.remove("");
    let log = std::fs::read_to_string(node.beside("stderr")).expect("there is a log");
    for secret in &secrets {
        // Of tokens that name their holder and their session, the end is what proves them.
        let proof = secret.rsplit('.').next().unwrap_or(secret);
        let at = log.lines().find(|line| line.contains(proof));
        assert_eq!(at, None, "{secret} is in the log");
    }
}

/// Promise: what an operator does is logged as theirs, and `x-request-id` names a request in the log, by a name that only a
/// trusted proxy chooses.
#[tokio::test]
async fn operators_are_logged_and_requests_are_found_by_the_name_in_their_answer() {
    let mut node = Node::lone(&[&CHEAP_HASHES[..], &["--limit-logins-per-account", "1/h"]].concat()).await;
    let root = administrator(&node, "root").await;
    let added = line(&node, "account_added", |line| line["account"] == root.id.as_str()).await;
    let operator = (&json!("operator"), &json!("control socket"));
    assert_eq!((&added["user"], &added["client"]), operator, "{added}");
    Account::register(node.http, "bob").await;
    for (args, event) in [
        (&["promote", "bob"][..], "admin_granted"),
        (&["reset", "bob"], "reset_link_made"),
        (&["password", "bob", "--password-stdin"], "password_reset"),
    ] {
        assert_eq!(user(&node, args, "second horse").await.code, Some(0));
        let line = line(&node, event, |_| true).await;
        assert_eq!((&line["user"], &line["client"]), operator, "{line}");
    }

    let headers = [("x-request-id", "chosen-by-a-stranger"), ("content-type", "application/json")];
    let wrong = json!({"username": "root", "password": "wrong horse"}).to_string();
    for event in ["login_failed", "login_limited"] {
        let answer = request(node.http, "POST", "/api/v1/login", &headers, wrong.as_bytes()).await;
        let answer = answer.expect("an answer");
        let id = answer.header("x-request-id").expect("it has a name").to_owned();
        assert_ne!(id, "chosen-by-a-stranger");
        line(&node, event, |line| line["request_id"] == id.as_str() && line["client"] == "127.0.0.1").await;
        let request = lines(&node)
            .into_iter()
            .find(|line| line["target"] == "requests" && line["request_id"] == id.as_str());
        let request = request.expect("a refused request has a line");
        assert_eq!(
            (&request["method"], &request["path"]),
            (&json!("POST"), &json!("/api/v1/login")),
            "{request}"
        );
        assert_eq!((&request["status"], &request["client"]), (&json!(answer.status), &json!("127.0.0.1")));
        assert!(request["duration_us"].as_u64().is_some(), "{request}");
    }
    node.stop().await;
    let fine = lines(&node).into_iter().filter(|line| line["target"] == "requests" && line["status"] == 200);
    assert_eq!(fine.count(), 0, "requests that were answered are logged at debug");
}
