//! A socket lives as long as the session of its account, wherever that ends.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use harness::account::{CHEAP_HASHES, PASSWORD};
use harness::{Account, Client, Cluster, Frame, Live, Refused, http};

/// A logout is effective on all live nodes within this.
const ENDS_WITHIN: Duration = Duration::from_secs(1);

async fn all_close(live: &mut [Live]) {
    let since = Instant::now();
    for live in live {
        assert_eq!(live.closes(ENDS_WITHIN.saturating_sub(since.elapsed())).await, Some(4001));
    }
}

async fn lives(live: &mut Live) {
    live.send(json!({"type": "ping"})).await;
    live.until_type("pong").await;
}

#[tokio::test]
async fn what_ends_a_session_closes_its_sockets_on_all_nodes_within_a_second() {
    let cluster = Cluster::start_with(3, &CHEAP_HASHES).await;
    let [a, b, c] = [0, 1, 2].map(|node| cluster[node].http);
    let ann = Account::register(a, "ann").await;
    let everywhere = async |token: &str| {
        [Live::join(a, token).await, Live::join(b, token).await, Live::join(c, token).await]
    };
    let mut stays = Live::join(b, &ann.access).await;

    let other = Account::login(b, "ann").await;
    let mut sockets = everywhere(&other.access).await;
    other.expect(c, "POST", "/logout", Value::Null, 204).await;
    all_close(&mut sockets).await;

    let other = Account::login(c, "ann").await;
    let mut sockets = everywhere(&other.access).await;
    let sessions = ann.expect(a, "GET", "/sessions", Value::Null, 200).await;
    let items = sessions["items"].as_array().expect("it is a list");
    let id = items.iter().find(|session| session["current"] == false).expect("there are two")["id"].clone();
    ann.expect(b, "DELETE", &format!("/sessions/{}", id.as_str().expect("it is a text")), Value::Null, 204)
        .await;
    all_close(&mut sockets).await;

    let token = ann.expect(a, "POST", "/tokens", json!({"name": "script", "password": PASSWORD}), 201).await;
    let text = |name: &str| token[name].as_str().expect("it is a text").to_owned();
    let mut sockets = everywhere(&text("token")).await;
    ann.expect(b, "DELETE", &format!("/tokens/{}", text("id")), Value::Null, 204).await;
    all_close(&mut sockets).await;

    let other = Account::login(a, "ann").await;
    let mut sockets = everywhere(&other.access).await;
    let passwords = json!({"current_password": PASSWORD, "new_password": "better horse"});
    ann.expect(c, "POST", "/me/password", passwords, 204).await;
    all_close(&mut sockets).await;

    lives(&mut stays).await;
    ann.expect(c, "POST", "/logout?all=true", Value::Null, 204).await;
    all_close(&mut [stays]).await;
    let refused = Live::connect(b, &ann.access, None).await.err();
    assert_eq!(refused, Some(Refused { status: 401, code: "unauthenticated".to_owned() }));
}

#[tokio::test]
async fn in_a_quick_room_who_is_logged_in_appears_as_himself_until_he_logs_out() {
    let cluster = Cluster::start_with(2, &CHEAP_HASHES).await;
    let [a, b] = [0, 1].map(|node| cluster[node].http);
    let ann = Account::register(a, "ann").await;
    let room = http::create_room(a).await;
    let mut guest = Client::join(b, &room, "Guest").await;
    for name in ["ann", "ANN"] {
        let refused = Client::connect(b, &room, name, None, None).await.err();
        assert_eq!(
            refused,
            Some(Refused { status: 409, code: "name_in_use".to_owned() }),
            "{name} has an account"
        );
    }
    let mut socket = Client::connect_as(a, &room, &ann.access).await.expect("sthey are let in");
    assert_eq!(socket.name, "ann");
    guest
        .until("that she is here", |frame| {
            matches!(frame, Frame::Joined { username } if username == "ann").then_some(())
        })
        .await;
    socket.opening().await;
    socket.post("hello").await;
    let shown = guest.until_message("hello").await;
    assert_eq!((shown.username.as_str(), shown.guest), ("ann", false));
    let listed = http::list_all(b, &room).await;
    assert_eq!((listed[0].username.as_str(), listed[0].guest), ("ann", false));
    ann.expect(b, "POST", "/logout", Value::Null, 204).await;
    let closed = tokio::time::timeout(ENDS_WITHIN, socket.until_closed()).await;
    assert_eq!(closed.expect("within a second"), Some(4001));
    let refused = Client::connect_as(a, &room, &ann.access).await.err();
    assert_eq!(refused, Some(Refused { status: 401, code: "unauthenticated".to_owned() }), "it says why");
}
