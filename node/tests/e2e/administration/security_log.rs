//! Promise: whatever matters to security is in the log, with who did it, from where, in which request; and no secret is.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::administration::commands::user;
use crate::administration::reset::administrator;
use crate::administration::setup::printed;
use harness::account::{CHEAP_HASHES, PASSWORD};
use harness::http::{Answer, request};
use harness::visitor::{Visitor, sent_to};
use harness::{Account, Node, PATIENCE, eventually};

/// The address from which all requests seem to come.
const FROM: &str = "203.0.113.9";
/// The request id that the proxy sets where the test looks for the log line.
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

/// Acts at a node: the events that its log must tell, each with its user, and the secrets that it must not.
struct Acts<'a> {
    node: &'a Node,
    expected: Vec<(&'static str, String)>,
    secrets: BTreeSet<String>,
}

const PROXIED: [(&str, &str); 2] = [("x-forwarded-for", FROM), ("x-request-id", REQUEST)];

fn credentials(name: &str, password: &str) -> Value {
    json!({"username": name, "password": password})
}

impl Acts<'_> {
    fn expect(&mut self, event: &'static str, user: &str) {
        self.expected.push((event, user.to_owned()));
    }

    fn keep_secret(&mut self, account: Account) -> Account {
        self.secrets.extend([account.access.clone(), account.refresh.clone()]);
        account
    }

    async fn ask(&self, method: &str, target: &str, token: Option<&str>, body: Option<Value>) -> Answer {
        ask(self.node, method, target, token, body).await
    }

    async fn log_in(&mut self, name: &str, password: &str) -> Account {
        self.secrets.insert(password.to_owned());
        let answer = self.ask("POST", "/login", None, Some(credentials(name, password))).await;
        self.keep_secret(Account::of(&answer, 200))
    }

    /// The first administrator, by a browser; gives them.
    async fn set_up(&mut self) -> Account {
        let setup = printed(self.node).await;
        self.secrets.insert(setup["/setup/".len()..].to_owned());
        let mut root = Visitor::at(self.node.http);
        let form = [("username", "root"), ("password", PASSWORD)];
        sent_to(&root.submit_with(&setup, &form, &PROXIED).await);
        let cookie = root.cookie.clone().expect("a session");
        self.secrets.insert(cookie.split_once('=').expect("a pair").1.to_owned());
        let root = self.log_in("root", PASSWORD).await;
        self.expect("setup_completed", &root.id);
        root
    }

    /// Registration, logins, refreshing; gives a new account.
    async fn enter(&mut self) -> Account {
        let registered = self.ask("POST", "/register", None, Some(credentials("bob", PASSWORD))).await;
        let bob = self.keep_secret(Account::of(&registered, 201));
        let first = self.log_in("bob", PASSWORD).await;
        self.secrets.insert("wrong horse".to_owned());
        assert_eq!(
            self.ask("POST", "/login", None, Some(credentials("bob", "wrong horse"))).await.status,
            401
        );
        // People type their password where their name belongs.
        self.secrets.insert("typed in the wrong field".to_owned());
        let mistyped = Some(credentials("typed in the wrong field", PASSWORD));
        assert_eq!(self.ask("POST", "/login", None, mistyped).await.status, 401);
        for event in ["account_registered", "login_succeeded", "login_failed", "refresh_reused"] {
            self.expect(event, &bob.id);
        }
        self.expect("login_failed", "unknown");
        let refresh = |token: &str| Some(json!({"refresh_token": token}));
        let answer = self.ask("POST", "/refresh", None, refresh(&first.refresh)).await;
        let second = self.keep_secret(Account::of(&answer, 200));
        let answer = self.ask("POST", "/refresh", None, refresh(&second.refresh)).await;
        self.keep_secret(Account::of(&answer, 200));
        assert_eq!(self.ask("POST", "/refresh", None, refresh(&first.refresh)).await.status, 401);
        bob
    }

    /// Tokens, sessions and the password.
    async fn change_credentials(&mut self, bob: &Account) {
        let by = Some(bob.access.as_str());
        let script = |password: &str| Some(json!({"name": "script", "password": password}));
        let made = self.ask("POST", "/tokens", by, script(PASSWORD)).await;
        self.secrets.insert(text(&made, "token"));
        assert_eq!(self.ask("POST", "/tokens", by, script("wrong horse")).await.status, 401);
        let target = format!("/tokens/{}", text(&made, "id"));
        assert_eq!(self.ask("DELETE", &target, by, None).await.status, 204);
        self.log_in("bob", PASSWORD).await;
        let sessions = self.ask("GET", "/sessions", by, None).await.json();
        let sessions = sessions["items"].as_array().expect("a list");
        let session = sessions.iter().find(|session| session["current"] == false).expect("another");
        let target = format!("/sessions/{}", session["id"].as_str().expect("an id"));
        assert_eq!(self.ask("DELETE", &target, by, None).await.status, 204);
        self.secrets.insert("second horse".to_owned());
        let change = json!({"current_password": PASSWORD, "new_password": "second horse"});
        assert_eq!(self.ask("POST", "/me/password", by, Some(change)).await.status, 204);
        for event in
            ["token_made", "password_check_failed", "token_ended", "session_ended", "password_changed"]
        {
            self.expect(event, &bob.id);
        }
    }

    /// A room's roles and bans.
    async fn rule_a_room(&mut self, root: &Account, bob: &Account) {
        let (by_root, by_bob) = (Some(root.access.as_str()), Some(bob.access.as_str()));
        let hall = json!({"name": "hall", "visibility": "public"});
        let hall = text(&self.ask("POST", "/rooms", by_root, Some(hall)).await, "id");
        let (join, member) = (format!("/rooms/{hall}/join"), format!("/rooms/{hall}/members/{}", bob.id));
        let (ban, lift) = (format!("{member}?ban=true"), format!("/rooms/{hall}/bans/{}", bob.id));
        for (method, target, by, status) in [
            ("POST", &join, by_bob, 200),
            ("PATCH", &member, by_root, 200),
            ("DELETE", &ban, by_root, 204),
            ("DELETE", &lift, by_root, 204),
            ("POST", &join, by_bob, 200),
            ("DELETE", &member, by_root, 204),
        ] {
            let role = (method == "PATCH").then(|| json!({"role": "moderator"}));
            assert_eq!(self.ask(method, target, by, role).await.status, status, "{method} {target}");
        }
        for event in ["role_set", "member_banned", "ban_lifted", "member_removed"] {
            self.expect(event, &root.id);
        }
    }

    /// Administration, by who may and by who may not, to the end of the account.
    async fn administer(&mut self, root: &Account, bob: &Account) {
        let by_root = Some(root.access.as_str());
        let target = format!("/admin/users/{}", bob.id);
        let grant = Some(json!({"admin": true}));
        assert_eq!(self.ask("PATCH", &target, Some(&bob.access), grant).await.status, 403);
        self.expect("access_refused", &bob.id);
        for (flags, event) in [
            (json!({"admin": true}), "admin_granted"),
            (json!({"admin": false}), "admin_revoked"),
            (json!({"disabled": true}), "account_disabled"),
            (json!({"disabled": false}), "account_enabled"),
        ] {
            assert_eq!(self.ask("PATCH", &target, by_root, Some(flags)).await.status, 200);
            self.expect(event, &root.id);
        }
        let link = text(&self.ask("POST", &format!("{target}/reset-link"), by_root, None).await, "url");
        self.expect("reset_link_made", &root.id);
        let (_, code) = link.split_once("/reset/").expect("a link");
        self.secrets.insert(code.to_owned());
        let form = [("password", "third horse")];
        let chosen =
            Visitor::at(self.node.http).submit_with(&format!("/reset/{code}"), &form, &PROXIED).await;
        assert_eq!(sent_to(&chosen), "/login?changed=bob");
        let last = self.log_in("bob", "third horse").await;
        let gone = Some(json!({"password": "third horse"}));
        assert_eq!(self.ask("DELETE", "/me", Some(&last.access), gone).await.status, 204);
        self.expect("password_reset", &bob.id);
        self.expect("account_deleted", &bob.id);
        assert_eq!(self.ask("POST", "/logout?all=true", by_root, None).await.status, 204);
        self.expect("logged_out", &root.id);
    }
}

#[tokio::test]
async fn acts_that_matter_are_logged_with_who_where_and_in_which_request_and_without_secrets() {
    let args = ["--trusted-proxy", "127.0.0.0/8", "--log-filter", "debug"];
    let node = Node::lone(&[&CHEAP_HASHES[..], &args].concat()).await;
    let mut acts = Acts { node: &node, expected: Vec::new(), secrets: BTreeSet::new() };
    let root = acts.set_up().await;
    let bob = acts.enter().await;
    acts.change_credentials(&bob).await;
    acts.rule_a_room(&root, &bob).await;
    acts.administer(&root, &bob).await;
    // A parameter is a secret, too, and so is an address that leads nowhere.
    acts.secrets.insert("0123456789abcdef".to_owned());
    for target in ["/no/0123456789abcdef", "/room-exists?roomID=0123456789abcdef", "/r/0123456789abcdef"] {
        request(node.http, "GET", target, &PROXIED, b"").await.expect("an answer");
    }
    for (event, user) in &acts.expected {
        let found = line(&node, event, |line| line["user"] == user.as_str()).await;
        assert_eq!((&found["client"], &found["request_id"]), (&json!(FROM), &json!(REQUEST)), "{found}");
        assert_eq!(found["level"], "INFO", "{found}");
    }
    let log = std::fs::read_to_string(node.beside("stderr")).expect("there is a log");
    for secret in &acts.secrets {
        // Of tokens that name their holder and their session, the end is what proves them.
        let proof = secret.rsplit('.').next().unwrap_or(secret);
        let shown = log.lines().find(|line| line.contains(proof));
        assert_eq!(shown, None, "{secret} is in the log");
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
        let found = line(&node, event, |_| true).await;
        assert_eq!((&found["user"], &found["client"]), operator, "{found}");
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
