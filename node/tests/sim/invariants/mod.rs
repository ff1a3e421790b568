//! The invariants, one promise a file. Some are checked during a history; the others once the network has healed and all
//! nodes agree.

pub mod acked;
pub mod bounds;
pub mod copies;
pub mod cursor;
pub mod damage;
pub mod digests;
pub mod folds;
mod marks;
pub mod membership;
mod names;
mod no_duplicate;
mod one_order;
pub mod progress;
pub mod promised;
pub mod read_your_writes;
mod rebuilds;
mod reference_model;
mod resume;
pub mod sequence;
mod views;

use std::collections::BTreeMap;

use starling_protocol::{RoomId, frame::client::ListedMessage};

use crate::{mutants::Mutant, world::World};

/// The messages that each node lists in each room, oldest first.
pub struct Listings(BTreeMap<(usize, RoomId), Vec<ListedMessage>>);

impl Listings {
    fn read(world: &World) -> Self {
        let mut listings = BTreeMap::new();
        for node in world.members() {
            let store = &world.nodes[node].run.as_ref().expect("healed nodes run").store;
            for &room in &world.rooms {
                let page = store.page(room, None, usize::MAX, None).expect("the store reads");
                let mut messages: Vec<_> = page.messages.into_iter().rev().collect();
                if world.mutant == Some(Mutant::UnstableTieBreak) {
                    messages.sort_by_key(|message| {
                        let came = world.arrivals.iter().position(|&come| come == (node, message.pos));
                        (message.pos.hlc, came)
                    });
                }
                listings.insert((node, room), messages);
            }
        }
        Self(listings)
    }

    /// By node and room.
    fn iter(&self) -> impl Iterator<Item = (usize, RoomId, &Vec<ListedMessage>)> {
        self.0.iter().map(|(&(node, room), messages)| (node, room, messages))
    }

    /// Returns a room's list on one of the nodes.
    fn of(&self, room: RoomId) -> &[ListedMessage] {
        self.iter().find(|&(_, listed, _)| listed == room).map_or(&[], |(.., messages)| messages)
    }
}

/// Checks the invariants of the end.
pub fn check(world: &mut World) -> Result<(), String> {
    let listings = Listings::read(world);
    no_duplicate::check(&listings)?;
    acked::check(world, &listings)?;
    one_order::check(world, &listings)?;
    resume::check(world, &listings)?;
    sequence::check(world)?;
    promised::check(world)?;
    names::check(world)?;
    reference_model::check(world)?;
    digests::check(world)?;
    views::check(world)?;
    marks::check(world)?;
    folds::check(world)?;
    rebuilds::check(world)
}
