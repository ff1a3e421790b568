//! Promises 1 and 2: every acked message is listed on every node, whatever happened. One that was acked with one copy
//! may be lost with the only disk that held it; one that was acked with two survives the loss of any disk.

use super::Listings;
use crate::world::World;

pub fn check(world: &World, listings: &Listings) -> Result<(), String> {
    for (node, room, messages) in listings.iter() {
        let listed: std::collections::BTreeSet<_> =
            messages.iter().map(|message| message.posted.id).collect();
        for memory in world.clients.iter().filter_map(|client| client.rooms.get(&room)) {
            let mut owed = memory.acked.iter().filter(|(id, _)| !memory.forgiven.contains(id));
            if let Some((id, (_, copies))) = owed.find(|(id, _)| !listed.contains(id)) {
                return Err(format!("node {node} has lost {id}, which was acked with {copies} copies"));
            }
        }
    }
    Ok(())
}

/// Handles a lost disk: messages acked with one copy, and on no other disk, are no longer required.
pub fn forgive(world: &mut World) {
    let disks: Vec<_> = world.members().iter().map(|&node| world.nodes[node].durable.clone()).collect();
    for memory in world.clients.iter_mut().flat_map(|client| client.rooms.values_mut()) {
        for (&id, &(pos, copies)) in &memory.acked {
            let is_gone = !disks.iter().any(|disk| disk.contains(pos.origin, pos.seq));
            if copies < 2 && is_gone && memory.forgiven.insert(id) {
                world.coverage.forgiven += 1;
            }
        }
    }
}
