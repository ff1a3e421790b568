//! Promise 3: a client that resumed, anywhere and any number of times, shows exactly the messages of a fresh visitor;
//! before that, so does a client that has read its lane to the end.

use starling_protocol::{Pos, RoomId, VersionVector};

use super::Listings;
use crate::{clients::Memory, world::World};

pub fn check(world: &mut World, listings: &Listings) -> Result<(), String> {
    for client in &world.clients {
        same(client.number, &client.rooms[&client.here], listings, client.here, &held(world))?;
    }
    for number in 0..world.clients.len() {
        let rooms: Vec<_> = world.clients[number].rooms.keys().copied().collect();
        for room in rooms {
            if !exists(world, room) {
                continue;
            }
            world.enter(number, room);
            // No more frames follow: the client has waited.
            world.clients[number].waits_since = Some(0);
            world.connect(number, None);
            if world.clients[number].session.is_none() {
                return Err(format!("client {number} is turned away although all is well"));
            }
            same(number, &world.clients[number].rooms[&room], listings, room, &held(world))?;
        }
    }
    Ok(())
}

/// Whether the room still exists: it may be lost with its only disk.
fn exists(world: &World, room: RoomId) -> bool {
    let mut nodes = world.nodes.iter().filter_map(|node| node.run.as_ref());
    nodes.any(|run| run.store.quick_room(room).expect("the store reads").is_some())
}

/// The events that all nodes hold.
fn held(world: &World) -> VersionVector {
    let nodes = world.nodes.iter().filter_map(|node| node.run.as_ref());
    nodes.map(|run| VersionVector::clone(run.committer.vector())).next().unwrap_or_default()
}

fn same(
    number: usize,
    memory: &Memory,
    listings: &Listings,
    room: RoomId,
    held: &VersionVector,
) -> Result<(), String> {
    // A message that was lost with a disk stays on a screen.
    let is_there = |pos: Pos| held.contains(pos.origin, pos.seq);
    let mut shown = memory.seen.clone();
    for message in listings.of(room) {
        match shown.remove(&message.listed_id) {
            None => return Err(format!("client {number} never got {:?}", message.posted)),
            Some(pos) if pos != message.pos && is_there(pos) => {
                return Err(format!("client {number} shows {} elsewhere", message.listed_id));
            }
            Some(_) => {}
        }
    }
    match shown.iter().find(|&(_, &pos)| is_there(pos)) {
        Some((id, _)) => Err(format!("client {number} shows {id}, which is not there")),
        None => Ok(()),
    }
}
