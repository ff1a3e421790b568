//! An index of how the names in a room look, to find names that people could mistake for each other.

use std::collections::{BTreeSet, HashMap};

use starling_protocol::{GuestId, GuestName, text::lookalike_forms};

/// The guests of a room by the look of their names, in each of the two forms.
#[derive(Debug, Default)]
pub struct Looks(HashMap<(usize, Box<str>), BTreeSet<GuestId>>);

impl Looks {
    /// Adds the name of a guest.
    pub fn add(&mut self, guest: GuestId, name: &GuestName) {
        for looks in forms(name) {
            self.0.entry(looks).or_default().insert(guest);
        }
    }

    /// Removes the name of a guest.
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

    /// Returns the guests whose names look like this one; a guest may be returned twice.
    pub fn alike(&self, name: &GuestName) -> impl Iterator<Item = GuestId> {
        forms(name).filter_map(|looks| self.0.get(&looks)).flatten().copied()
    }
}

fn forms(name: &GuestName) -> impl Iterator<Item = (usize, Box<str>)> {
    lookalike_forms(name.as_str()).into_iter().enumerate()
}
