//! Promise 2: once all is mended, nodes come to hold the same and clients get their acks, within bounded time.

use crate::world::World;

/// Virtual time within which all must be well after the network has healed.
const SETTLE_MS_MAX: u64 = 30_000;

/// Whether nothing is on its way any more.
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
        return Some("the nodes do not hold the same".to_owned());
    }
    let client = world.clients.iter().find(|client| !client.is_settled())?;
    Some(format!("client {} waits", client.number))
}
