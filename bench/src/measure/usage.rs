//! CPU time over a window: of the server, of the generator, and of all others on the machine.

use std::time::Duration;

use super::driver::Driver;
use super::spread::Mark;
use crate::BenchError;
use crate::machine;
use crate::number::{float, nanos, ratio, round3};
use crate::process::Process;

/// The generator was the limit if it used more of its core than this.
const OWN_CORES_MAX: f64 = 0.9;
/// The machine was shared if others used more of its cores than this.
const OTHERS_CORES_MAX: f64 = 0.1;

/// All clocks and counters at one moment.
#[derive(Debug)]
pub(crate) struct Sample {
    at_ns: u64,
    delivered: u64,
    acked: u64,
    server: Duration,
    own: Duration,
    machine: Duration,
}

/// Differences of two samples.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// The length of the window, in ns.
    window_ns: u64,
    /// Deliveries in the window.
    pub(crate) delivered: u64,
    /// Acks in the window.
    pub(crate) acked: u64,
    /// CPU time of the server, in cores.
    pub(crate) server_cores: f64,
    /// CPU time of the generator, in cores.
    pub(crate) own_cores: f64,
    /// CPU time of all other processes, in cores.
    pub(crate) others_cores: f64,
}

impl Sample {
    /// Takes all now.
    pub(crate) fn take(driver: &Driver, server: Process) -> Result<Self, BenchError> {
        Ok(Self {
            at_ns: driver.now_ns(),
            delivered: driver.tally.delivered,
            acked: driver.tally.acked,
            server: server.cpu_time()?,
            own: Process::own().cpu_time()?,
            machine: machine::busy_time()?,
        })
    }

    /// The differences from this sample to now.
    pub(crate) fn until_now(&self, driver: &Driver, server: Process) -> Result<Usage, BenchError> {
        let now = Self::take(driver, server)?;
        let window_ns = now.at_ns - self.at_ns;
        let cores = |before: Duration, after: Duration| {
            round3(ratio(float(nanos(after.saturating_sub(before))), float(window_ns)))
        };
        let (server_cores, own_cores) = (cores(self.server, now.server), cores(self.own, now.own));
        Ok(Usage {
            window_ns,
            delivered: now.delivered - self.delivered,
            acked: now.acked - self.acked,
            server_cores,
            own_cores,
            others_cores: round3((cores(self.machine, now.machine) - server_cores - own_cores).max(0.0)),
        })
    }
}

impl Usage {
    /// `count` as a rate a second.
    pub(crate) fn per_second(&self, count: u64) -> f64 {
        round3(ratio(float(count), float(self.window_ns) / 1e9))
    }

    /// CPU time of the server for each of `count`, in µs.
    pub(crate) fn cpu_us(&self, count: u64) -> f64 {
        round3(ratio(self.server_cores * float(self.window_ns) / 1e3, float(count)))
    }
}

/// Reasons not to believe a figure where generator and others used so much, in cores.
pub(crate) fn judge(own_cores: f64, others_cores: f64) -> Vec<Mark> {
    let invalid = (own_cores > OWN_CORES_MAX)
        .then(|| Mark::Invalid(format!("generator used {own_cores:.2} of a core")));
    let shared = (others_cores > OTHERS_CORES_MAX).then_some(Mark::Shared);
    invalid.into_iter().chain(shared).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_of_the_window() {
        let usage = Usage {
            window_ns: 2_000_000_000,
            delivered: 100_000,
            acked: 200,
            server_cores: 0.25,
            own_cores: 0.1,
            others_cores: 0.0,
        };
        assert!((usage.per_second(usage.delivered) - 50_000.0).abs() < 0.01);
        // Half a second over 100,000.
        assert!((usage.cpu_us(usage.delivered) - 5.0).abs() < 0.01);
        assert!(usage.cpu_us(0).abs() < f64::EPSILON);
    }
}
