//! Where guests may go: the nodes' addresses, which disk each has just now, and when a node may drop its sessions.
//! What a session began with says later whether its end was to be expected, and which disk holds what it was acked.

use std::collections::BTreeSet;
use std::net::SocketAddr;

/// A data directory's life; a node that begins with an empty one has another.
pub(crate) type Disk = u16;

#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) http: SocketAddr,
    /// Guests try it; not if its node has left for good.
    open: bool,
    disk: Disk,
    /// How often its sessions were about to be dropped, and whether they are now.
    shaken: u32,
    shaking: bool,
    /// Its node began with an empty directory and hears nobody: what it does not know, it denies.
    knows_nothing: bool,
}

/// Where and when a session began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seat {
    pub(crate) at: usize,
    pub(crate) disk: Disk,
    shaken: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Places {
    all: Vec<Place>,
    disks: Disk,
    /// Disks whose content is gone.
    lost: BTreeSet<Disk>,
}

impl Places {
    /// One more node, of which guests do not know yet.
    pub(crate) fn add(&mut self, http: SocketAddr) {
        let disk = self.next_disk();
        self.all.push(Place { http, open: false, disk, shaken: 0, shaking: false, knows_nothing: false });
    }

    fn next_disk(&mut self) -> Disk {
        self.disks += 1;
        self.disks
    }

    /// The nodes to which guests may go.
    pub(crate) fn open(&self) -> Vec<usize> {
        (0..self.all.len()).filter(|&at| self.all[at].open).collect()
    }

    pub(crate) fn http(&self, at: usize) -> SocketAddr {
        self.all[at].http
    }

    pub(crate) fn set_open(&mut self, at: usize, open: bool) {
        self.all[at].open = open;
    }

    pub(crate) fn seat(&self, at: usize) -> Seat {
        Seat { at, disk: self.all[at].disk, shaken: self.all[at].shaken }
    }

    /// From now on the node may drop its sessions and turn guests away.
    pub(crate) fn shake(&mut self, at: usize) {
        self.all[at].shaken += 1;
        self.all[at].shaking = true;
    }

    /// Who comes from now on must not be dropped.
    pub(crate) fn calm(&mut self, at: usize) {
        self.all[at].shaking = false;
    }

    /// The node begins with an empty directory, and nobody tells it anything until `all_is_told`.
    pub(crate) fn is_told_nothing(&mut self, at: usize) {
        self.all[at].knows_nothing = true;
    }

    pub(crate) fn all_is_told(&mut self) {
        self.all.iter_mut().for_each(|place| place.knows_nothing = false);
    }

    pub(crate) fn may_deny(&self, at: usize) -> bool {
        self.all[at].knows_nothing
    }

    /// Whether a node had a reason to drop a session.
    pub(crate) fn may_drop(&self, seat: Seat) -> bool {
        let place = &self.all[seat.at];
        place.shaking || place.shaken != seat.shaken
    }

    /// The node begins with an empty directory. What was in the old one is lost, unless it was handed over.
    pub(crate) fn new_disk(&mut self, at: usize, handed_over: bool) {
        if !handed_over {
            self.lost.insert(self.all[at].disk);
        }
        self.all[at].disk = self.next_disk();
    }

    pub(crate) fn is_lost(&self, disk: Disk) -> bool {
        self.lost.contains(&disk)
    }
}
