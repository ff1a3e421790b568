//! Promise 1: the number of copies in an ack is true: the event was durable on that many nodes when the ack was sent.

use starling_protocol::Pos;

use crate::world::World;

/// Checks the number of copies that a node reports.
pub fn told(world: &World, node: usize, pos: Pos, copies: usize) -> Result<(), String> {
    let holders = (0..world.nodes.len()).filter(|&peer| holds(world, node, peer, pos)).count();
    if copies > holders {
        return Err(format!("an ack of node {node} says {copies} copies where there are {holders}"));
    }
    Ok(())
}

/// Whether a peer holds an event, as far as a node can know: it does not learn of a lost disk while it still has a link
/// to the process before.
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
