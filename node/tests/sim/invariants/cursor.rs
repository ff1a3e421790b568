//! Promise 3: while a peer is in sync, no cursor covers events that only the disk of its node holds; so the loss of that
//! disk never loses a message that a cursor covers.

use starling_protocol::{Seq, VersionVector, replica::Millis};

use crate::world::World;

/// Checks a cursor that covers a vector.
pub fn given(world: &World, node: usize, vector: &VersionVector) -> Result<(), String> {
    let Some(run) = &world.nodes[node].run else { return Ok(()) };
    let Some(own) = run.own.filter(|_| run.replica().in_sync_count(Millis(world.now)) > 0) else {
        return Ok(());
    };
    let covered = vector.get(own);
    if let Some(limit) = run.replica().cursor_limit(Millis(world.now)).filter(|limit| covered > *limit) {
        return Err(format!(
            "a cursor of node {node} covers {covered} of its own, and peers confirmed {limit}"
        ));
    }
    let elsewhere = |(other, machine): (usize, &crate::node::Node)| {
        other != node && (machine.durable.contains(own, covered) || machine.formerly.contains(own, covered))
    };
    if covered > Seq::NONE && !world.nodes.iter().enumerate().any(elsewhere) {
        return Err(format!("a cursor of node {node} covers {covered} of its own, which nobody else holds"));
    }
    Ok(())
}
