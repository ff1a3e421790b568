//! Promise: a reset link lets its account's owner choose a password, once, within 24 hours, on whatever node; with it
//! all logins of the account end.

use std::sync::Arc;

use serde_json::{Value, json};
use starling_node::auth::Code;
use starling_node::store::{Committer, Decide, Decision, Op, OpResult, Store, Tables};
use starling_protocol::event::ResetLinkMade;
use starling_protocol::{EventDraft, NodeId, Scope, UserId};

use crate::administration::commands::user;
use harness::account::{CHEAP_HASHES, PASSWORD, call, login};
use harness::http::Answer;
use harness::visitor::{Visitor, page, sent_to};
use harness::{Account, Cluster, Node};

const NEW: &str = "another horse";

/// An administrator.
pub(crate) async fn administrator(node: &Node, name: &str) -> Account {
    let done = user(node, &["add", "--admin", "--password-stdin", name], PASSWORD).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    Account::login(node.http, name).await
}

/// The path of a link that the API has made.
fn path(answer: &Answer) -> String {
    assert_eq!(answer.status, 201, "{}", answer.text());
    let url = answer.json()["url"].as_str().expect("it has an address").to_owned();
    let (_, path) = url.split_once("/reset/").expect("it is a link");
    format!("/reset/{path}")
}

#[tokio::test]
async fn a_reset_link_chooses_a_password_once_and_ends_all_logins() {
    let cluster = Cluster::start_with(2, &CHEAP_HASHES).await;
    let [a, b] = [0, 1].map(|node| cluster[node].http);
    let admin = administrator(&cluster[0], "root").await;
    let bob = Account::register(b, "bob").await;
    let mut window = Visitor::at(a);
    sent_to(&window.submit("/login", &[("username", "bob"), ("password", PASSWORD)]).await);
    let make =
        async || path(&admin.call(a, "POST", &format!("/admin/users/{}/reset-link", bob.id), None).await);
    let replaced = make().await;
    let link = make().await;
    let mut visitor = Visitor::at(b);
    assert!(page(&visitor.get(&link).await, 200).contains("<strong>bob</strong>"));
    let of_admin = link.replace(&bob.id, &admin.id);
    let cut = &link[..link.len() - 1];
    for wrong in [&replaced, &of_admin, cut, &format!("{link}A"), "/reset/x", "/reset/.", "/reset/%FF"] {
        page(&visitor.get(wrong).await, 404);
        page(&visitor.submit(wrong, &[("password", NEW)]).await, 404);
    }
    // What was refused does not use it up.
    for weak in ["short", "12345678", "", &"x".repeat(300)] {
        page(&visitor.submit(&link, &[("password", weak)]).await, 422);
    }
    assert_eq!((bob.status(a).await, window.me().await.0), (200, 200), "nothing has changed so far");

    assert_eq!(sent_to(&visitor.submit(&link, &[("password", NEW)]).await), "/login?changed=bob");
    for node in [a, b] {
        assert_eq!(bob.status(node).await, 401);
        window.node = node;
        assert_eq!(window.clone().me().await.0, 401);
        assert_eq!(login(node, "bob", PASSWORD).await.code(), "bad_credentials");
        assert_eq!(login(node, "bob", NEW).await.status, 200);
        let mut visitor = Visitor::at(node);
        page(&visitor.get(&link).await, 404);
        page(&visitor.submit(&link, &[("password", "a third horse")]).await, 404);
    }
    assert_eq!(admin.status(b).await, 200, "others stay");
}

#[tokio::test]
async fn a_reset_link_ends_when_its_time_is_over() {
    let mut node = Node::lone(&CHEAP_HASHES).await;
    let bob = Account::register(node.http, "bob").await;
    node.stop().await;
    let code = Code::new([7; 16]);
    let made = ResetLinkMade { code_hash: code.hash(), expires_ms: 1_700_000_000_000 };
    let store = Arc::new(Store::open_file(&node.data_dir().join("starling.redb")).expect("it is free"));
    let mut committer =
        Committer::new(store, NodeId([7; 16]), 1_700_000_000_000).expect("the store is whole");
    let scope = Scope::user(UserId::parse(&bob.id).expect("an id").expect("of a user"));
    let write = move |_: &Tables<'_>| Ok(Decision::Write(vec![EventDraft::new(scope.clone(), made.clone())]));
    let op = Op::Decide(Decide::new(write));
    let done = committer.commit(1_700_000_000_000, 7, &[op]).expect("it can be written").results.remove(0);
    assert!(matches!(done, OpResult::Done(_)), "{done:?}");
    drop(committer);
    node.restart().await;
    let link = format!("/reset/{}.{}", bob.id, code.text());
    page(&Visitor::at(node.http).get(&link).await, 404);
    page(&Visitor::at(node.http).submit(&link, &[("password", NEW)]).await, 404);
    assert_eq!(login(node.http, "bob", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn links_are_made_by_administrators_for_accounts_that_are() {
    let node = Node::lone(&CHEAP_HASHES).await;
    let admin = administrator(&node, "root").await;
    let bob = Account::register(node.http, "bob").await;
    let target = |id: &str| format!("/admin/users/{id}/reset-link");
    let by_bob = bob.call(node.http, "POST", &target(&bob.id), None).await;
    assert_eq!(by_bob.code(), "forbidden", "not even their own");
    for nobody in ["zzzz", "%00", "00000000000000000000000000", &"0".repeat(64)] {
        let answer = admin.call(node.http, "POST", &target(nobody), None).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{nobody}");
    }
    let link = path(&admin.call(node.http, "POST", &target(&bob.id), None).await);
    let body: Value = json!({"password": PASSWORD});
    assert_eq!(bob.call(node.http, "DELETE", "/me", Some(body)).await.status, 204);
    page(&Visitor::at(node.http).get(&link).await, 404);
    page(&Visitor::at(node.http).submit(&link, &[("password", NEW)]).await, 404);
    let gone = admin.call(node.http, "POST", &target(&bob.id), None).await;
    assert_eq!(gone.code(), "not_found", "{}", gone.text());
}

/// Promise: a personal token that leaked is not worth its administrator's account.
#[tokio::test]
async fn a_personal_token_administers_nothing_and_ends_with_a_reset() {
    let node = Node::lone(&CHEAP_HASHES).await;
    let admin = administrator(&node, "root").await;
    let made = admin
        .call(node.http, "POST", "/tokens", Some(json!({"name": "script", "password": PASSWORD})))
        .await
        .json();
    let token = Some(made["token"].as_str().expect("a token"));
    let target = format!("/admin/users/{}", admin.id);
    let link = format!("{target}/reset-link");
    let asked = call(node.http, "POST", &link, token, None).await;
    assert_eq!((asked.status, asked.code().as_str()), (403, "forbidden"), "{}", asked.text());
    let asked = call(node.http, "PATCH", &target, token, Some(json!({"disabled": false}))).await;
    assert_eq!((asked.status, asked.code().as_str()), (403, "forbidden"), "{}", asked.text());
    assert_eq!(call(node.http, "GET", "/admin/users", token, None).await.status, 200, "it may look");
    let link = path(&admin.call(node.http, "POST", &link, None).await);
    sent_to(&Visitor::at(node.http).submit(&link, &[("password", NEW)]).await);
    assert_eq!(call(node.http, "GET", "/me", token, None).await.code(), "unauthenticated");
}
