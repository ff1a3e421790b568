//! Promise 10: a disk that fills up refuses users' writes with a clear error, then sends users elsewhere; everything
//! acked stays. (Filling a real one is `chaos`'s; here the reserve is as large as the disk.)

use harness::account::{CHEAP_HASHES, PASSWORD};
use harness::http::{create_room, get, list_all, request};
use harness::{Account, Client, Node, PATIENCE, eventually};
use serde_json::{Value, json};

/// Starts the node again with a reserve of so many per cent of what is free.
async fn restart_with_reserve(node: &mut Node, per_cent: u64) {
    assert_eq!(node.stop().await, Some(0));
    let disk = rustix::fs::statvfs(node.data_dir()).expect("the disk can be looked at");
    let reserve_mib = per_cent * (disk.f_bavail * disk.f_frsize / 1024 / 1024) / 100;
    node.add_args(&["--storage-reserve-mib", &reserve_mib.to_string()]);
    node.start();
}

#[tokio::test]
async fn below_the_reserve_nothing_is_taken_from_users_and_everything_is_readable() {
    let mut node = Node::lone(&[]).await;
    let room = create_room(node.http).await;
    let acked = Client::join(node.http, &room, "Ann").await.post("before").await.0;
    restart_with_reserve(&mut node, 150).await;
    node.wait_ready().await;

    let mut ann = Client::join(node.http, &room, "Ann").await;
    let id = uuid::Uuid::new_v4().to_string();
    assert_eq!(ann.resend(&id, "too much").await, Err("storage_full".to_owned()));
    let answer = request(node.http, "POST", "/create-room", &[], b"").await.expect("there is an answer");
    assert_eq!((answer.status, answer.code().as_str()), (507, "storage_full"), "{}", answer.text());
    assert_eq!(list_all(node.http, &room).await, [acked]);
}

/// Promise: the reserve of the disk is for erasure and revocation, too: nobody has to keep what they want gone.
#[tokio::test]
async fn below_the_reserve_users_still_take_away() {
    let mut node = Node::lone(&CHEAP_HASHES).await;
    let (ann, bob) = (Account::register(node.http, "ann").await, Account::register(node.http, "bob").await);
    let open = json!({"name": "Tea", "visibility": "private"});
    let room = ann.call(node.http, "POST", "/rooms", Some(open)).await.json();
    let room = format!("/rooms/{}", room["id"].as_str().expect("a room is made"));
    let post = async |node, body: &str| {
        ann.call(node, "POST", &format!("{room}/messages"), Some(json!({"body": body}))).await
    };
    let message = post(node.http, "gone soon").await.json();
    let message = format!("/messages/{}", message["id"].as_str().expect("it is posted"));
    restart_with_reserve(&mut node, 150).await;
    node.wait_ready().await;

    assert_eq!(post(node.http, "too much").await.code(), "storage_full");
    let ask = json!({"username": "bob"});
    assert_eq!(ann.call(node.http, "POST", "/contacts", Some(ask)).await.code(), "storage_full");
    let new = "a better horse";
    for (method, target, body, status) in [
        ("DELETE", message, Value::Null, 204),
        ("POST", format!("/contacts/{}/block", bob.id), Value::Null, 200),
        ("DELETE", format!("{room}/members/{}?ban=true", bob.id), Value::Null, 204),
        ("POST", "/me/password".to_owned(), json!({"current_password": PASSWORD, "new_password": new}), 204),
        ("DELETE", room.clone(), Value::Null, 204),
        ("DELETE", "/me".to_owned(), json!({"password": new}), 204),
    ] {
        let answer = ann.call(node.http, method, &target, Some(body).filter(|body| !body.is_null())).await;
        assert_eq!(answer.status, status, "{method} {target}: {}", answer.text());
    }
}

#[tokio::test]
async fn far_below_it_users_are_sent_elsewhere() {
    let mut node = Node::lone(&[]).await;
    let room = create_room(node.http).await;
    restart_with_reserve(&mut node, 800).await;
    eventually(PATIENCE, "the node says that its disk is full", async || {
        let ready = get(node.http, "/readyz").await.map_err(|error| error.to_string())?;
        let told = ready.status == 503 && ready.text().contains("the disk is full");
        if told { Ok(()) } else { Err(ready.text()) }
    })
    .await;
    let refused = Client::connect(node.http, &room, "Ann", None, None).await.err().expect("nobody is let in");
    assert_eq!((refused.status, refused.code.as_str()), (507, "storage_full"));
}
