//! Promise 5: all nodes list a room in the same order, and each message above all that its sender had been shown or
//! acked when they first sent it.

use super::Listings;
use crate::world::World;

pub fn check(world: &World, listings: &Listings) -> Result<(), String> {
    for (node, room, messages) in listings.iter() {
        let first = listings.of(room);
        if messages != first {
            return Err(format!("node {node} lists {room} otherwise than the first does"));
        }
        if !messages.is_sorted_by(|a, b| a.pos < b.pos) {
            return Err(format!("{room} is not listed in the order of its places"));
        }
        for memory in world.clients.iter().filter_map(|client| client.rooms.get(&room)) {
            let is_early = |message: &&_| {
                let message: &starling_protocol::frame::client::ListedMessage = message;
                memory.sent.get(&message.posted.id).is_some_and(|&above| message.pos.hlc <= above)
            };
            if let Some(message) = messages.iter().find(is_early) {
                return Err(format!("{:?} is listed before what its sender had seen", message.posted));
            }
        }
    }
    Ok(())
}
