//! Between each pair there is one link, known to both and used by both, and the members that every node lists are those that
//! live: none that has left or was forgotten.

use crate::world::World;

/// A live connection carries a packet within this time: a little more than the interval of keep-alives.
const USED_EVERY_MS: u64 = 1_500;

pub fn unwell(world: &World) -> Option<String> {
    for host in &world.hosts {
        let cluster = host.cluster()?;
        let peers = || world.hosts.iter().filter(|peer| peer.number != host.number);
        if let Some(peer) = peers().find(|peer| !cluster.links.has(peer.id)) {
            return Some(format!("node {} has no link to node {}", host.number, peer.number));
        }
        for peer in peers() {
            let since = world.now.saturating_sub(USED_EVERY_MS);
            let used = world.network.in_use(host.number, peer.number, since);
            if used != 1 {
                return Some(format!("node {} uses {used} links to node {}", host.number, peer.number));
            }
        }
        let members = cluster.members.all();
        if let Some(peer) = peers().find(|peer| !members.iter().any(|member| member.node == peer.id)) {
            return Some(format!("node {} does not know of node {}", host.number, peer.number));
        }
        if members.len() != peers().count() {
            return Some(format!("node {} lists {} other members", host.number, members.len()));
        }
    }
    None
}
