//! Promise 13: a vector over a fold says what the vector says. The stored vector is that of the log, after each crash; a
//! cursor says to each node what it said to the one that gave it; only folds that peers know are used towards them.

use starling_node::store::Store;
use starling_protocol::{
    CursorKey, CursorOwner, Fold, UserId, VersionVector,
    frame::{peer::ReplicaFrame, wire::WireVersion},
    replica::Millis,
};

use crate::world::World;

/// Checks a store after its start: `verify` compares the stored vector with the keys of the log, and the log's folds with
/// those that are stored.
pub fn stored(store: &Store) -> Result<(), String> {
    store.verify().map(|_| ()).map_err(|error| format!("a store is not sound after its start: {error}"))
}

/// Checks that every peer in sync can use the fold of a cursor.
pub fn known_to_peers(world: &World, node: usize, fold: &Fold) -> Result<(), String> {
    let Some(run) = &world.nodes[node].run else { return Ok(()) };
    let (origin, seq) = fold.event();
    let in_sync: Vec<_> = run
        .replica()
        .lag(Millis(world.now))
        .filter(|(.., in_sync)| *in_sync)
        .map(|(peer, ..)| peer)
        .collect();
    for machine in world.nodes.iter().filter(|machine| in_sync.contains(&machine.id)) {
        let had = machine.durable.contains(origin, seq) || machine.formerly.contains(origin, seq);
        if !had {
            return Err(format!("a cursor of node {node} is written over a fold that a peer in sync lacks"));
        }
    }
    Ok(())
}

/// Checks that a peer of wire version 1 gets only frames that it knows: it takes others for broken ones.
pub fn spoken(version: WireVersion, frame: &ReplicaFrame) -> Result<(), String> {
    match frame {
        ReplicaFrame::Views(_)
        | ReplicaFrame::Folds(_)
        | ReplicaFrame::VectorPart(_)
        | ReplicaFrame::LiveOrigins(_)
            if version < WireVersion::V2 =>
        {
            Err(format!("a frame that a link of version 1 does not know: {frame:?}"))
        }
        _ => Ok(()),
    }
}

/// The key of all cursors, and their owner.
pub fn cursor_key() -> (CursorKey, CursorOwner) {
    (CursorKey::new(&[7; 32]), CursorOwner::User(UserId([7; 16])))
}

/// Checks what a node reads in a cursor.
pub fn read_alike(given: &VersionVector, read: &VersionVector) -> Result<(), String> {
    if given == read { Ok(()) } else { Err(format!("a cursor of {given:?} is read as {read:?}")) }
}
