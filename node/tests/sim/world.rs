//! The world: nodes made of the real parts, a queue of events in virtual time, one source of randomness.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use starling_node::store::{Committer, Store};
use starling_protocol::{
    NodeId, OriginId, RoomId, VersionVector,
    limits::SCOPES_MAX,
    replica::{Input, LinkId, Output, Replica, Token},
};

use crate::{
    clients::Client,
    coverage::{Coverage, Plant},
    disk::Disk,
    invariants,
    network::{Network, Pair},
    writer::{Owed, Request},
};

/// Unix milliseconds at which every history begins.
const EPOCH_MS: u64 = 1_700_000_000_000;
/// Virtual time within which all must be well after the network has healed.
const SETTLE_MS_MAX: u64 = 60_000;
/// More events than any history needs: the network is in an endless echo.
const EVENTS_MAX: u64 = 500_000;
/// What every history has at least before it is healed.
const POSTS_MIN: u64 = 220;
const FAULTS_MIN: u64 = 12;

/// What happens next.
#[derive(Debug)]
pub enum Event {
    Dial,
    Deliver { to: usize, link: LinkId, frame: Bytes },
    Tick { node: usize, start: u32 },
    Write { node: usize, start: u32 },
    Feed { node: usize, start: u32, input: Input },
    Start(usize),
    Client(usize),
    Fault,
    Mend(Pair),
}

/// A running process.
#[derive(Debug)]
pub struct Run {
    pub store: Arc<Store>,
    pub committer: Committer,
    pub replica: Replica,
    pub own: Option<OriginId>,
    pub inbox: VecDeque<Request>,
    pub owed: BTreeMap<Token, Owed>,
    pub next_token: Token,
    tick_at: u64,
}

/// A machine.
#[derive(Debug)]
pub struct Node {
    pub id: NodeId,
    pub disk: Disk,
    pub starts: u32,
    pub skew_ms: i64,
    pub run: Option<Run>,
    /// What it has ever made durable.
    pub durable: VersionVector,
}

/// Everything.
pub struct World {
    pub rng: StdRng,
    pub now: u64,
    queue: BTreeMap<(u64, u64), Event>,
    next_event: u64,
    pub nodes: Vec<Node>,
    pub network: Network,
    pub clients: Vec<Client>,
    pub rooms: Vec<RoomId>,
    pub coverage: Coverage,
    pub healed: bool,
    pub plant: Option<Plant>,
    /// Every event that was ever written, by the name that must be its own for ever.
    pub written: BTreeMap<(OriginId, u64), Bytes>,
    violation: Option<String>,
}

impl World {
    pub fn new(seed: u64, plant: Option<Plant>) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let nodes = (0..rng.random_range(3..=5)).map(|_| Node {
            id: NodeId(rng.random()),
            disk: Disk::default(),
            starts: 0,
            skew_ms: 0,
            run: None,
            durable: VersionVector::default(),
        });
        let nodes: Vec<_> = nodes.collect();
        let rooms: Vec<_> = (0..3).map(|_| RoomId(rng.random())).collect();
        let clients = (0..6).map(|n| Client::new(n, rng.random(), rooms[n % rooms.len()])).collect();
        let mut world = Self {
            rng,
            now: 0,
            queue: BTreeMap::new(),
            next_event: 0,
            nodes,
            network: Network::default(),
            clients,
            rooms,
            coverage: Coverage::default(),
            healed: false,
            plant,
            written: BTreeMap::new(),
            violation: None,
        };
        for node in 0..world.nodes.len() {
            world.start(node);
        }
        for room in world.rooms.clone() {
            world.request(0, Request::Room(room));
        }
        world.schedule(0, Event::Dial);
        for client in 0..world.clients.len() {
            world.schedule(500, Event::Client(client));
        }
        world.schedule(1_000, Event::Fault);
        world
    }

    /// Runs the history to its end: faults, healing, and what must hold then.
    pub fn run(mut self) -> Result<Coverage, String> {
        let mut healed_at = None;
        while let Some(((at, _), event)) = self.queue.pop_first() {
            self.now = at;
            self.happen(event);
            if let Some(violation) = self.violation {
                return Err(format!("at {at} ms: {violation}"));
            }
            if self.next_event > EVENTS_MAX {
                return Err(format!("at {at} ms: {EVENTS_MAX} events: frames beget frames"));
            }
            match healed_at {
                None if self.coverage.posts >= POSTS_MIN && self.coverage.faults() >= FAULTS_MIN => {
                    self.heal();
                    healed_at = Some(at);
                }
                Some(_) if self.is_settled() => {
                    self.coverage.history ^= at.wrapping_mul(self.next_event);
                    return invariants::check(&self).map(|()| self.coverage);
                }
                Some(healed_at) if at > healed_at + SETTLE_MS_MAX => {
                    return Err(format!(
                        "not settled {SETTLE_MS_MAX} ms after healing: {}",
                        self.unsettled()
                    ));
                }
                _ => {}
            }
        }
        Err("nothing more happens".to_owned())
    }

    pub fn violated(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    pub fn schedule(&mut self, after: u64, event: Event) {
        self.next_event += 1;
        self.queue.insert((self.now + after, self.next_event), event);
    }

    fn happen(&mut self, event: Event) {
        let is_current = |world: &Self, node: usize, start| world.nodes[node].starts == start;
        match event {
            Event::Dial => self.dial(),
            Event::Deliver { to, link, frame } => self.deliver(to, link, &frame),
            Event::Tick { node, start } if is_current(self, node, start) => {
                if self.nodes[node].run.as_ref().is_some_and(|run| run.tick_at <= self.now) {
                    self.feed(node, Input::Tick);
                }
            }
            Event::Write { node, start } if is_current(self, node, start) => self.write(node),
            Event::Feed { node, start, input } if is_current(self, node, start) => self.feed(node, input),
            Event::Tick { .. } | Event::Write { .. } | Event::Feed { .. } => {}
            Event::Start(node) => {
                if self.nodes[node].run.is_none() {
                    self.start(node);
                }
            }
            Event::Client(client) => self.act(client),
            Event::Fault => {
                if !self.healed {
                    self.fault();
                }
            }
            Event::Mend(pair) => {
                self.network.cut.remove(&pair);
                self.network.slow.remove(&pair);
            }
        }
    }

    pub fn wall_ms(&self, node: usize) -> u64 {
        (EPOCH_MS + self.now).saturating_add_signed(self.nodes[node].skew_ms)
    }

    pub fn start(&mut self, node: usize) {
        let wall_ms = self.wall_ms(node);
        let machine = &mut self.nodes[node];
        let store = match Store::open_backend(machine.disk.clone()) {
            Ok(store) => Arc::new(store),
            // The disk began to fail again while the store was being opened: the next start finds what is there.
            Err(_) => return self.crash(node),
        };
        machine.starts += 1;
        let committer = Committer::new(Arc::clone(&store), machine.id, wall_ms).expect("the store opens");
        let held = VersionVector::clone(committer.vector());
        let lacks = machine.durable.beyond(&held).next();
        let mut replica = Replica::new(held, self.now);
        replica.handle(self.now, Input::Digests(committer.digests()), &mut Vec::new());
        machine.run = Some(Run {
            store,
            committer,
            replica,
            own: None,
            inbox: VecDeque::new(),
            owed: BTreeMap::new(),
            next_token: 0,
            tick_at: u64::MAX,
        });
        if let Some((origin, seq)) = lacks {
            self.violated(format!("node {node} has forgotten {origin:?}:{seq}, which it had made durable"));
        }
        self.feed(node, Input::Tick);
    }

    pub fn crash(&mut self, node: usize) {
        self.nodes[node].run = None;
        self.nodes[node].disk = self.nodes[node].disk.crash(&mut self.rng);
        let after = self.rng.random_range(10..3_000);
        self.schedule(after, Event::Start(node));
    }

    /// Feeds a node's replica and carries out what it asks for, as `node`'s driver does.
    pub fn feed(&mut self, node: usize, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let now = self.now;
            let Some(run) = self.nodes[node].run.as_mut() else { return };
            let mut outputs = Vec::new();
            run.replica.handle(now, input, &mut outputs);
            for output in outputs {
                inputs.extend(self.carry_out(node, output));
            }
        }
        let start = self.nodes[node].starts;
        let Some(run) = self.nodes[node].run.as_mut() else { return };
        let tick = run.replica.next_tick().max(self.now + 1);
        if tick < run.tick_at || run.tick_at <= self.now {
            run.tick_at = tick;
            self.schedule(tick - self.now, Event::Tick { node, start });
        }
    }

    fn carry_out(&mut self, node: usize, output: Output) -> Option<Input> {
        let start = self.nodes[node].starts;
        match output {
            Output::Send(link, frame) => self.send(node, link, &frame),
            Output::Apply(events) => {
                let rose: VersionVector = events.iter().map(|event| (event.origin, event.seq)).collect();
                let refused = !self.request(node, Request::Apply(events));
                if self.plant == Some(Plant::ConfirmBeforeDurable) && !refused {
                    return Some(Input::Applied(rose.iter().collect()));
                }
                refused.then_some(Input::ApplyRefused)
            }
            Output::Read { link, origin, from, to } => {
                let run = self.nodes[node].run.as_ref()?;
                let events = run.store.range(origin, from, to).expect("the store reads");
                let input = Input::ReadDone { link, origin, from, events };
                let after = self.rng.random_range(0..5);
                self.schedule(after, Event::Feed { node, start, input });
                None
            }
            Output::Settled { token, copies, more } => {
                self.settled(node, token, copies);
                if !more {
                    self.forget(node, token);
                }
                None
            }
            Output::NoMore(token) => {
                self.forget(node, token);
                None
            }
            Output::ReadScopes { link, part } => {
                let run = self.nodes[node].run.as_ref()?;
                let scopes = run.store.scopes_of(part, SCOPES_MAX).expect("the store reads");
                Some(Input::ScopesRead { link, part, scopes })
            }
            Output::CompareScopes { peer, scopes } => {
                self.violated(format!("{peer} shows something else in one of {} scopes", scopes.len()));
                None
            }
            Output::BarrierPassed(_) => None,
            Output::Close(_, error) => {
                self.violated(format!("a peer sends what is no event: {error}"));
                None
            }
        }
    }

    fn forget(&mut self, node: usize, token: Token) {
        if let Some(run) = self.nodes[node].run.as_mut() {
            run.owed.remove(&token);
        }
    }

    /// Nothing is on its way any more.
    fn is_settled(&self) -> bool {
        self.unsettled().is_empty()
    }

    fn unsettled(&self) -> String {
        let mut vectors = self.nodes.iter().map(|node| node.run.as_ref().map(|run| run.committer.vector()));
        let first = vectors.next().flatten();
        if first.is_none() || vectors.any(|vector| vector != first) {
            return "the nodes do not hold the same".to_owned();
        }
        if let Some(client) = self.clients.iter().find(|client| !client.is_settled()) {
            return format!("client {} waits: {:?}", client.number, client.waiting());
        }
        String::new()
    }
}
