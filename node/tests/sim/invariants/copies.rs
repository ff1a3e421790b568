//! Promise 1: the number of copies in an ack is true: on so many nodes the event was durable when the ack was sent.

use starling_protocol::Pos;

use crate::world::World;

/// A node tells that an event is on so many nodes.
pub fn told(world: &World, node: usize, pos: Pos, copies: usize) -> Result<(), String> {
    let holders = (0..world.nodes.len()).filter(|&peer| holds(world, node, peer, pos)).count();
    if copies > holders {
        return Err(format!("an ack of node {node} says {copies} copies where there are {holders}"));
    }
    Ok(())
}

/// Whether a peer holds an event, as far as a node can know: of a disk that went meanwhile it hears nothing as long as
/// it thinks itself linked to the process before.
pub fn holds(world: &World, node: usize, peer: usize, pos: Pos) -> bool {
    let machine = &world.nodes[peer];
    let is_stale = peer != node
        && world
            .network
            .linked_start(node, peer)
            .is_some_and(|start| machine.run.is_none() || machine.starts != start);
    machine.durable.contains(pos.origin, pos.seq)
        || is_stale && machine.formerly.contains(pos.origin, pos.seq)
}
