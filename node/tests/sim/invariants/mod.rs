//! What must hold once the network has healed and everything has settled. One promise a file.

mod acked;
mod one_order;
mod resume;
mod views;

use starling_protocol::{RoomId, frame::client::ListedMessage};

use crate::world::World;

/// Checks all of them.
pub fn check(world: &World) -> Result<(), String> {
    acked::check(world)?;
    one_order::check(world)?;
    resume::check(world)?;
    views::check(world)
}

/// A room as a node lists it, oldest first.
fn listed(world: &World, node: usize, room: RoomId) -> Vec<ListedMessage> {
    let run = world.nodes[node].run.as_ref().expect("healed nodes run");
    let page = run.store.page(room, None, usize::MAX, None).expect("the store reads");
    page.messages.into_iter().rev().collect()
}
