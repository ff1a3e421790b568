//! Promise 6: when the creator of a room gets the answer, every peer in sync holds the room; and only a node that has
//! caught up with its peers in sync answers 'no such room'.

use starling_node::services::REPLICATION_WAIT_MS;
use starling_protocol::{Pos, replica::Millis};

use super::copies;
use crate::{network::pair, rooms::Search, world::World};

/// Checks an answer that something was created.
pub fn answered(world: &World, node: usize, pos: Pos, since: u64) -> Result<(), String> {
    let Some(run) = &world.nodes[node].run else { return Ok(()) };
    // The wait is over.
    if world.now >= since + REPLICATION_WAIT_MS {
        return Ok(());
    }
    for (id, _, in_sync) in run.replica().lag(Millis(world.now)) {
        let peer = world.node_with(id).expect("peers are nodes");
        if in_sync && !copies::holds(world, node, peer, pos) {
            return Err(format!("node {node} answers before node {peer}, which is in sync, has it"));
        }
    }
    Ok(())
}

/// Checks an answer whether a room exists.
pub fn searched(world: &World, node: usize, search: &Search) -> Result<(), String> {
    if world.now >= search.since + REPLICATION_WAIT_MS {
        return Ok(());
    }
    for (peer, link, had) in &search.had {
        let now = world.network.links.get(&pair(node, *peer)).filter(|now| now.id == *link);
        // A node that was moved to another machine is linked there, which ends the link to the machine before.
        let is_linked = now.is_some_and(|now| now.node_at(*peer) == world.nodes[*peer].id);
        if is_linked
            && world.network.linked_start(node, *peer).is_some()
            && !world.nodes[node].durable.covers(had)
        {
            return Err(format!("node {node} says 'no' before it has what node {peer} had"));
        }
    }
    Ok(())
}
