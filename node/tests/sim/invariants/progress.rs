//! Promise 2: once all is mended, all nodes hold the same events and clients get their acks, within bounded time.

use crate::world::World;

/// The longest virtual time from the healing of the network until all nodes agree.
const SETTLE_MS_MAX: u64 = 30_000;

/// Whether nothing is pending any more.
pub fn check(world: &World, healed_at: u64) -> Result<bool, String> {
    match waiting(world) {
        None => Ok(true),
        Some(what) if world.now > healed_at + SETTLE_MS_MAX => {
            Err(format!("not settled {SETTLE_MS_MAX} ms after healing: {what}"))
        }
        Some(_) => Ok(false),
    }
}

fn waiting(world: &World) -> Option<String> {
    let mut vectors =
        world.nodes.iter().filter(|node| !node.gone).map(|node| Some(node.run.as_ref()?.committer.vector()));
    let first = vectors.next().flatten();
    if first.is_none() || vectors.any(|vector| vector != first) {
        return Some(format!("the nodes do not hold the same: {}", heads(world)));
    }
    if let Some(client) = world.clients.iter().find(|client| !client.is_settled()) {
        return Some(format!("client {} waits", client.number));
    }
    let Some(early) = world.people.early else {
        return Some("not every node has every other one in sync".to_owned());
    };
    if world.people.attempts[early..].iter().any(|attempt| attempt.answer.is_none()) {
        return Some("a claim on a name is not answered".to_owned());
    }
    let mut runs = world.nodes.iter().filter_map(|node| node.run.as_ref());
    if runs.any(|run| !run.inbox.is_empty()) {
        return Some("something is still to be committed".to_owned());
    }
    if let Some(node) = world.members().into_iter().find(|&node| world.nodes[node].is_draining()) {
        return Some(format!("node {node} still leaves, or comes back"));
    }
    if let Some(what) = super::membership::differs(world) {
        return Some(what);
    }
    let node = world.members().into_iter().find(|&node| world.has_pending_erasures(node))?;
    Some(format!("node {node} has not erased all that it should"))
}

/// The events and origins that each node holds, and the links of those that run.
fn heads(world: &World) -> String {
    let describe = |node: usize| match &world.nodes[node].run {
        None => format!("node {node} doesn't run"),
        Some(run) => {
            let vector = run.committer.vector();
            let events: u64 = vector.iter().map(|(_, seq)| seq.0).sum();
            let damage = if run.is_damaged() { ", damaged" } else { "" };
            let linked: Vec<_> = world.network.links_of(node).into_iter().map(|(peer, _)| peer).collect();
            format!(
                "node {node}, linked with {linked:?}, has {events} events of {} origins{damage}",
                vector.iter().len()
            )
        }
    };
    let members: Vec<_> = world.members().into_iter().map(describe).collect();
    members.join("; ")
}
