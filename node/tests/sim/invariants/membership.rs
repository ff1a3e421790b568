//! Leaving is safe (design, section 3): a node leaves only once enough nodes that stay hold all that it held; and in the end
//! every node lists the members that live, and no others.

use std::collections::BTreeSet;

use starling_protocol::{NodeId, Seq, VersionVector};

use crate::{world::World, writer::DURABILITY};

/// Checks that a node may end its membership: others that have not told it that they leave, too, hold its log.
pub fn handed_over(world: &World, node: usize, held: &VersionVector) -> Result<(), String> {
    let run = world.nodes[node].run.as_ref().expect("it runs");
    let leaving = &run.membership.leaving_peers;
    let holders = holders(world, node, leaving, |had| had.covers(held));
    if holders < DURABILITY.copies {
        return Err(format!("node {node} ends its membership while {holders} nodes that stay hold its log"));
    }
    Ok(())
}

/// Checks that a node may go now with its disk: enough others hold an end of its membership, too, and all that it wrote before. They
/// need not be those that took over what others had written, and the end need not be the one that the node wrote itself: an
/// operator may have ended it elsewhere at the same time.
pub fn left(world: &World, node: usize) -> Result<(), String> {
    let machine = &world.nodes[node];
    let ends: Vec<_> = world.ends_of(machine.id).collect();
    let own = machine.run.as_ref().and_then(|run| run.own);
    let written = own.map(|own| {
        let end = ends.iter().find(|end| end.0 == own);
        (own, end.map_or(machine.durable.get(own), |&(_, seq)| Seq(seq.0 - 1)))
    });
    let written = VersionVector::from_iter(written);
    let knows = |had: &VersionVector| ends.iter().any(|&(origin, seq)| had.contains(origin, seq));
    let holders = holders(world, node, &BTreeSet::new(), |had| knows(had) && had.covers(&written));
    if holders < DURABILITY.copies {
        return Err(format!(
            "node {node} leaves the cluster while {holders} others hold all that it wrote and the end of its membership"
        ));
    }
    Ok(())
}

/// The number of other machines with a member, `except` some, that hold enough, as far as the node can know. A member may
/// have been forgotten without its knowledge and be on its way back under a new id: that ends a membership, never data, so
/// its disk holds what it held. But it is one disk, under however many ids.
fn holders(
    world: &World,
    node: usize,
    except: &BTreeSet<NodeId>,
    is_enough: impl Fn(&VersionVector) -> bool,
) -> usize {
    let listed = world.nodes[node].run.as_ref().expect("it runs").membership.listed();
    let machines: BTreeSet<_> =
        listed.difference(except).filter_map(|&member| world.node_with(member)).collect();
    let holds = |&&other: &&usize| {
        let machine = &world.nodes[other];
        let mut had = VersionVector::clone(&machine.durable);
        // Nobody learns of a lost disk, or of a lost machine, before the link to it has ended.
        had.merge(&machine.formerly);
        other != node && is_enough(&had)
    };
    machines.iter().filter(holds).count()
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
