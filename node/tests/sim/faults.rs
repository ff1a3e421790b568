//! What goes wrong, and when. Everything that breaks is mended after a while; at the end all of it is.

use rand::RngExt;

use crate::{
    coverage::Fault,
    network::pair,
    world::{Event, World},
};

impl World {
    /// One thing goes wrong.
    pub fn fault(&mut self) {
        let kinds = Fault::SCHEDULED;
        let fault = kinds[self.rng.random_range(0..kinds.len())];
        let node = self.rng.random_range(0..self.nodes.len());
        let other = (node + self.rng.random_range(1..self.nodes.len())) % self.nodes.len();
        let mend_after = self.rng.random_range(50..6_000);
        self.coverage.count(fault);
        match fault {
            Fault::Crash => self.crash(node),
            Fault::CrashInCommit => {
                let writes = self.rng.random_range(0..30);
                self.nodes[node].disk.fail_after(writes);
            }
            Fault::CutPair => {
                self.network.cut.insert(pair(node, other), self.now);
                self.schedule(mend_after, Event::Mend(pair(node, other)));
            }
            Fault::Split => {
                let side: Vec<bool> = self.nodes.iter().map(|_| self.rng.random_bool(0.5)).collect();
                for a in 0..self.nodes.len() {
                    for b in (a + 1..self.nodes.len()).filter(|&b| side[a] != side[b]) {
                        self.network.cut.insert((a, b), self.now);
                        self.schedule(mend_after, Event::Mend((a, b)));
                    }
                }
            }
            Fault::SlowLink => {
                self.network.slow.insert(pair(node, other));
                self.schedule(mend_after, Event::Mend(pair(node, other)));
            }
            Fault::Disorder => self.network.disorder = self.rng.random_range(1..200),
            Fault::QueueFull => self.network.refusal = self.rng.random_range(1..300),
            Fault::Calm => (self.network.disorder, self.network.refusal) = (0, 0),
            Fault::ClockJump => self.nodes[node].skew_ms = self.rng.random_range(-20_000..20_000),
            Fault::LinkBreaks => self.unlink(pair(node, other)),
        }
        if !self.healed {
            let next = self.rng.random_range(50..600);
            self.schedule(next, Event::Fault);
        }
    }

    /// All that was broken works again; promises must hold from here on.
    pub fn heal(&mut self) {
        self.healed = true;
        self.network.cut.clear();
        self.network.slow.clear();
        (self.network.disorder, self.network.refusal) = (0, 0);
        for node in 0..self.nodes.len() {
            self.nodes[node].disk.repair();
            if self.nodes[node].run.is_none() {
                self.start(node);
            }
        }
    }
}
