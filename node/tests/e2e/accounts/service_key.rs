//! Promise: sessions and the codes of invites hang on a key that is sealed: they survive that nodes which were alone form a cluster, are never refused
//! because the key is not here yet, and end where their key stood in the log.

use std::sync::Arc;

use serde_json::json;
use starling_node::auth::FamilyKey;
use starling_node::store::{Committer, Decide, Decision, Op, OpResult, Store, Tables};
use starling_protocol::event::{ServiceKeyId, SessionKind, SessionOpened};
use starling_protocol::{EventDraft, NodeId, Scope, SessionId, UserId};

use harness::account::{CHEAP_HASHES, PASSWORD, call};
use harness::cluster::new_secret;
use harness::process::free_port;
use harness::visitor::{Visitor, sent_to};
use harness::{Account, Node, PATIENCE, eventually};

/// A store of a stopped node.
fn store(node: &Node) -> Store {
    Store::open_file(&node.data_dir().join("starling.redb")).expect("a stopped node's store can be opened")
}

/// The status of a profile that is asked for by a cookie, and of a refresh.
async fn statuses(node: &Node, cookie: &str, refresh: &str) -> [u16; 2] {
    let by_cookie = Visitor { node: node.http, cookie: Some(cookie.to_owned()) }.me().await.0;
    let refreshed = call(node.http, "POST", "/refresh", None, Some(json!({"refresh_token": refresh}))).await;
    [by_cookie, refreshed.status]
}

/// Waits until both sessions are good at a node, which may not know yet but never says no.
async fn goes_on(node: &Node, cookie: &str, refresh: &str) {
    eventually(PATIENCE, &format!("the sessions are good at {}", node.name), async || {
        let statuses = statuses(node, cookie, refresh).await;
        assert!(statuses.iter().all(|status| [200, 503].contains(status)), "{statuses:?}");
        if statuses == [200, 200] { Ok(()) } else { Err(format!("{statuses:?}")) }
    })
    .await;
}

/// Makes a room and an invite to it; gives the target that takes the invite, and the one that lists its room's.
async fn invite(node: &Node, account: &Account) -> [String; 2] {
    let room = json!({"name": "den", "visibility": "private"});
    let room = account.call(node.http, "POST", "/rooms", Some(room)).await.json();
    let list = format!("/rooms/{}/invites", room["id"].as_str().expect("a room has an id"));
    let made = account.call(node.http, "POST", &list, Some(json!({}))).await.json();
    [format!("/invites/{}", made["code"].as_str().expect("an invite has a code")), list]
}

/// Promise: a node lets in everybody who has an invite.
async fn lets_in(node: &Node, account: &Account, follow: &str) {
    let answer = account.call(node.http, "POST", follow, None).await;
    assert_eq!(answer.status, 200, "{} at {}: {}", account.username, node.name, answer.text());
}

#[tokio::test]
async fn sessions_and_invites_survive_that_lone_nodes_form_a_cluster() {
    let mut nodes = [Node::lone(&CHEAP_HASHES).await, Node::lone(&CHEAP_HASHES).await];
    let (mut logins, mut invites) = (Vec::new(), Vec::new());
    for (node, name) in nodes.iter().zip(["ann", "bob"]) {
        let account = Account::register(node.http, name).await;
        let mut browser = Visitor::at(node.http);
        sent_to(&browser.submit("/login", &[("username", name), ("password", PASSWORD)]).await);
        invites.push(invite(node, &account).await);
        logins.push((browser.cookie.expect("a browser is given a cookie"), account.refresh));
    }
    let secret = new_secret().await;
    let listens = [free_port(), free_port()].map(|port| format!("127.0.0.1:{port}"));
    for (at, node) in nodes.iter_mut().enumerate() {
        node.stop().await;
        node.add_args(&[
            "--cluster-secret",
            &secret,
            "--cluster-listen",
            &listens[at],
            "--join",
            &listens[1 - at],
        ]);
        node.start();
    }
    for node in &mut nodes {
        node.wait_ready().await;
    }
    for (cookie, refresh) in &logins {
        for node in &nodes {
            goes_on(node, cookie, refresh).await;
        }
    }
    let accounts = [Account::login(nodes[0].http, "ann").await, Account::login(nodes[0].http, "bob").await];
    // One of the two codes was made under the key that is not the current one.
    for (guest, [follow, _]) in accounts.iter().rev().zip(&invites) {
        for node in &nodes {
            lets_in(node, guest, follow).await;
        }
    }
    let newcomer = Account::register(nodes[1].http, "eve").await;
    for (host, [_, list]) in accounts.iter().zip(&invites) {
        let listed = host.call(nodes[0].http, "GET", list, None).await.json();
        let code = listed["items"][0]["code"].as_str().expect("it is listed with a code");
        lets_in(&nodes[1], &newcomer, &format!("/invites/{code}")).await;
    }
    // Nothing of it hangs on the node where it began.
    let [ann, _] = &mut nodes;
    ann.kill9().await;
    goes_on(&nodes[1], &logins[0].0, &logins[0].1).await;
    // The earliest key serves new sessions on both.
    nodes[0].restart().await;
    let later = [Account::login(nodes[1].http, "ann").await, Account::login(nodes[0].http, "bob").await];
    for node in &mut nodes {
        node.stop().await;
    }
    let store = store(&nodes[0]);
    let records = store.records().expect("views");
    let keys = records.service_keys().expect("service keys");
    assert_eq!(keys.len(), 2, "each node had made one");
    for login in later {
        let user = UserId::parse(&login.id).ok().flatten().expect("the id of a user");
        let sessions = records.sessions(user).expect("sessions");
        let newest =
            sessions.into_iter().filter_map(|(_, state)| state.opened).max_by_key(|(place, _)| *place);
        assert_eq!(newest.expect("a session").1.service_key, Some(keys[0].0), "{}", login.username);
    }
}

/// Writes sessions of somebody into the store of a stopped node, as a peer would send them.
fn write_sessions(node: &Node, user: UserId, sessions: &[(SessionId, SessionKind, Option<ServiceKeyId>)]) {
    let store = Arc::new(store(node));
    let password =
        store.records().expect("views").existing_account(user).expect("a record").expect("an account");
    let password = password.password().expect("a password").change;
    let mut committer =
        Committer::new(store, NodeId([9; 16]), 1_700_000_000_000).expect("it can be written to");
    for (session, kind, service_key) in sessions.iter().cloned() {
        let (key, user_agent, expires_ms) = ([7; 32], "".into(), Some(u64::MAX));
        let opened =
            SessionOpened { session, kind, password_pos: password, key, user_agent, expires_ms, service_key };
        let write = move |_: &Tables<'_>| {
            Ok(Decision::Write(vec![EventDraft::new(Scope::user(user), opened.clone())]))
        };
        let done =
            committer.commit(1_700_000_000_000, 7, &[Op::Decide(Decide::new(write))]).expect("it is written");
        assert!(matches!(done.results[0], OpResult::Done(_)));
    }
}

#[tokio::test]
async fn a_session_whose_key_is_not_here_is_not_refused_and_one_whose_key_is_in_the_log_is() {
    let mut node = Node::lone(&CHEAP_HASHES).await;
    let ann = Account::register(node.http, "ann").await;
    let user = UserId::parse(&ann.id).ok().flatten().expect("the id of a user");
    node.stop().await;
    let missing = Some(ServiceKeyId([1; 16]));
    let [cookie, tokens, old_cookie, old_tokens] = [1, 2, 3, 4].map(|n| SessionId([n; 16]));
    write_sessions(
        &node,
        user,
        &[
            (cookie, SessionKind::Cookie, missing),
            (tokens, SessionKind::Tokens, missing),
            (old_cookie, SessionKind::Cookie, None),
            (old_tokens, SessionKind::Tokens, None),
        ],
    );
    node.restart().await;
    let family = FamilyKey::new(&[7; 32]);
    let cookie_of = |session: SessionId| {
        format!("starling_session={}", family.browser_token(&session.to_string(), &ann.id))
    };
    let refresh_of = |session: SessionId| family.refresh_token(&session.to_string(), &ann.id, 0);
    assert_eq!(statuses(&node, &cookie_of(cookie), &refresh_of(tokens)).await, [503, 503]);
    assert_eq!(statuses(&node, &cookie_of(old_cookie), &refresh_of(old_tokens)).await, [401, 401]);
    let listed = ann.call(node.http, "GET", "/sessions", None).await.json();
    let ids: Vec<_> =
        listed["items"].as_array().into_iter().flatten().map(|item| item["id"].clone()).collect();
    assert_eq!(ids.len(), 3, "those that have ended are not shown: {ids:?}");
    // A new login is all that it takes.
    let mut browser = Visitor { node: node.http, cookie: Some(cookie_of(old_cookie)) };
    sent_to(&browser.submit("/login", &[("username", "ann"), ("password", PASSWORD)]).await);
    assert_eq!(browser.me().await.0, 200);
}
