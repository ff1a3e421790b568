//! Leaving is safe (design, section 3): a node leaves only once enough nodes that stay hold all that it held; and in the end
//! every node lists the members that live, and no others.

use std::collections::BTreeSet;

use starling_protocol::VersionVector;

use crate::{world::World, writer::DURABILITY};

/// Checks that a node may end its membership: others that have not told it that they leave, too, hold its log.
pub fn handed_over(world: &World, node: usize, held: &VersionVector) -> Result<(), String> {
    let run = world.nodes[node].run.as_ref().expect("it runs");
    let leaving = &run.membership.leaving_peers;
    let holders =
        holders(world, node, held).filter(|&other| !leaving.contains(&world.nodes[other].id)).count();
    if holders < DURABILITY.copies {
        return Err(format!("node {node} ends its membership while {holders} nodes that stay hold its log"));
    }
    Ok(())
}

/// Checks that a node may go now with its disk: enough others hold the end of its membership, too, and with it all that it wrote.
/// They need not be those that took over what others had written.
pub fn left(world: &World, node: usize) -> Result<(), String> {
    let machine = &world.nodes[node];
    let own = machine.run.as_ref().and_then(|run| run.own).expect("it has written that it leaves");
    let written = VersionVector::from_iter([(own, machine.durable.get(own))]);
    let holders = holders(world, node, &written).count();
    if holders < DURABILITY.copies {
        return Err(format!("node {node} leaves the cluster while {holders} others hold all that it wrote"));
    }
    Ok(())
}

/// The other members that hold what a node holds, as far as it can know.
fn holders<'a>(world: &'a World, node: usize, held: &'a VersionVector) -> impl Iterator<Item = usize> + 'a {
    let listed = world.nodes[node].run.as_ref().expect("it runs").membership.listed();
    let holds = move |&other: &usize| {
        let machine = &world.nodes[other];
        let mut had = VersionVector::clone(&machine.durable);
        // Nobody learns of a lost disk, or of a lost machine, before the link to it has ended.
        had.merge(&machine.formerly);
        other != node && listed.contains(&machine.id) && had.covers(held)
    };
    (0..world.nodes.len()).filter(holds)
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
