//! Promise 3: whoever resumed, anywhere and any number of times, has exactly what a fresh visitor gets; so has, before
//! that, whoever has followed a lane to its end.

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
            // Nothing more will come: it has waited.
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

/// Whether the room is still there: its only disk may have gone, and nobody was promised more.
fn exists(world: &World, room: RoomId) -> bool {
    let mut nodes = world.nodes.iter().filter_map(|node| node.run.as_ref());
    nodes.any(|run| run.store.room(room).expect("the store reads").is_some())
}

/// What all nodes hold.
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
    // What went with a disk cannot be taken from a screen.
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
