//! The invariants during a history, and at its end. One promise a file.

mod acked;
mod links;
mod presence;
mod views;

use starling_protocol::RoomId;

pub use self::presence::{PresenceWatch, ghost};
use crate::{host::Host, world::World};

/// Returns the first promise that does not hold yet.
pub fn unwell(world: &World) -> Option<String> {
    for host in &world.hosts {
        let number = host.number;
        let Some((_, core)) = host.serving() else { return Some(format!("node {number} does not run")) };
        let reasons = core.web.operations.not_ready();
        if !reasons.is_empty() {
            return Some(format!("node {number} is not ready: {reasons:?}"));
        }
    }
    let waiting = world.clients.iter().find(|client| client.waits_for() > 0);
    let waiting = || waiting.map(|client| format!("{} waits for {} acks", client.name(), client.waits_for()));
    links::unwell(world).or_else(|| views::unwell(world)).or_else(|| presence::unwell(world)).or_else(waiting)
}

/// Makes the slow checks.
pub fn check(world: &World) -> Result<(), String> {
    acked::check(world)?;
    views::check(world)
}

pub fn has_room(host: &Host, room: RoomId) -> bool {
    let core = host.core().expect("it has started");
    core.store.quick_room(room).expect("the store reads").is_some()
}
