//! Promise 10: a disk that fills up refuses users' writes with a clear error, then sends users elsewhere; everything
//! acked stays. (Filling a real one is `chaos`'s; here the reserve is as large as the disk.)

mod support;

use support::http::{create_room, get, list_all, request};
use support::{Client, Node, PATIENCE, eventually};

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
