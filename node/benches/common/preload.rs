//! Messages posted as fast as acks allow: what a node misses that is away.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use tokio::task::JoinSet;
use uuid::Uuid;

use harness::client::post_frame;
use harness::http::{create_room, page};
use harness::{Client, Frame};

/// Guests that post, each in a room of their own: nobody is delivered what others post.
const GUESTS: usize = 12;
/// Posts of one session that are not acked yet; a node reads no more from it.
const IN_FLIGHT: usize = 64;
/// Characters in a body.
pub const BODY_CHARS: usize = 128;

/// Posts `count` messages over these nodes; returns the rooms.
pub async fn post(nodes: &[SocketAddr], count: usize) -> Vec<String> {
    let mut rooms = Vec::new();
    let mut guests = JoinSet::new();
    for number in 0..GUESTS {
        let node = nodes[number % nodes.len()];
        let room = create_room(node).await;
        let client = Client::join(node, &room, "Busy").await;
        let share = count / GUESTS + usize::from(number < count % GUESTS);
        guests.spawn(post_all(client, share));
        rooms.push(room);
    }
    guests.join_all().await;
    rooms
}

async fn post_all(mut client: Client, count: usize) {
    let body = "x".repeat(BODY_CHARS);
    let (mut sent, mut acked) = (0, 0);
    let mut ids = BTreeSet::new();
    while acked < count {
        while sent < count && sent - acked < IN_FLIGHT {
            let id = Uuid::new_v4().to_string();
            client.send_raw(post_frame(&id, &body)).await;
            ids.insert(id);
            sent += 1;
        }
        match client.advance().await {
            // A later ack may raise its copies.
            Frame::Ack { id, .. } => acked += usize::from(ids.remove(&id)),
            Frame::Message(_) => client.messages.clear(),
            Frame::Cursor { .. } => {}
            other => panic!("{other:?} while preloading"),
        }
    }
}

/// Whether two nodes end each room with the same messages: an origin's log has no gaps, so they hold the rest too.
pub async fn same_ends(nodes: [SocketAddr; 2], rooms: &[String]) -> bool {
    for room in rooms {
        let [here, there] = nodes.map(|node| page(node, room, None, 200));
        let (here, there) = (here.await.expect("a node lists"), there.await.expect("a node lists"));
        if here.0.is_empty() || here.0 != there.0 {
            return false;
        }
    }
    true
}
