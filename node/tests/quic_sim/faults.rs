//! Draws the faults of a history. At the end all are mended.

use rand::{RngExt, rngs::StdRng};

use crate::{
    coverage::Fault,
    host::DISK_RESERVE_BYTES,
    network::{Way, Weather},
    world::{Event, World},
};

/// The smallest MTU of a path, as QUIC requires it (RFC 9000, section 14).
pub const MTU_BYTES_MIN: usize = 1_200;
/// The largest error of a clock: two clocks are just close enough for their nodes to be ready.
const SKEW_MS_MAX: i64 = 14_000;

/// The chance that a history has a kind of fault at all.
const KIND_CHANCE: f64 = 0.6;

/// Draws the kinds of fault that a history has: without some of them the others go further than they would among all.
pub fn draw_kinds(rng: &mut StdRng) -> Vec<Fault> {
    let kinds: Vec<_> = Fault::ALL.into_iter().filter(|_| rng.random_bool(KIND_CHANCE)).collect();
    if kinds.is_empty() { Fault::ALL.to_vec() } else { kinds }
}

impl World {
    /// Draws a fault and lets it happen.
    pub fn fault(&mut self) {
        let fault = self.fault_kinds[self.rng.random_range(0..self.fault_kinds.len())];
        let host = self.rng.random_range(0..self.hosts.len());
        let other = (host + self.rng.random_range(1..self.hosts.len())) % self.hosts.len();
        let mend_after = self.rng.random_range(100..8_000);
        tracing::debug!(at = self.now, ?fault, host, other, mend_after, "fault");
        *self.coverage.faults.entry(fault).or_default() += 1;
        match fault {
            Fault::Kill => {
                self.hosts[host].kill(&mut self.rng, &self.network);
                let after = if self.rng.random_bool(0.5) { 10..500 } else { 500..8_000 };
                let after = self.rng.random_range(after);
                self.schedule(after, Event::Start(host));
            }
            Fault::Blackout => {
                for host in 0..self.hosts.len() {
                    self.hosts[host].kill(&mut self.rng, &self.network);
                    let after = self.rng.random_range(10..3_000);
                    self.schedule(after, Event::Start(host));
                }
            }
            Fault::Pause => {
                let until = self.now + mend_after;
                if let Some(run) = &mut self.hosts[host].run {
                    run.paused_until.get_or_insert(until);
                }
            }
            Fault::CutPair => self.cut(&[(host, other), (other, host)], mend_after),
            Fault::CutOneWay => self.cut(&[(host, other)], mend_after),
            Fault::Split => {
                let side: Vec<bool> = self.hosts.iter().map(|_| self.rng.random_bool(0.5)).collect();
                let all = 0..self.hosts.len();
                let ways = all.clone().flat_map(|a| all.clone().map(move |b| (a, b)));
                let apart: Vec<_> = ways.filter(|&(a, b)| side[a] != side[b]).collect();
                self.cut(&apart, mend_after);
            }
            Fault::SlowWay => {
                let by = self.rng.random_range(50..700);
                self.network.wires().weather.slow.insert((host, other), by);
                self.schedule(mend_after, Event::Mend(vec![(host, other)]));
            }
            Fault::Loss => self.network.wires().weather.lost = self.rng.random_range(1..250),
            Fault::Disorder => {
                let (doubled, jitter_ms) = (self.rng.random_range(0..100), self.rng.random_range(2..120));
                let mut wires = self.network.wires();
                (wires.weather.doubled, wires.weather.jitter_ms) = (doubled, jitter_ms);
            }
            Fault::NarrowPath => self.network.wires().weather.mtu_bytes = MTU_BYTES_MIN,
            Fault::ClockJump => self.hosts[host].set_skew(self.rng.random_range(-SKEW_MS_MAX..SKEW_MS_MAX)),
            Fault::DiskFull => {
                // The disk refuses users, or also events of other nodes.
                let free = self.rng.random_range(0..2) * (DISK_RESERVE_BYTES - 1);
                self.hosts[host].space.free.set(free);
                self.schedule(mend_after, Event::FreeDisk(host));
            }
            Fault::Forget => self.forget(host, other),
            Fault::Leave => self.hosts[host].leave(),
            Fault::Calm => {
                let mut wires = self.network.wires();
                (wires.weather.lost, wires.weather.doubled, wires.weather.jitter_ms) = (0, 0, 2);
            }
        }
        let next = self.rng.random_range(100..1_200);
        self.schedule(next, Event::Fault);
    }

    pub fn cut(&mut self, ways: &[Way], mend_after: u64) {
        self.network.wires().weather.cut.extend(ways);
        self.schedule(mend_after, Event::Mend(ways.to_vec()));
    }

    pub fn mend(&mut self, ways: &[Way]) {
        let mut wires = self.network.wires();
        for way in ways {
            wires.weather.cut.remove(way);
            wires.weather.slow.remove(way);
        }
    }

    /// Mends all faults; every promise must hold before long.
    pub fn heal(&mut self) {
        self.healed_at = Some(self.now);
        {
            let mut wires = self.network.wires();
            let (mtu, no_handshakes) = (wires.weather.mtu_bytes, wires.weather.no_handshakes);
            wires.weather = Weather { no_handshakes, ..Weather::calm(mtu) };
        }
        for host in 0..self.hosts.len() {
            self.hosts[host].free_disk();
            match &mut self.hosts[host].run {
                Some(run) => run.paused_until = run.paused_until.map(|_| self.now),
                None => self.start(host),
            }
        }
    }
}
