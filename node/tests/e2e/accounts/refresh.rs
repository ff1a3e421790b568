//! Promise: a refresh token is good for one step on any node; a lost response costs nothing; used again after its
//! successor it ends the session.

use std::net::SocketAddr;

use serde_json::json;

use harness::account::{CHEAP_HASHES, call};
use harness::http::Answer;
use harness::{Account, Cluster};

async fn refresh(node: SocketAddr, token: &str) -> Answer {
    call(node, "POST", "/refresh", None, Some(json!({"refresh_token": token}))).await
}

#[tokio::test]
async fn a_session_is_refreshed_from_node_to_node() {
    let cluster = Cluster::start_with(3, &CHEAP_HASHES).await;
    let mut ann = Account::register(cluster[0].http, "ann").await;
    for turn in 0..30 {
        let next = Account::of(&refresh(cluster[turn % 3].http, &ann.refresh).await, 200);
        assert_ne!(next.refresh, ann.refresh);
        assert_eq!(next.status(cluster[(turn + 1) % 3].http).await, 200);
        assert_eq!(
            ann.status(cluster[(turn + 2) % 3].http).await,
            200,
            "an access token lives until it expires"
        );
        ann = next;
    }
}

#[tokio::test]
async fn a_token_that_is_repeated_gets_the_same_successor_until_that_is_used() {
    let cluster = Cluster::start_with(3, &CHEAP_HASHES).await;
    let [a, b, c] = [0, 1, 2].map(|node| cluster[node].http);
    let first = Account::register(a, "ann").await;
    let (one, other) = tokio::join!(refresh(a, &first.refresh), refresh(b, &first.refresh));
    let second = Account::of(&one, 200);
    assert_eq!(Account::of(&other, 200).refresh, second.refresh, "also at the same time");
    for node in [a, b, c] {
        assert_eq!(Account::of(&refresh(node, &first.refresh).await, 200).refresh, second.refresh);
    }
    let third = Account::of(&refresh(c, &second.refresh).await, 200);
    assert_eq!(Account::of(&refresh(a, &second.refresh).await, 200).refresh, third.refresh);
    // Two hold the first: the session ends for both.
    let reused = refresh(b, &first.refresh).await;
    assert_eq!((reused.status, reused.code().as_str()), (401, "unauthenticated"));
    for node in [a, b, c] {
        assert_eq!(refresh(node, &third.refresh).await.status, 401);
        assert_eq!(third.status(node).await, 401);
    }
    assert_eq!(Account::login(b, "ann").await.status(a).await, 200, "the account is not harmed");
}

/// A node that cannot know yet does not end a session, nor does it say that there is none.
#[tokio::test]
async fn a_token_that_a_node_cannot_know_yet_is_answered_with_503() {
    let cluster = Cluster::start_with(2, &CHEAP_HASHES).await;
    let [a, b] = [0, 1].map(|node| cluster[node].http);
    let ann = Account::register(a, "ann").await;
    cluster.isolate(0);
    let second = Account::of(&refresh(a, &ann.refresh).await, 200);
    let third = Account::of(&refresh(a, &second.refresh).await, 200);
    let new = Account::login(a, "ann").await;
    for (token, what) in [(&third.refresh, "a later step"), (&new.refresh, "a new session")] {
        let answer = refresh(b, token).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (503, "unavailable"),
            "{what}: {}",
            answer.text()
        );
    }
    let answer = new.call(b, "GET", "/me", None).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "unavailable"), "{}", answer.text());
    cluster.rejoin(0);
    cluster.linked().await;
    assert_eq!(refresh(b, &third.refresh).await.status, 200);
    assert_eq!(new.status(b).await, 200);
}

#[tokio::test]
async fn what_is_no_refresh_token_is_refused() {
    let cluster = Cluster::start_with(1, &CHEAP_HASHES).await;
    let node = cluster[0].http;
    let ann = Account::register(node, "ann").await;
    let bob = Account::register(node, "bob").await;
    let parts = |token: &str| token.split('.').map(str::to_owned).collect::<Vec<_>>();
    let (anns, bobs) = (parts(&ann.refresh), parts(&bob.refresh));
    let later = format!("{}.{}.1.{}", anns[0], anns[1], anns[3]);
    let mixed = format!("{}.{}.0.{}", anns[0], anns[1], bobs[3]);
    for token in ["", "x", "starling_rt_", &ann.access, &later, &mixed, &ann.refresh[..ann.refresh.len() - 1]]
    {
        let answer = refresh(node, token).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "unauthenticated"), "{token}");
    }
    assert_eq!(call(node, "GET", "/me", Some(&ann.refresh), None).await.status, 401, "it opens nothing else");
    assert_eq!(refresh(node, &ann.refresh).await.status, 200, "trying has not ended it");
}
