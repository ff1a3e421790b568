//! Promise 1, for acts of users: an answered act is on every node in the end. As with messages, an act answered with one
//! copy may be lost with the only disk that held it.

use crate::world::World;

pub fn check(world: &World) -> Result<(), String> {
    let run = world.nodes.iter().find_map(|node| node.run.as_ref()).expect("somebody runs");
    let held = run.committer.vector();
    let mut owed = world.people.promises.iter().filter(|promise| !promise.forgiven);
    match owed.find(|promise| !held.contains(promise.pos.origin, promise.pos.seq)) {
        Some(lost) => Err(format!("what was told with {} copies is lost: {:?}", lost.copies, lost.pos)),
        None => Ok(()),
    }
}

/// Handles a lost disk: acts answered with one copy, and on no other disk, are no longer required.
pub fn forgive(world: &mut World) {
    let disks: Vec<_> = world.members().iter().map(|&node| world.nodes[node].durable.clone()).collect();
    for promise in world.people.promises.iter_mut().filter(|promise| promise.copies < 2) {
        promise.forgiven |= !disks.iter().any(|disk| disk.contains(promise.pos.origin, promise.pos.seq));
    }
}
