//! Promise 2: every acked message is listed exactly once on every node.

use std::collections::BTreeMap;

use crate::world::World;

pub fn check(world: &World) -> Result<(), String> {
    for node in 0..world.nodes.len() {
        let mut times = BTreeMap::new();
        for &room in &world.rooms {
            for message in super::listed(world, node, room) {
                *times.entry((room, message.posted.id)).or_insert(0) += 1;
            }
        }
        if let Some(((_, id), times)) = times.iter().find(|(_, times)| **times > 1) {
            return Err(format!("node {node} lists {id} {times} times"));
        }
        for client in &world.clients {
            if let Some(id) = client.acked.keys().find(|&&id| !times.contains_key(&(client.room, id))) {
                return Err(format!("node {node} has lost {id}, which was acked"));
            }
        }
    }
    Ok(())
}
