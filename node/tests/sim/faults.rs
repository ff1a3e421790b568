//! Draws the faults of a history. Each fault is mended after a while; at the end all are.

use bytes::Bytes;
use rand::{RngExt, rngs::StdRng, seq::IndexedRandom};
use starling_protocol::{
    Event as LogEvent, EventBody, EventDraft, GuestId, GuestName, Hlc, MessageId, MessagePosted, MessageText,
    NodeId, OriginId, Scope, Sender, Seq,
};

use crate::{
    network::pair,
    node::Space,
    world::{Event, World},
    writer::{DURABILITY, Request},
};

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Power is lost at any time.
    Crash,
    /// Power is lost within a commit.
    CrashInCommit,
    /// All nodes lose power at one instant.
    Blackout,
    /// One sync fails and loses its writes; later syncs succeed without them.
    SyncFailsOnce,
    /// Two nodes cannot reach each other.
    CutPair,
    /// Two nodes: frames are lost in one direction.
    CutOneWay,
    /// A reaches B and B reaches C, but A does not reach C.
    NonTransitive,
    /// Two groups cannot reach each other.
    Split,
    /// Frames between two nodes take twenty times as long.
    SlowLink,
    /// Frames are lost, doubled and overtaken.
    Disorder,
    /// Some frames find a full queue.
    QueueFull,
    /// Disorder and full queues end.
    Calm,
    /// A wall clock jumps by seconds.
    ClockDrift,
    /// A wall clock jumps by hours or days, either way.
    ClockJump,
    /// A link ends.
    LinkBreaks,
    /// A process does nothing for a while, and continues with its memory.
    Hang,
    /// A commit takes seconds, while the rest of the node goes on.
    Stall,
    /// A disk has no space for posts, or none at all.
    DiskFull,
    /// A disk goes back to an earlier state.
    DiskRolledBack,
    /// Some sectors of a disk cannot be read any more.
    SectorsRot,
    /// Two machines get each other's disk, and with it each other's identity.
    DisksSwapped,
    /// A data directory is emptied: the next start on it is a new node.
    DiskEmptied,
    /// A machine is lost with its disk.
    LostForEver,
    /// A new empty node joins.
    Joins,
    /// A node is stopped for good.
    Leaves,
    /// An operator lets nodes leave the cluster; a new one may take their place.
    LeavesCluster,
    /// An operator forgets a node by force, dead or alive.
    Forgotten,
    /// A node of a newer version writes events that others do not understand.
    NewerKind,
}

/// The most nodes at once.
pub const NODES_MAX: usize = 9;
/// Other nodes may join up to this number.
const NODES_JOINED_MAX: usize = 5;
/// The chance that a history has all kinds of fault: some bugs need many of them at once.
const ALL_KINDS_CHANCE: f64 = 0.25;
/// The chance that another history has a kind of fault at all.
const KIND_CHANCE: f64 = 0.6;

impl Fault {
    pub const ALL: [Self; 28] = [
        Self::Crash,
        Self::CrashInCommit,
        Self::Blackout,
        Self::SyncFailsOnce,
        Self::CutPair,
        Self::CutOneWay,
        Self::NonTransitive,
        Self::Split,
        Self::SlowLink,
        Self::Disorder,
        Self::QueueFull,
        Self::Calm,
        Self::ClockDrift,
        Self::ClockJump,
        Self::LinkBreaks,
        Self::Hang,
        Self::Stall,
        Self::DiskFull,
        Self::DiskRolledBack,
        Self::SectorsRot,
        Self::DisksSwapped,
        Self::DiskEmptied,
        Self::LostForEver,
        Self::Joins,
        Self::Leaves,
        Self::LeavesCluster,
        Self::Forgotten,
        Self::NewerKind,
    ];

    /// The kinds that matter when nodes leave.
    pub const OF_LEAVING: [Self; 8] = [
        Self::LeavesCluster,
        Self::LostForEver,
        Self::DiskEmptied,
        Self::Joins,
        Self::Crash,
        Self::CutPair,
        Self::CutOneWay,
        Self::SlowLink,
    ];

    /// The kinds that matter when a disk cannot be read.
    pub const OF_DAMAGE: [Self; 3] = [Self::SectorsRot, Self::Crash, Self::LinkBreaks];

    /// Draws the kinds of fault that a history has: without some of them the others go further than they would among all.
    /// One of them can always be, or the history would have no end.
    pub fn draw(rng: &mut StdRng) -> Vec<Self> {
        if rng.random_bool(ALL_KINDS_CHANCE) {
            return Self::ALL.to_vec();
        }
        let mut kinds: Vec<_> = Self::ALL.into_iter().filter(|_| rng.random_bool(KIND_CHANCE)).collect();
        let always = [Self::Crash, Self::Hang, Self::Stall, Self::ClockJump, Self::Blackout];
        if !kinds.iter().any(|kind| always.contains(kind)) {
            kinds.extend(always.choose(rng));
        }
        kinds
    }

    /// Returns the number of nodes that the fault needs.
    fn nodes(self) -> std::ops::RangeInclusive<usize> {
        match self {
            Self::Crash
            | Self::CrashInCommit
            | Self::Blackout
            | Self::SyncFailsOnce
            | Self::ClockDrift
            | Self::ClockJump
            | Self::Hang
            | Self::Stall
            | Self::DiskFull
            | Self::SectorsRot
            | Self::DiskRolledBack
            | Self::NewerKind => 1..=NODES_MAX,
            Self::NonTransitive | Self::LostForEver | Self::Leaves | Self::LeavesCluster => 3..=NODES_MAX,
            Self::Joins => 2..=NODES_JOINED_MAX - 1,
            _ => 2..=NODES_MAX,
        }
    }
}

impl World {
    /// Draws a fault and lets it happen.
    pub fn fault(&mut self) {
        self.keep_a_room();
        let mut members = self.members();
        let possible: Vec<_> =
            self.fault_kinds.iter().copied().filter(|fault| fault.nodes().contains(&members.len())).collect();
        let fault = possible[self.rng.random_range(0..possible.len())];
        let first = self.rng.random_range(0..members.len());
        members.rotate_left(first);
        if self.rng.random_bool(0.3) {
            self.back_up(members[0]);
        }
        self.people.troubled_at = self.now;
        if self.inflict(fault, &members) {
            self.coverage.count(fault);
            self.people.disk_went_back |= matches!(fault, Fault::DiskRolledBack | Fault::DiskEmptied);
        }
        let next = self.rng.random_range(50..600);
        self.schedule(next, Event::Fault);
    }

    /// Lets a fault happen to the first of the nodes, and others; false if it is impossible now.
    fn inflict(&mut self, fault: Fault, nodes: &[usize]) -> bool {
        let mend_after = self.rng.random_range(50..6_000);
        let node = nodes[0];
        let link = pair(node, nodes[nodes.len() - 1]);
        match fault {
            Fault::Crash => self.crash(node),
            Fault::CrashInCommit => {
                let writes = self.rng.random_range(0..30);
                self.nodes[node].disk.fail_after(writes);
            }
            Fault::SectorsRot => {
                // Pages in memory hide it: the next process meets it, while it opens the store or later.
                self.crash(node);
                let sectors = self.rng.random_range(1..=3);
                self.nodes[node].disk.rot(sectors, &mut self.rng);
                self.schedule(mend_after, Event::MendDisk(node));
            }
            Fault::DisksSwapped => self.swap_disks(nodes[0], nodes[1]),
            Fault::Blackout => nodes.iter().for_each(|&node| self.crash(node)),
            Fault::SyncFailsOnce => self.nodes[node].disk.fail_next_sync(),
            Fault::CutPair => self.cut([link], mend_after),
            Fault::CutOneWay => {
                self.network.cut_one_way(nodes[0], nodes[1]);
                self.schedule(mend_after, Event::Mend(pair(nodes[0], nodes[1])));
            }
            Fault::NonTransitive => {
                self.network.mend(pair(nodes[0], nodes[1]));
                self.network.mend(pair(nodes[1], nodes[2]));
                self.cut([pair(nodes[0], nodes[2])], mend_after);
            }
            Fault::Split => {
                let (side, other) = nodes.split_at(self.rng.random_range(1..nodes.len()));
                self.cut(side.iter().flat_map(|&a| other.iter().map(move |&b| pair(a, b))), mend_after);
            }
            Fault::SlowLink => {
                self.network.slow.insert(link);
                self.schedule(mend_after, Event::Mend(link));
            }
            Fault::Disorder => self.network.disorder = self.rng.random_range(1..200),
            Fault::QueueFull => self.network.refusal = self.rng.random_range(1..300),
            Fault::Calm => (self.network.disorder, self.network.refusal) = (0, 0),
            Fault::ClockDrift => self.nodes[node].skew_ms = self.rng.random_range(-20_000..20_000),
            Fault::ClockJump => self.nodes[node].skew_ms = self.rng.random_range(-100..100) * 1_800_000,
            Fault::LinkBreaks => self.break_link(link),
            Fault::Hang => {
                self.nodes[node].hung_since.get_or_insert(self.now);
                self.nodes[node].hung_until = self.now + mend_after;
            }
            Fault::Stall => self.nodes[node].stalled_until = self.now + mend_after,
            Fault::DiskFull => {
                let space = if self.rng.random_bool(0.5) { Space::PeersOnly } else { Space::Nothing };
                self.nodes[node].space = space;
                self.schedule(mend_after, Event::MakeSpace(node));
            }
            _ => return self.change_members(fault, nodes, mend_after),
        }
        true
    }

    fn change_members(&mut self, fault: Fault, nodes: &[usize], after: u64) -> bool {
        let node = nodes[0];
        match fault {
            Fault::LeavesCluster => return self.leave_cluster(nodes, after),
            Fault::Forgotten => {
                let dead = self.rng.random_bool(0.4);
                return self.forget_some(node, dead);
            }
            Fault::Joins => self.join(after / 8),
            Fault::NewerKind => return self.write_newer_kinds(node),
            Fault::Leaves => {
                let node = self.sole_holder().filter(|_| self.rng.random_bool(0.5)).unwrap_or(node);
                self.nodes[node].leaving = true;
                if self.rng.random_bool(0.4) {
                    // Its last events are then those of an earlier process.
                    self.crash(node);
                }
                self.schedule(after, Event::Stay(node));
            }
            _ if !self.may_lose_disk() => return false,
            Fault::DiskRolledBack => return self.roll_back(node),
            Fault::LostForEver => self.go_for_ever(node),
            _ => {
                self.go_for_ever(node);
                self.join(after / 2);
            }
        }
        true
    }

    /// Lets one node leave the cluster, or two at once; some stay after all.
    fn leave_cluster(&mut self, nodes: &[usize], after: u64) -> bool {
        let count = if self.rng.random_bool(0.5) { 2 } else { 1 };
        let leaving: Vec<_> =
            nodes.iter().copied().take(count).filter(|&node| self.begin_leave(node)).collect();
        for &node in &leaving {
            if self.rng.random_bool(0.2) {
                self.schedule(after, Event::Stay(node));
            }
        }
        if !leaving.is_empty() && self.members().len() < NODES_JOINED_MAX && self.rng.random_bool(0.6) {
            self.join(after / 8);
        }
        !leaving.is_empty()
    }

    fn cut(&mut self, pairs: impl IntoIterator<Item = (usize, usize)>, mend_after: u64) {
        for pair in pairs {
            self.network.cut_both_ways(pair);
            self.schedule(mend_after, Event::Mend(pair));
        }
    }

    /// Commits events of a newer version: unknown kinds and scopes, with a known message between them.
    fn write_newer_kinds(&mut self, node: usize) -> bool {
        let origin = OriginId { node: NodeId(self.rng.random()), incarnation: self.rng.random() };
        let room = *self.rooms.choose(&mut self.rng).expect("there are rooms");
        let name = GuestName::parse("of the future").unwrap();
        let sender = Sender::Guest { id: GuestId(self.rng.random()), name };
        let text = MessageText::parse(&format!("of {origin}")).unwrap();
        let message = MessagePosted::new(MessageId::from_u128(self.rng.random()), sender, text);
        let unknown =
            EventBody::Unknown { kind: self.rng.random_range(900..999), payload: Bytes::from_static(b"?") };
        let elsewhere = Scope { kind: 99, id: Box::from(*b"no room") };
        let bodies = [
            (Scope::room(room), unknown.clone()),
            (Scope::room(room), EventBody::MessagePosted(message)),
            (elsewhere, unknown),
        ];
        self.origins += 1;
        let wall_ms = self.wall_ms(node);
        let events = (1..).zip(bodies).map(|(seq, (scope, body))| {
            LogEvent::new(
                origin,
                Seq(seq),
                Hlc::from_unix_ms(wall_ms),
                EventDraft { scope, body, above_hlc: None },
            )
        });
        let events = events.collect();
        self.request(node, Request::Apply(events))
    }

    /// Mends all faults; promises must hold from here on.
    pub fn heal(&mut self) {
        self.healed_at = Some(self.now);
        self.network.cut.clear();
        self.network.slow.clear();
        (self.network.disorder, self.network.refusal) = (0, 0);
        let (leaving, staying): (Vec<_>, Vec<_>) =
            self.members().into_iter().partition(|&node| self.is_leaving(node));
        let may_leave = staying.len() >= DURABILITY.copies;
        for node in self.members() {
            // Others would hold its log too few times for ever.
            let stays = leaving.contains(&node) && !may_leave;
            let machine = &mut self.nodes[node];
            let is_rotten = machine.has_rotten_disk();
            machine.disk.repair();
            (machine.hung_until, machine.stalled_until) = (self.now, self.now);
            machine.space = Space::Enough;
            machine.leaving = false;
            // A leave under way ends with its process.
            if is_rotten || stays {
                self.end(node);
            }
            self.start(node);
        }
        self.keep_a_room();
    }
}
