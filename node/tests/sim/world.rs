//! The world: a queue of events in virtual time, one source of randomness, and all nodes and clients.

use std::collections::BTreeMap;

use bytes::Bytes;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use starling_protocol::{
    NodeId, OriginId, Pos, RoomId, Seq, VersionVector,
    replica::{Input, LinkId},
};

use crate::{
    clients::Client,
    coverage::Coverage,
    faults::{Fault, NODES_MAX},
    invariants::{self, folds::Folds},
    membership::Notice,
    mutants::Mutant,
    network::{Network, Pair},
    node::{Node, Space},
    people::People,
    writer::Request,
};

/// More events than any history needs: beyond it, frames echo for ever.
const EVENTS_MAX: u64 = 500_000;
/// The least number of steps before a history is healed.
pub const POSTS_MIN: u64 = 210;
pub const FAULTS_MIN: u64 = 10;

/// An event of the world's queue.
#[derive(Debug)]
pub enum Event {
    Dial,
    Deliver { to: usize, link: LinkId, frame: Bytes },
    Notice { to: usize, link: LinkId, notice: Notice },
    Tick { node: usize, start: u32 },
    Write { node: usize, start: u32 },
    Feed { node: usize, start: u32, input: Input },
    Start(usize),
    Client(usize),
    People,
    Fault,
    Mend(Pair),
    MakeSpace(usize),
    MendDisk(usize),
    Stay(usize),
}

impl Event {
    /// Returns the node whose process it concerns: it does nothing while that process hangs.
    fn node(&self) -> Option<usize> {
        match *self {
            Self::Deliver { to: node, .. }
            | Self::Notice { to: node, .. }
            | Self::Tick { node, .. }
            | Self::Write { node, .. }
            | Self::Feed { node, .. } => Some(node),
            _ => None,
        }
    }
}

/// The whole state of a history.
pub struct World {
    pub rng: StdRng,
    pub now: u64,
    queue: BTreeMap<(u64, u64), Event>,
    next_event: u64,
    pub nodes: Vec<Node>,
    pub network: Network,
    pub clients: Vec<Client>,
    pub rooms: Vec<RoomId>,
    pub people: People,
    pub folds: Folds,
    /// The kinds of fault that this history has.
    pub fault_kinds: Vec<Fault>,
    /// Whether all builds are of the newest wire version.
    pub is_upgraded: bool,
    pub coverage: Coverage,
    /// The time at which all faults were mended.
    pub healed_at: Option<u64>,
    pub mutant: Option<Mutant>,
    /// Every event ever written, by its origin and sequence number, which no other event may have.
    pub written: BTreeMap<(OriginId, Seq), Bytes>,
    /// The events on the remaining disks when one was lost: all nodes must hold them before another may be lost.
    pub spread: VersionVector,
    /// Whether a disk was lost that a node may still count on.
    pub spread_is_due: bool,
    /// The most origins that processes may have opened.
    pub origins: usize,
    /// For planted bugs: the listed messages and edits on each node, in the order of arrival.
    pub arrivals: Vec<(usize, Pos)>,
    violation: Option<String>,
}

impl World {
    /// Unix milliseconds at which every history begins.
    pub const EPOCH_MS: u64 = 1_700_000_000_000;

    pub fn new(seed: u64, mutant: Option<Mutant>) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        // Sometimes one alone with its clients, and sometimes many.
        let count = match rng.random_range(0..32) {
            0 => NODES_MAX,
            1 => 5,
            _ => [1, 2, 3, 3, 3, 3, 3, 4][rng.random_range(0..8)],
        };
        let folds = Folds::draw(&mut rng);
        let mut fault_kinds = Fault::draw(&mut rng);
        if let Some(kinds) = mutant.and_then(Mutant::fault_kinds) {
            fault_kinds = kinds.to_vec();
        }
        let mut world = Self::with_nodes(rng, count, mutant);
        (world.folds, world.fault_kinds) = (folds, fault_kinds);
        world.people.read_much = world.rng.random_bool(0.3);
        world.begin();
        for client in 0..world.clients.len() {
            world.schedule(1_000, Event::Client(client));
        }
        world.schedule(1_000, Event::People);
        world.schedule(1_500, Event::Fault);
        world
    }

    /// A world in which nothing happens by itself, of nodes of the newest version.
    pub fn quiet(seed: u64, count: usize) -> Self {
        let mut world = Self::with_nodes(StdRng::seed_from_u64(seed), count, None);
        world.is_upgraded = true;
        world.begin();
        world
    }

    fn with_nodes(mut rng: StdRng, count: usize, mutant: Option<Mutant>) -> Self {
        let nodes: Vec<_> = (0..count).map(|_| Node::new(NodeId(rng.random()), mutant)).collect();
        let rooms: Vec<_> = (0..3).map(|_| RoomId(rng.random())).collect();
        let clients = (0..6).map(|n| Client::new(n, rng.random(), rooms[n % rooms.len()])).collect();
        Self {
            rng,
            now: 0,
            queue: BTreeMap::new(),
            next_event: 0,
            nodes,
            network: Network::default(),
            clients,
            rooms,
            people: People::default(),
            folds: Folds::default(),
            fault_kinds: Vec::new(),
            is_upgraded: false,
            coverage: Coverage::default(),
            healed_at: None,
            mutant,
            written: BTreeMap::new(),
            spread: VersionVector::default(),
            spread_is_due: false,
            origins: 0,
            arrivals: Vec::new(),
            violation: None,
        }
    }

    fn begin(&mut self) {
        for node in 0..self.nodes.len() {
            self.start(node);
        }
        for room in self.rooms.clone() {
            self.request(0, Request::Room(room));
        }
        self.schedule(0, Event::Dial);
    }

    /// Runs the history to its end: faults, healing, and the checks after it.
    pub fn run(mut self) -> Result<Coverage, String> {
        loop {
            self.step()?;
            let at = self.now;
            if self.next_event > EVENTS_MAX {
                return Err(format!("at {at} ms: {EVENTS_MAX} events: frames beget frames"));
            }
            match self.healed_at {
                None => {
                    if self.coverage.posts >= POSTS_MIN && self.coverage.faults() >= FAULTS_MIN {
                        self.heal();
                    }
                }
                Some(healed_at) => {
                    if invariants::progress::check(&self, healed_at)? {
                        self.coverage.settle_ms = at - healed_at;
                        return invariants::check(&mut self).map(|()| self.coverage);
                    }
                }
            }
        }
    }

    /// Lets the next event happen.
    pub fn step(&mut self) -> Result<(), String> {
        let Some(((at, number), event)) = self.queue.pop_first() else {
            return Err("nothing more happens".to_owned());
        };
        self.now = at;
        self.coverage.happened(at, number);
        self.happen(event);
        self.violation.take().map_or(Ok(()), |violation| Err(format!("at {at} ms: {violation}")))
    }

    pub fn violated(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    pub fn schedule(&mut self, after: u64, event: Event) {
        self.next_event += 1;
        self.queue.insert((self.now + after, self.next_event), event);
    }

    fn happen(&mut self, event: Event) {
        if let Some(until) = event.node().map(|node| self.nodes[node].hung_until).filter(|&at| at > self.now)
        {
            // It waits in sockets and timers until the process goes on.
            return self.schedule(until - self.now, event);
        }
        let is_current = |world: &Self, node: usize, start| world.nodes[node].starts == start;
        match event {
            Event::Dial => self.dial(),
            Event::Deliver { to, link, frame } => self.deliver(to, link, &frame),
            Event::Notice { to, link, notice } => self.deliver_notice(to, link, notice),
            Event::Tick { node, start } if is_current(self, node, start) => self.tick(node),
            Event::Write { node, start } if is_current(self, node, start) => self.write(node),
            Event::Feed { node, start, input } if is_current(self, node, start) => self.feed(node, input),
            Event::Tick { .. } | Event::Write { .. } | Event::Feed { .. } => {}
            Event::Start(node) => self.start(node),
            Event::Client(client) => self.act(client),
            Event::People => self.people_act(),
            Event::Fault => {
                if self.healed_at.is_none() {
                    self.fault();
                }
            }
            Event::Mend(pair) => self.network.mend(pair),
            Event::MakeSpace(node) => self.nodes[node].space = Space::Enough,
            Event::MendDisk(node) => self.mend_disk(node),
            Event::Stay(node) => {
                self.nodes[node].leaving = false;
                self.cancel_leave(node);
            }
        }
    }
}
