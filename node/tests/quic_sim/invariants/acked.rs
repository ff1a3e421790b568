//! Promises 2 and 5: every acked message is listed exactly once on every node, in the same order.

use std::collections::BTreeMap;

use starling_protocol::{RoomId, frame::client::ListedMessage};

use crate::{host::Host, world::World};

pub fn check(world: &World) -> Result<(), String> {
    for (number, &room) in world.rooms.iter().enumerate() {
        let first = listed(&world.hosts[0], room);
        if !first.is_sorted_by_key(|message| message.pos) {
            return Err(format!("{room} is not listed in the order of its places"));
        }
        for host in &world.hosts {
            if listed(host, room) != first {
                return Err(format!("node 0 and node {} list {room} differently", host.number));
            }
        }
        let mut times = BTreeMap::new();
        for message in &first {
            *times.entry(message.posted.id).or_insert(0) += 1;
        }
        if let Some((id, times)) = times.iter().find(|(_, times)| **times > 1) {
            return Err(format!("{id} is listed {times} times"));
        }
        let clients = world.clients.iter().filter(|client| client.room == number);
        for client in clients {
            if let Some(id) = client.acked.keys().find(|id| !times.contains_key(id)) {
                return Err(format!("{id} is lost, although it was acked to {}", client.name()));
            }
        }
    }
    Ok(())
}

/// Returns the messages of a room on a node, oldest first.
fn listed(host: &Host, room: RoomId) -> Vec<ListedMessage> {
    let core = host.core().expect("it is well");
    let page = core.store.page(room, None, usize::MAX, None).expect("the store reads");
    page.messages.into_iter().rev().collect()
}
