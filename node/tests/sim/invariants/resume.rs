//! Promise 3: whoever resumed, anywhere and any number of times, has exactly what a fresh visitor gets.

use std::collections::BTreeMap;

use crate::world::World;

pub fn check(world: &World) -> Result<(), String> {
    for client in &world.clients {
        let fresh: BTreeMap<_, _> = super::listed(world, 0, client.room)
            .into_iter()
            .map(|message| (message.listed_id, message.pos))
            .collect();
        if let Some(id) = fresh.keys().find(|id| !client.seen.contains_key(id)) {
            return Err(format!("client {} never got {id}", client.number));
        }
        if client.seen != fresh {
            return Err(format!("client {} shows what is not there, or elsewhere", client.number));
        }
    }
    Ok(())
}
