//! Leaving is safe (design, section 3): a node leaves only once enough nodes that stay hold all that it held; and in the end
//! every node lists the members that live, and no others.

use std::collections::BTreeSet;

use starling_protocol::VersionVector;

use crate::{world::World, writer::DURABILITY};

/// Checks that a node may go now with its disk.
pub fn left(world: &World, node: usize) -> Result<(), String> {
    let held = &world.nodes[node].durable;
    let holds = |&other: &usize| {
        let machine = &world.nodes[other];
        let mut had = VersionVector::clone(&machine.durable);
        // Nobody learns of a lost disk before the link to the process before has ended.
        had.merge(&machine.formerly);
        other != node && had.covers(held)
    };
    let holders = world.members().into_iter().filter(holds).count();
    if holders < DURABILITY.copies {
        return Err(format!("node {node} leaves the cluster while {holders} others hold its log"));
    }
    Ok(())
}

/// Returns the first difference between a list of members and the members that live.
pub fn differs(world: &World) -> Option<String> {
    let live = world.live_ids();
    world.members().into_iter().find_map(|node| {
        let me = BTreeSet::from([world.nodes[node].id]);
        let listed = world.nodes[node].run.as_ref()?.membership.listed();
        let others: BTreeSet<_> = live.difference(&me).copied().collect();
        (listed != others).then(|| format!("node {node} lists {listed:?} as members, and not {others:?}"))
    })
}
