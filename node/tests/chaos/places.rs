//! The nodes for guests: their addresses, the disk that each has at present, and the times when a node may drop its
//! sessions. The state at the start of a session shows later whether its end was expected, and which disk holds its acked
//! messages.

use std::collections::BTreeSet;
use std::net::SocketAddr;

/// A number for each data directory; a node that begins with an empty one gets another.
pub(crate) type Disk = u16;

#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) http: SocketAddr,
    /// Whether guests try it; not after its node has left for good.
    open: bool,
    disk: Disk,
    /// How often its node was about to drop sessions, and whether it is now.
    shaken: u32,
    shaking: bool,
    /// Whether its node began with an empty directory and hears no peer: it denies what it does not know.
    knows_nothing: bool,
}

/// The node and the time at which a session began.
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
    /// The lost disks.
    lost: BTreeSet<Disk>,
}

impl Places {
    /// Adds a node that guests do not know yet.
    pub(crate) fn add(&mut self, http: SocketAddr) {
        let disk = self.next_disk();
        self.all.push(Place { http, open: false, disk, shaken: 0, shaking: false, knows_nothing: false });
    }

    fn next_disk(&mut self) -> Disk {
        self.disks += 1;
        self.disks
    }

    /// Returns the nodes for guests.
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

    /// From now on the node must not drop new sessions.
    pub(crate) fn calm(&mut self, at: usize) {
        self.all[at].shaking = false;
    }

    /// The node begins with an empty directory, and hears no peer until `all_is_told`.
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

    /// The node begins with an empty directory. Events in the old one are lost, unless it handed them over.
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
