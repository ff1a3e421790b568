//! One measurement of deliveries: connections in rooms, messages at a rate, the server's CPU time meanwhile.

use std::time::Duration;

use serde::Serialize;

use super::driver::{Driver, Sending};
use super::joining::Layout;
use super::spread::{Mark, Marked};
use super::tally::Tally;
use super::usage::{self, Sample};
use crate::BenchError;
use crate::number::{grouped, nanos};
use crate::schedule::Schedule;
use crate::server::Server;

/// It fell behind its schedule if the 99th percentile of its lateness is above this, and above that share of the deliveries'.
const LATENESS_MS_MAX: f64 = 1.0;
const LATENESS_SHARE_MAX: f64 = 0.25;
/// The lengths of a measurement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// Load before the measured window.
    pub(crate) warmup: Duration,
    /// The measured window.
    pub(crate) duration: Duration,
    /// Longest wait for what is on its way at the end.
    pub(crate) drain: Duration,
}

/// The figures of one measurement. CPU and rates are those of the window.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Deliveries {
    /// Messages a second, as wanted.
    pub(crate) rate: f64,
    /// Deliveries a second.
    pub(crate) per_second: f64,
    /// CPU time of the server for each, in µs.
    pub(crate) cpu_us: f64,
    /// Median of the time from the intended sending to the arrival, in ms.
    pub(crate) p50_ms: f64,
    /// 99th percentile of that time, in ms.
    pub(crate) p99_ms: f64,
    /// CPU time of the server, in cores.
    pub(crate) server_cores: f64,
    /// CPU time of the generator, in cores.
    pub(crate) own_cores: f64,
    /// CPU time of all other processes, in cores.
    pub(crate) others_cores: f64,
    /// By how much messages were sent later than intended, 99th percentile, in ms.
    pub(crate) lateness_p99_ms: f64,
    /// The server's resident memory at the end, in KiB.
    pub(crate) rss_kib: u64,
    /// Reasons not to believe the figures.
    pub(crate) marks: Vec<Mark>,
}

impl Marked for Deliveries {
    fn marks(&self) -> &[Mark] {
        &self.marks
    }
}

/// Lets the senders post `rate` messages a second together, each of which `layout` delivers to its room.
pub(crate) fn measure(
    driver: &mut Driver,
    server: &Server,
    layout: &Layout,
    senders: &[usize],
    rate: f64,
    times: &Times,
) -> Result<Deliveries, BenchError> {
    driver.settle()?;
    driver.tally = Tally::new();
    let begin_ns = driver.now_ns() + 5_000_000;
    let length = times.warmup + times.duration;
    let window = begin_ns + nanos(times.warmup)..begin_ns + nanos(length);
    driver.tally.window = window.clone();
    let schedule = Schedule::new(rate, senders.len(), begin_ns, length, 1);
    let mut sending = Sending { schedule, senders: senders.to_vec() };
    driver.run(&mut sending, window.start)?;
    let before = Sample::take(driver, server.process)?;
    driver.run(&mut sending, window.end)?;
    let used = before.until_now(driver, server.process)?;
    let copies = u64::try_from(layout.in_room()).expect("at most 100,000");
    let expected = driver.tally.sent * copies;
    driver.receive_until(times.drain, |tally| tally.delivered >= expected || tally.lost_connections > 0)?;

    let tally = &driver.tally;
    let mut measured = Deliveries {
        rate,
        per_second: used.per_second(used.delivered),
        cpu_us: used.cpu_us(used.delivered),
        p50_ms: tally.delivery.quantile_ms(0.5),
        p99_ms: tally.delivery.quantile_ms(0.99),
        server_cores: used.server_cores,
        own_cores: used.own_cores,
        others_cores: used.others_cores,
        lateness_p99_ms: tally.lateness.quantile_ms(0.99),
        rss_kib: server.process.rss_kib()?,
        marks: Vec::new(),
    };
    measured.marks = judge(&measured, tally, expected);
    Ok(measured)
}

/// Reasons not to believe a measurement in which `expected` deliveries should have come.
fn judge(measured: &Deliveries, tally: &Tally, expected: u64) -> Vec<Mark> {
    let mut marks = Vec::new();
    marks.extend(usage::judge(measured.own_cores, measured.others_cores));
    marks.extend(judge_lateness(measured.lateness_p99_ms, measured.p99_ms));
    if tally.delivered != expected || tally.refused > 0 || tally.lost_connections > 0 {
        let (delivered, expected) = (grouped(tally.delivered), grouped(expected));
        let trouble = tally.trouble.as_deref().map(|trouble| format!("; {trouble:.80}")).unwrap_or_default();
        marks.push(Mark::Lost(format!("{delivered} of {expected} delivered{trouble}")));
    }
    marks
}

/// A reason not to believe a latency, if the generator fell behind its schedule. Both are 99th percentiles, in ms.
pub(crate) fn judge_lateness(late: f64, latency: f64) -> Option<Mark> {
    let is_late = late > LATENESS_MS_MAX && late > LATENESS_SHARE_MAX * latency;
    is_late.then(|| Mark::Invalid(format!("generator {late:.1} ms late")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kinds of the marks that a measurement gets.
    fn marks(change: impl Fn(&mut Deliveries, &mut Tally)) -> Vec<&'static str> {
        let mut measured = Deliveries {
            rate: 100.0,
            per_second: 50_000.0,
            cpu_us: 7.0,
            p50_ms: 2.0,
            p99_ms: 8.0,
            server_cores: 0.35,
            own_cores: 0.3,
            others_cores: 0.0,
            lateness_p99_ms: 0.1,
            rss_kib: 1,
            marks: Vec::new(),
        };
        let mut tally = Tally::new();
        tally.delivered = 1_000;
        change(&mut measured, &mut tally);
        let kind = |mark: &Mark| match mark {
            Mark::Invalid(_) => "invalid",
            Mark::Lost(_) => "lost",
            Mark::Shared => "shared",
        };
        judge(&measured, &tally, 1_000).iter().map(kind).collect()
    }

    #[test]
    fn measurements_that_say_nothing_about_the_server_are_marked() {
        assert_eq!(marks(|_, _| ()), [""; 0]);
        assert_eq!(marks(|measured, _| measured.own_cores = 0.91), ["invalid"]);
        // Late, in absolute terms and compared with what was measured.
        assert_eq!(marks(|measured, _| measured.lateness_p99_ms = 2.1), ["invalid"]);
        assert_eq!(marks(|measured, _| measured.lateness_p99_ms = 1.9), [""; 0]);
        assert_eq!(
            marks(|measured, _| (measured.lateness_p99_ms, measured.p99_ms) = (0.9, 0.5)),
            [""; 0],
            "a millisecond is nothing"
        );
        assert_eq!(marks(|measured, _| measured.others_cores = 0.2), ["shared"]);
        assert_eq!(marks(|_, tally| tally.delivered = 999), ["lost"]);
        assert_eq!(marks(|_, tally| tally.delivered = 1_001), ["lost"], "twice is as wrong as never");
        assert_eq!(marks(|_, tally| tally.refused = 1), ["lost"]);
        assert_eq!(marks(|_, tally| tally.lost_connections = 1), ["lost"]);
    }
}
