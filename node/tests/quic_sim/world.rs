//! The world: machines, the network between them, clients, and one source of randomness. All nodes boot, faults
//! come, everything is mended, and every promise must hold before long.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng, rngs::StdRng};
use starling_protocol::RoomId;
use starling_web::service::Lease;

use crate::{
    clients::{Client, Making},
    coverage::{Coverage, Fault},
    faults::{self, MTU_BYTES_MIN},
    host::Host,
    invariants,
    mutants::Mutant,
    network::{DELAY_MS_MIN, Network, Way},
};

/// The longest virtual time in which nodes that start at about the same time become one cluster.
const BOOT_MS_MAX: u64 = 15_000;
/// The longest virtual time from the end of the last fault until every promise holds.
const HEAL_MS_MAX: u64 = 20_000;
/// The longest virtual time for creating a room while nothing is broken: `create` waits for 250 ms at most.
const MAKE_MS_MAX: u64 = 500;
/// Long enough for dialling to fail several times, with all its pauses.
const LONG_CUT_MS: u64 = 30_000;
/// The interval of checks while faults happen.
const LOOK_EVERY_MS: u64 = 250;
/// The largest UDP payload on Ethernet over IPv4.
const MTU_BYTES_MAX: usize = 1_472;
const ROOMS: usize = 3;
const CLIENTS: usize = 6;

/// A step of a history.
#[derive(Debug)]
pub enum Event {
    Start(usize),
    Fault,
    Mend(Vec<Way>),
    FreeDisk(usize),
    Client(usize),
    MakeRoom,
}

pub struct World {
    pub rng: StdRng,
    pub now: u64,
    queue: BTreeMap<(u64, u64), Event>,
    next_event: u64,
    pub network: Network,
    pub hosts: Vec<Host>,
    pub clients: Vec<Client>,
    pub rooms: Vec<RoomId>,
    pub making: Vec<Making>,
    pub coverage: Coverage,
    /// The kinds of fault that this history has.
    pub fault_kinds: Vec<Fault>,
    pub mutant: Option<Mutant>,
    pub healed_at: Option<u64>,
    pub violation: Option<String>,
    /// The smallest number of copies in an ack.
    pub least_copies: usize,
    /// Leases that the planted bug of presence keeps.
    pub leaked: Vec<Lease>,
    pub presence: invariants::PresenceWatch,
}

impl World {
    pub fn new(seed: u64, mutant: Option<Mutant>) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let machines = rng.random_range(3..=5);
        let network = Network::new(rng.random(), machines, rng.random_range(MTU_BYTES_MIN..=MTU_BYTES_MAX));
        let hosts = (0..machines).map(|number| Host::new(number, machines, &mut rng, mutant)).collect();
        let clients = (0..CLIENTS).map(|number| {
            let visits = number == CLIENTS - 1;
            Client::new(number, visits, rng.random(), number % ROOMS)
        });
        let clients = clients.collect();
        let fault_kinds = faults::draw_kinds(&mut rng);
        let mut world = Self {
            rng,
            now: 0,
            queue: BTreeMap::new(),
            next_event: 0,
            network,
            hosts,
            clients,
            rooms: Vec::new(),
            making: Vec::new(),
            coverage: Coverage::default(),
            fault_kinds,
            mutant,
            healed_at: None,
            violation: None,
            least_copies: usize::MAX,
            leaked: Vec::new(),
            presence: invariants::PresenceWatch::default(),
        };
        for host in 0..machines {
            let after = world.rng.random_range(0..2_000);
            world.schedule(after, Event::Start(host));
        }
        world
    }

    /// Runs the history to its end.
    pub fn run(mut self) -> Result<Coverage, String> {
        self.boot()?;
        if self.rng.random_bool(0.1) {
            self.long_cut()?;
        }
        self.network.wires().weather.no_handshakes = self.mutant == Some(Mutant::NobodyDialsAgain);

        for client in 0..self.clients.len() {
            self.schedule(client as u64, Event::Client(client));
        }
        self.schedule(500, Event::MakeRoom);
        self.schedule(1_000, Event::Fault);
        let until = self.now + self.rng.random_range(8_000..16_000);
        while self.now < until {
            self.step()?;
        }

        self.heal();
        let begun = self.now;
        self.until_well("heal", HEAL_MS_MAX)?;
        self.coverage.healed_in_ms = self.now - begun;

        // From now on, an acked message is on two nodes at least.
        self.least_copies = usize::MAX;
        for client in 0..self.clients.len() {
            if !self.clients[client].visits {
                self.write(client);
            }
        }
        self.until_well("be acked", HEAL_MS_MAX)?;
        if self.least_copies < 2 {
            return Err(format!("an ack says {} copies although all nodes are well", self.least_copies));
        }
        invariants::check(&self)?;
        let wires = self.network.wires();
        (self.coverage.packets, self.coverage.trace) = (wires.packets, self.coverage.trace ^ wires.trace);
        drop(wires);
        Ok(self.coverage)
    }

    /// Runs until all nodes are one cluster with some rooms.
    pub fn boot(&mut self) -> Result<(), String> {
        self.until_well("boot", BOOT_MS_MAX)?;
        self.make_rooms()
    }

    /// Runs for the given time.
    pub fn go_on(&mut self, for_ms: u64) -> Result<(), String> {
        let until = self.now + for_ms;
        while self.now < until {
            self.step()?;
        }
        Ok(())
    }

    /// Separates two machines for long, while nothing else happens; neither stops dialling the other.
    fn long_cut(&mut self) -> Result<(), String> {
        let a = self.rng.random_range(0..self.hosts.len());
        let b = (a + self.rng.random_range(1..self.hosts.len())) % self.hosts.len();
        self.cut(&[(a, b), (b, a)], LONG_CUT_MS);
        let until = self.now + LONG_CUT_MS;
        while self.now <= until {
            self.step()?;
        }
        self.until_well("link again after a long cut", HEAL_MS_MAX)
    }

    /// Runs until every promise holds.
    fn until_well(&mut self, what: &str, within_ms: u64) -> Result<(), String> {
        let begun = self.now;
        while let Some(unwell) = invariants::unwell(self) {
            if self.now > begun + within_ms {
                return Err(format!("it took more than {within_ms} ms to {what}: {unwell}"));
            }
            self.step()?;
        }
        Ok(())
    }

    /// Creates the rooms in which clients write. Promise 6: a created room is on every node.
    fn make_rooms(&mut self) -> Result<(), String> {
        (0..ROOMS).for_each(|_| self.make_room());
        let until = self.now + MAKE_MS_MAX;
        while self.rooms.len() < ROOMS {
            self.step()?;
            for room in &self.rooms {
                if let Some(host) = self.hosts.iter().find(|host| !invariants::has_room(host, *room)) {
                    return Err(format!("node {} does not know of {room}, which was made", host.number));
                }
            }
            if self.now > until {
                return Err(format!("a room was not made within {MAKE_MS_MAX} ms"));
            }
        }
        Ok(())
    }

    pub fn schedule(&mut self, after: u64, event: Event) {
        self.next_event += 1;
        self.queue.insert((self.now + after, self.next_event), event);
    }

    pub fn start(&mut self, host: usize) {
        if self.hosts[host].run.is_none() {
            let seed = self.rng.random();
            self.hosts[host].start(self.now, seed, &self.network);
        }
    }

    /// Advances the world by the shortest latency: in it, nodes cannot reach each other.
    fn step(&mut self) -> Result<(), String> {
        self.now += DELAY_MS_MIN;
        while let Some(entry) = self.queue.first_entry()
            && entry.key().0 <= self.now
        {
            let event = entry.remove();
            self.happen(event);
        }
        for host in &mut self.hosts {
            host.run_to(self.now);
        }
        self.outcomes();
        self.renew();
        let made = self.made_rooms();
        self.rooms.extend(made);
        if self.now.is_multiple_of(LOOK_EVERY_MS) {
            let ghost = invariants::ghost(self);
            self.violation = self.violation.take().or(ghost);
        }
        let refused = self.hosts.iter().find_map(Host::refused);
        let violation = self.violation.take().or(refused).or_else(crate::panicked);
        violation.map_or(Ok(()), |violation| Err(format!("at {} ms: {violation}", self.now)))
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Start(host) => self.start(host),
            Event::Fault if self.healed_at.is_none() => self.fault(),
            Event::Fault => {}
            Event::Mend(ways) => self.mend(&ways),
            Event::FreeDisk(host) => self.hosts[host].free_disk(),
            Event::Client(client) => {
                self.act(client);
                let after = self.rng.random_range(80..500);
                self.schedule(after, Event::Client(client));
            }
            Event::MakeRoom => {
                if self.healed_at.is_none() {
                    self.make_room();
                    self.schedule(2_000, Event::MakeRoom);
                }
            }
        }
    }
}
