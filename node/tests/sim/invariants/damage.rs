//! A node that cannot read its store says so: its peers must not wait for it. And no store is damaged by itself: in the
//! product, a panic over a store counts as damage, so a bug could hide behind it.

use bytes::Bytes;
use starling_protocol::frame::{
    peer::{Confirm, PeerFrame, ReplicaFrame},
    vector_part::VectorFrame,
};

use crate::world::World;

/// Checks that a damaged store has a broken disk.
pub fn explained(world: &World, node: usize) -> Result<(), String> {
    let machine = &world.nodes[node];
    match machine.run.as_ref().and_then(|run| run.store.damage()) {
        Some(damage) if !machine.disk.is_failing() && !machine.disk.read_has_failed() => {
            Err(format!("node {node} finds damage on a sound disk: {damage}"))
        }
        _ => Ok(()),
    }
}

/// Checks the heartbeat of a node that knows of its damage.
pub fn told(world: &World, from: usize, frame: &Bytes) -> Result<(), String> {
    if !world.nodes[from].run.as_ref().is_some_and(|run| run.knows_damage) {
        return Ok(());
    }
    let confirm = match PeerFrame::decode(frame) {
        Ok(PeerFrame::Replica(ReplicaFrame::Confirm(confirm))) => Some(confirm),
        Ok(PeerFrame::Replica(ReplicaFrame::VectorPart(part))) => match part.frame {
            VectorFrame::Confirm(confirm) => Some(confirm),
            _ => None,
        },
        _ => None,
    };
    match confirm {
        Some(Confirm { stalled: false, .. }) => {
            Err(format!("node {from} cannot read, and its peers wait for it all the same"))
        }
        _ => Ok(()),
    }
}
