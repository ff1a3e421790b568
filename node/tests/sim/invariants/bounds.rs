//! Promise 8: queues are bounded: the writer's and those of the replica.

use starling_protocol::replica::QueueSizes;

use crate::{world::World, writer::INBOX_MAX};

/// Bytes of recent pushes, at most.
const RECENT_BYTES_MAX: usize = 2 * 1024 * 1024;

pub fn check(world: &World, node: usize) -> Result<(), String> {
    let Some(run) = &world.nodes[node].run else { return Ok(()) };
    let QueueSizes { links, missing_origins, barrier, recent_bytes } = run.replica().queue_sizes();
    let too_many = [
        ("requests", run.inbox.len(), INBOX_MAX),
        ("links", links, world.nodes.len() - 1),
        // Each process opens one, and each newer node that wrote to this store.
        ("origins that are asked for", missing_origins, world.origins),
        // No other waits exist.
        ("waits for peers", run.replica().waiting() + barrier, run.core.pending_replies()),
        ("bytes of recent pushes", recent_bytes, RECENT_BYTES_MAX),
    ];
    match too_many.iter().find(|(_, kept, most)| kept > most) {
        Some((what, kept, most)) => {
            Err(format!("node {node} keeps {kept} {what}, where {most} are the most"))
        }
        None => Ok(()),
    }
}
