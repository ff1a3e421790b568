//! How the names in a room look: who has one that others could take for another's.

use std::collections::{BTreeSet, HashMap};

use starling_protocol::{GuestId, GuestName, text::lookalike_forms};

/// The guests of a room by how their names look, in each of the two forms.
#[derive(Debug, Default)]
pub struct Looks(HashMap<(usize, Box<str>), BTreeSet<GuestId>>);

impl Looks {
    /// A guest has a name.
    pub fn add(&mut self, guest: GuestId, name: &GuestName) {
        for looks in forms(name) {
            self.0.entry(looks).or_default().insert(guest);
        }
    }

    /// A guest does not have a name any more.
    pub fn remove(&mut self, guest: GuestId, name: &GuestName) {
        for looks in forms(name) {
            if let Some(guests) = self.0.get_mut(&looks) {
                guests.remove(&guest);
                if guests.is_empty() {
                    self.0.remove(&looks);
                }
            }
        }
    }

    /// The guests whose names look like this one; one may come twice.
    pub fn alike(&self, name: &GuestName) -> impl Iterator<Item = GuestId> {
        forms(name).filter_map(|looks| self.0.get(&looks)).flatten().copied()
    }
}

fn forms(name: &GuestName) -> impl Iterator<Item = (usize, Box<str>)> {
    lookalike_forms(name.as_str()).into_iter().enumerate()
}
