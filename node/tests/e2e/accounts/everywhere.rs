//! Promise: login on one node is good on all, and logout, too.

use std::time::{Duration, Instant};

use serde_json::json;

use harness::account::{CHEAP_HASHES, PASSWORD, call, login};
use harness::http::request;
use harness::{Account, Cluster, eventually};

/// After which what ended on one node has ended on all.
const ENDS_WITHIN: Duration = Duration::from_secs(1);

#[tokio::test]
async fn who_registers_on_one_node_is_known_on_the_others_at_once() {
    let cluster = Cluster::start_with(3, &CHEAP_HASHES).await;
    let [a, b, c] = [0, 1, 2].map(|node| cluster[node].http);
    for turn in 0..30 {
        let name = format!("Ann{turn}");
        let ann = Account::register(a, &name).await;
        let there = Account::login(b, &name).await;
        assert_eq!((&there.id, there.username.as_str()), (&ann.id, name.to_lowercase().as_str()));
        for login in [&ann, &there] {
            let me = login.call(c, "GET", "/me", None).await;
            assert_eq!((me.status, &me.json()["id"]), (200, &json!(ann.id)), "turn {turn}: {}", me.text());
        }
        let taken = call(c, "POST", "/register", None, Some(json!({"username": name, "password": PASSWORD})));
        assert_eq!(taken.await.code(), "username_taken", "turn {turn}");
    }
}

#[tokio::test]
async fn answers_that_let_somebody_in_carry_his_cursor() {
    let cluster = Cluster::start_with(2, &CHEAP_HASHES).await;
    let [a, b] = [0, 1].map(|node| cluster[node].http);
    let body = json!({"username": "ann", "password": PASSWORD});
    let registered = call(a, "POST", "/register", None, Some(body.clone())).await;
    let logged_in = call(b, "POST", "/login", None, Some(body)).await;
    let body = json!({"refresh_token": registered.json()["refresh_token"]});
    let refreshed = call(b, "POST", "/refresh", None, Some(body)).await;
    for answer in [registered, logged_in, refreshed] {
        let cursor = answer.header("x-starling-cursor").expect("it has a cursor").to_owned();
        let bearer = format!("Bearer {}", answer.json()["access_token"].as_str().expect("it has a token"));
        let headers = [("authorization", bearer.as_str()), ("x-starling-cursor", cursor.as_str())];
        for node in [a, b] {
            let me = request(node, "GET", "/api/v1/me", &headers, b"").await.expect("it is answered");
            assert_eq!((me.status, &me.json()["username"]), (200, &json!("ann")), "{}", me.text());
        }
    }
    let refused = login(a, "ann", "wrong horse").await;
    assert_eq!((refused.status, refused.header("x-starling-cursor")), (401, None), "it let nobody in");
}

#[tokio::test]
async fn a_logout_holds_on_every_node_within_a_second() {
    let cluster = Cluster::start_with(3, &CHEAP_HASHES).await;
    let [a, b, c] = [0, 1, 2].map(|node| cluster[node].http);
    let first = Account::register(a, "ann").await;
    let second = Account::login(b, "ann").await;
    let third = Account::login(c, "ann").await;
    assert_eq!(first.call(a, "POST", "/logout", None).await.status, 204);
    ends(&first, &[a, b, c]).await;
    for node in [a, b, c] {
        assert_eq!((second.status(node).await, third.status(node).await), (200, 200), "only one has ended");
    }
    let refused = call(b, "POST", "/refresh", None, Some(json!({"refresh_token": first.refresh}))).await;
    assert_eq!((refused.status, refused.code().as_str()), (401, "unauthenticated"), "{}", refused.text());
    assert_eq!(second.call(b, "POST", "/logout?all=true", None).await.status, 204);
    ends(&second, &[a, b, c]).await;
    ends(&third, &[a, b, c]).await;
}

/// While links are cut a logout holds where it was made, and on the other side once that is reached.
#[tokio::test]
async fn a_logout_reaches_a_node_that_was_cut_off() {
    let cluster = Cluster::start_with(2, &CHEAP_HASHES).await;
    let [a, b] = [0, 1].map(|node| cluster[node].http);
    let ann = Account::register(a, "ann").await;
    assert_eq!(ann.status(b).await, 200);
    cluster.isolate(0);
    assert_eq!(ann.call(a, "POST", "/logout", None).await.status, 204);
    assert_eq!((ann.status(a).await, ann.status(b).await), (401, 200), "nobody has told the other side");
    cluster.rejoin(0);
    let ended = async || if ann.status(b).await == 401 { Ok(()) } else { Err("it lives".to_owned()) };
    eventually(Duration::from_secs(20), "the session ends there, too", ended).await;
}

/// A session that was opened where nobody could say so is one of all, too; what is opened later is not.
#[tokio::test]
async fn a_logout_of_all_ends_what_was_opened_on_the_other_side_of_a_split() {
    let cluster = Cluster::start_with(2, &CHEAP_HASHES).await;
    let [a, b] = [0, 1].map(|node| cluster[node].http);
    let ann = Account::register(a, "ann").await;
    cluster.isolate(0);
    let there = Account::login(b, "ann").await;
    assert_eq!(ann.call(a, "POST", "/logout?all=true", None).await.status, 204);
    assert_eq!(there.status(b).await, 200, "nobody has told the other side");
    let later = Account::login(a, "ann").await;
    cluster.rejoin(0);
    let ended = async || if there.status(b).await == 401 { Ok(()) } else { Err("it lives".to_owned()) };
    eventually(Duration::from_secs(20), "the session ends there, too", ended).await;
    for node in [a, b] {
        let lives = async || if later.status(node).await == 200 { Ok(()) } else { Err("not yet".to_owned()) };
        eventually(Duration::from_secs(20), "what was opened later goes on", lives).await;
        assert_eq!(there.status(node).await, 401);
    }
}

#[tokio::test]
async fn a_new_password_ends_all_other_logins_everywhere_and_the_old_one_is_wrong() {
    let cluster = Cluster::start_with(3, &CHEAP_HASHES).await;
    let [a, b, c] = [0, 1, 2].map(|node| cluster[node].http);
    let here = Account::register(a, "ann").await;
    let there = Account::login(b, "ann").await;
    let script = token(&here, a, PASSWORD).await;
    let wrong = json!({"current_password": "wrong horse", "new_password": "better horse"});
    assert_eq!(here.call(a, "POST", "/me/password", Some(wrong)).await.code(), "bad_credentials");
    let weak = json!({"current_password": PASSWORD, "new_password": "password1"});
    let weak = here.call(a, "POST", "/me/password", Some(weak)).await;
    assert_eq!(
        (weak.code(), &weak.json()["errors"][0]["field"]),
        ("invalid".to_owned(), &json!("new_password"))
    );
    let right = json!({"current_password": PASSWORD, "new_password": "better horse"});
    assert_eq!(here.call(a, "POST", "/me/password", Some(right)).await.status, 204);
    ends(&there, &[a, b, c]).await;
    for node in [a, b, c] {
        assert_eq!(here.status(node).await, 200, "this one goes on");
        assert_eq!(call(node, "GET", "/me", Some(&script), None).await.status, 401, "a token ends with it");
        assert_eq!(login(node, "ann", PASSWORD).await.code(), "bad_credentials");
        assert_eq!(login(node, "ann", "better horse").await.status, 200);
    }
    let next = call(c, "POST", "/refresh", None, Some(json!({"refresh_token": here.refresh}))).await;
    assert_eq!(next.status, 200, "{}", next.text());
    assert_eq!(
        call(c, "POST", "/refresh", None, Some(json!({"refresh_token": there.refresh}))).await.status,
        401
    );
}

/// Promise: a change of the password ends tokens unless it is told to keep them, and one that keeps them revives none.
#[tokio::test]
async fn a_new_password_keeps_tokens_where_it_is_told_to() {
    let cluster = Cluster::start_with(2, &CHEAP_HASHES).await;
    let [a, b] = [0, 1].map(|node| cluster[node].http);
    let ann = Account::register(a, "ann").await;
    let change = async |node, present: &str, new: &str, keep: bool| {
        let body = json!({"current_password": present, "new_password": new, "keep_tokens": keep});
        assert_eq!(ann.call(node, "POST", "/me/password", Some(body)).await.status, 204);
    };
    let good = async |token: &str| {
        let statuses = [a, b].map(|node| call(node, "GET", "/me", Some(token), None));
        futures_util::future::join_all(statuses).await.iter().filter(|answer| answer.status == 200).count()
    };
    let first = token(&ann, a, PASSWORD).await;
    change(b, PASSWORD, "second horse", true).await;
    let second = token(&ann, b, "second horse").await;
    assert_eq!((good(&first).await, good(&second).await), (2, 2));
    change(a, "second horse", "third horse", false).await;
    assert_eq!((good(&first).await, good(&second).await), (0, 0));
    let third = token(&ann, a, "third horse").await;
    change(b, "third horse", "fourth horse", true).await;
    assert_eq!((good(&first).await, good(&second).await, good(&third).await), (0, 0, 2));
}

/// Makes a personal access token.
async fn token(account: &Account, node: std::net::SocketAddr, password: &str) -> String {
    let body = json!({"name": "script", "password": password});
    let made = account.call(node, "POST", "/tokens", Some(body)).await;
    assert_eq!(made.status, 201, "{}", made.text());
    made.json()["token"].as_str().expect("it is shown once").to_owned()
}

async fn ends(account: &Account, nodes: &[std::net::SocketAddr]) {
    let begin = Instant::now();
    for &node in nodes {
        let ended = async || match account.status(node).await {
            401 => Ok(()),
            status => Err(format!("it lives: {status}")),
        };
        eventually(ENDS_WITHIN.saturating_sub(begin.elapsed()), "the session has ended", ended).await;
    }
}
