//! A scenario: machines, names and nodes, and what happens to them, all from one seed. Afterwards every address is right,
//! and the mesh must close.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{RngExt as _, SeedableRng as _};
use rustix::process::Signal;

use crate::mesh::network::{Families, Machines, addresses};
use crate::mesh::node::Node;

/// The mesh closes within so long after the last address is right.
pub const CLOSES_WITHIN: Duration = Duration::from_secs(10);
/// After that, how long the nodes may take to be in sync, on a machine that does other things too.
const IN_SYNC_WITHIN: Duration = Duration::from_secs(20);
/// For longer than this no link is taken for one that is over.
const STALE_MAX: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(50);
const PORT: u16 = 7_946;
/// An address number that no machine has.
const DEAD: u8 = 250;

pub struct Scenario {
    rng: StdRng,
    pub machines: Machines,
    pub nodes: Vec<Node>,
    families: Vec<Families>,
    /// The number of each machine's address.
    numbers: Vec<u8>,
    next_number: u8,
    secret: String,
    joins: Vec<Vec<String>>,
    /// A record of what happened, printed with a failure.
    story: Vec<String>,
}

impl Scenario {
    /// Makes the machines and starts all nodes, in any order; names resolve when they do.
    pub fn begin(seed: u64, secret: String) -> Result<Self, String> {
        let mut rng = StdRng::seed_from_u64(seed);
        let count = rng.random_range(3..=5);
        let (ipv4, ipv6) = *[(true, false), (true, true), (false, true)].choose(&mut rng).expect("three");
        // Where all have a family, some have the other as well.
        let families: Vec<_> = (0..count)
            .map(|_| Families { ipv4: ipv4 || rng.random_bool(0.3), ipv6: ipv6 || rng.random_bool(0.3) })
            .collect();
        let mut scenario = Self {
            machines: Machines::new(count)?,
            nodes: (0..count).map(Node::new).collect(),
            numbers: (1..).take(count).collect(),
            next_number: u8::try_from(count).expect("few machines") + 1,
            families,
            secret,
            joins: Vec::new(),
            story: Vec::new(),
            rng,
        };
        for at in 0..count {
            scenario.set_addresses(at);
            let join = scenario.draw_join(at, (ipv4, ipv6));
            scenario.joins.push(join);
        }
        scenario.say(format!("{:?}, joins {:?}", scenario.families, scenario.joins));
        let mut order: Vec<_> = (0..count).collect();
        order.shuffle(&mut scenario.rng);
        for at in order {
            scenario.start(at);
            scenario.pause(1_500);
            if scenario.rng.random_bool(0.3) {
                scenario.set_hosts();
            }
        }
        Ok(scenario)
    }

    fn say(&mut self, what: String) {
        eprintln!("  {what}");
        self.story.push(what);
    }

    /// Join addresses for a node: at least one leads, in time, to a node that was started before.
    fn draw_join(&mut self, at: usize, (ipv4, ipv6): (bool, bool)) -> Vec<String> {
        let mut join = Vec::new();
        if at > 0 {
            let other = self.rng.random_range(0..at);
            join.push(if self.rng.random_bool(0.3) {
                format!("all:{PORT}")
            } else {
                format!("n{other}:{PORT}")
            });
        }
        if self.rng.random_bool(0.3) {
            join.push(format!("n{at}:{PORT}"));
        }
        if self.rng.random_bool(0.3) {
            let families = Families { ipv4, ipv6 };
            let dead = addresses(families, DEAD)[0];
            join.push(std::net::SocketAddr::new(dead, PORT).to_string());
        }
        if self.rng.random_bool(0.2) {
            join.push(format!("nowhere:{PORT}"));
        }
        join.shuffle(&mut self.rng);
        join
    }

    fn start(&mut self, at: usize) {
        self.say(format!("start {at}"));
        let join = self.joins[at].clone();
        self.nodes[at].start(&self.machines, &self.secret, &join);
    }

    fn pause(&mut self, ms_max: u64) {
        std::thread::sleep(Duration::from_millis(self.rng.random_range(0..ms_max)));
    }

    fn set_addresses(&self, at: usize) {
        self.machines.set_addresses(at, self.families[at], self.numbers[at]);
    }

    /// Names lead to where nodes are now: on its own machine a node's name is loopback, as Debian has it.
    fn set_hosts(&self) {
        let count = self.nodes.len();
        for on in 0..count {
            let mut text = String::new();
            for at in 0..count {
                let all = addresses(self.families[at], self.numbers[at]);
                text.extend(all.iter().map(|ip| format!("{ip} all\n")));
                let own = [std::net::Ipv4Addr::new(127, 0, 1, 1).into()];
                let of_name = if at == on { &own[..] } else { &all };
                text.extend(of_name.iter().map(|ip| format!("{ip} n{at}\n")));
            }
            // Several addresses, some of them dead.
            let dead = addresses(self.families[on], DEAD);
            text.extend(dead.iter().map(|ip| format!("{ip} all\n")));
            self.machines.set_hosts(on, &text);
        }
    }

    /// Something happens, a few times.
    pub fn disturb(&mut self) {
        for _ in 0..self.rng.random_range(1..=4) {
            self.pause(3_000);
            let count = self.nodes.len();
            let at = self.rng.random_range(0..count);
            match self.rng.random_range(0..5) {
                0 => self.restart(&[at]),
                1 => {
                    let mut some: Vec<_> = (0..count).collect();
                    some.shuffle(&mut self.rng);
                    self.restart(&some[..count - 1]);
                }
                2 => self.restart(&(0..count).collect::<Vec<_>>()),
                3 => self.move_live(at),
                _ => self.swap(at, (at + 1) % count),
            }
            if self.rng.random_bool(0.5) {
                self.set_hosts();
            }
        }
    }

    /// These end, get other addresses perhaps, and start again in any order.
    fn restart(&mut self, which: &[usize]) {
        let signal = if self.rng.random_bool(0.5) { Signal::KILL } else { Signal::TERM };
        self.say(format!("end {which:?} with {signal:?}"));
        for &at in which {
            self.nodes[at].end(signal);
        }
        for &at in which {
            if self.rng.random_bool(0.7) {
                self.renumber(at);
            }
        }
        let mut which = which.to_vec();
        which.shuffle(&mut self.rng);
        for at in which {
            self.pause(1_000);
            self.start(at);
        }
    }

    fn renumber(&mut self, at: usize) {
        self.numbers[at] = self.next_number;
        self.next_number += 1;
        self.say(format!("{at} has address {} now", self.numbers[at]));
        self.set_addresses(at);
    }

    fn move_live(&mut self, at: usize) {
        self.say(format!("{at} moves while it runs"));
        self.renumber(at);
    }

    /// Two nodes get each other's addresses while they run.
    fn swap(&mut self, a: usize, b: usize) {
        self.say(format!("{a} and {b} swap addresses while they run"));
        self.numbers.swap(a, b);
        for at in [a, b] {
            self.set_addresses(at);
        }
    }

    /// All addresses are right now: the mesh closes, and all are in sync with each other. Gives how long it took.
    pub fn closes(&mut self) -> Duration {
        self.set_hosts();
        let begun = Instant::now();
        let mut closed: Option<Instant> = None;
        // A link whose ends have moved is noticed when it has been silent for 3 s.
        while closed.is_none_or(|at| at.elapsed() < STALE_MAX) {
            let now = Instant::now();
            match self.all("linked") {
                Ok(()) => _ = closed.get_or_insert(now),
                Err(lacking) => {
                    closed = None;
                    let story = self.story.join("\n");
                    assert!(
                        begun.elapsed() < CLOSES_WITHIN,
                        "not closed within {CLOSES_WITHIN:?}: {lacking}\n{story}"
                    );
                }
            }
            std::thread::sleep(LOOK_EVERY);
        }
        let in_sync = Instant::now();
        while let Err(lacking) = self.all("in_sync") {
            assert!(in_sync.elapsed() < IN_SYNC_WITHIN, "not in sync within {IN_SYNC_WITHIN:?}: {lacking}");
            std::thread::sleep(LOOK_EVERY);
        }
        closed.map_or(Duration::ZERO, |closed| closed - begun)
    }

    /// Whether each node says so of all others.
    fn all(&self, what: &str) -> Result<(), String> {
        for (at, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.is_running()) {
            let status = node.status().map_err(|error| format!("node {at}: {error}"))?;
            let peers = status["peers"].as_array().map(Vec::as_slice).unwrap_or_default();
            let good = peers.iter().filter(|peer| peer[what] == true).count();
            let unlinked = status["unlinked_pairs"].as_array().is_some_and(|pairs| !pairs.is_empty());
            if good + 1 != self.nodes.len() || status["state"] != "ready" || unlinked {
                return Err(format!("node {at} says {status:#}"));
            }
        }
        Ok(())
    }
}
