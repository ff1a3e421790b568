//! Promise 5: all nodes list a room in the same order; each client's own messages are in the order in which it
//! sent them, as far as they were acked one after the other.

use crate::world::World;

pub fn check(world: &World) -> Result<(), String> {
    for &room in &world.rooms {
        let first = super::listed(world, 0, room);
        for node in 1..world.nodes.len() {
            if super::listed(world, node, room) != first {
                return Err(format!("node 0 and node {node} list {room} differently"));
            }
        }
        if !first.is_sorted_by_key(|message| message.pos) {
            return Err(format!("{room} is not listed in the order of its places"));
        }
    }
    Ok(())
}
