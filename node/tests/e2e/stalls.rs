//! A node that hangs: its peers' acks tell the truth and are raised, and when it wakes it is not ready before it has
//! caught up.

use harness::{
    Client, Cluster, Frame, PATIENCE, eventually,
    http::{create_room, get, list_all},
};
use uuid::Uuid;

/// Promise 1: the ack tells the truth, and one later ack raises it.
#[tokio::test]
async fn an_ack_of_one_copy_is_raised_when_the_second_is_there() {
    let cluster = Cluster::start(2).await;
    let room = create_room(cluster[0].http).await;
    let mut ann = Client::join(cluster[0].http, &room, "Ann").await;
    cluster[1].pause();
    let id = Uuid::new_v4().to_string();
    ann.send(&id, "who hears me?").await;
    let ack = |frame: &Frame| match frame {
        Frame::Ack { id: acked, copies, .. } if *acked == id => Some(*copies),
        _ => None,
    };
    assert_eq!(ann.until("the first ack", ack).await, 1);
    cluster[1].resume();
    assert_eq!(ann.until("the second ack", ack).await, 2);
    assert_eq!(ann.post("after that").await.1, 2);
}

/// 'When it wakes it is not ready until it has exchanged vectors.'
#[tokio::test]
async fn a_node_that_slept_is_ready_only_with_what_it_missed() {
    let cluster = Cluster::start(3).await;
    let room = create_room(cluster[0].http).await;
    let mut ann = Client::join(cluster[0].http, &room, "Ann").await;
    for round in 0..3 {
        cluster[2].pause();
        cluster.in_sync(0, 1).await;
        for number in 0..20 {
            ann.post(&format!("round {round}, number {number}")).await;
        }
        cluster[2].resume();
        eventually(PATIENCE, "it is ready again", async || {
            let ready = get(cluster[2].http, "/readyz").await.map_err(|error| error.to_string())?;
            if ready.status == 200 { Ok(()) } else { Err(ready.text()) }
        })
        .await;
        let (here, there) = (list_all(cluster[0].http, &room).await, list_all(cluster[2].http, &room).await);
        assert_eq!(there.len(), here.len(), "round {round}: it serves without what it missed");
        cluster.in_sync(0, 2).await;
    }
}
