//! Saturation: the highest rate of messages at which deliveries are still in time. Open loop: the rate is raised until the
//! deliveries are late, then halved in between.

use serde::Serialize;

use super::deliveries::{Deliveries, Times, measure};
use super::driver::Driver;
use super::joining::{Layout, join};
use super::spread::{Mark, Marked};
use super::stamp::IdOrder;
use crate::BenchError;
use crate::rounds::Starter;

/// The first rate, in messages a second.
const RATE_FIRST: f64 = 100.0;
/// No server is faster.
const RATE_MAX: f64 = 200_000.0;
/// Steps between the last rate in time and the first that was not: the last two differ by 4 % then.
const HALVINGS: u32 = 4;

/// The end of a search.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Saturation {
    /// The figures at the highest rate in time; `None` if none was.
    pub(crate) best: Option<Deliveries>,
    /// The reason why a higher rate was not in time.
    pub(crate) limit: String,
    /// Reasons not to believe the figures.
    pub(crate) marks: Vec<Mark>,
}

/// The search, apart from the measurements.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Search {
    rate: f64,
    in_time: Option<f64>,
    late: Option<f64>,
    halvings: u32,
}

impl Marked for Saturation {
    fn marks(&self) -> &[Mark] {
        &self.marks
    }
}

impl Search {
    const START: Self = Self { rate: RATE_FIRST, in_time: None, late: None, halvings: 0 };

    /// The search after the current rate was in time or not; `None` if it ends.
    fn next(mut self, is_in_time: bool) -> Option<Self> {
        if is_in_time {
            self.in_time = Some(self.rate);
        } else {
            self.late = Some(self.rate);
        }
        self.rate = match (self.in_time, self.late) {
            (Some(in_time), Some(late)) => {
                self.halvings += 1;
                // The middle in the sense of factors.
                (in_time * late).sqrt()
            }
            (Some(in_time), None) => in_time * 2.0,
            (None, _) => self.rate / 4.0,
        };
        let is_possible = (1.0..=RATE_MAX).contains(&self.rate) && self.halvings <= HALVINGS;
        is_possible.then_some(self)
    }
}

/// Searches the highest rate at which the 99th percentile of deliveries is within `p99_ms` and nothing is lost.
/// Each step has a fresh server, so that none suffers from what another left over.
pub(crate) fn saturate(
    starter: &Starter<'_>,
    layout: &Layout,
    body_bytes: usize,
    times: &Times,
    p99_ms: f64,
) -> Result<Saturation, BenchError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut found = Saturation { best: None, limit: "nothing was late".into(), marks: Vec::new() };
    let mut limited_by_generator = false;
    let mut search = Some(Search::START);
    while let Some(step) = search {
        let measured = starter.with(|server| {
            let mut driver = Driver::new(body_bytes, IdOrder::Time)?;
            let senders = runtime.block_on(join(&mut driver, server, layout, "saturate"))?;
            measure(&mut driver, server, layout, &senders, step.rate, times)
        })?;
        let lost = measured.marks.iter().find(|mark| matches!(mark, Mark::Lost(_)));
        let is_in_time = lost.is_none() && measured.p99_ms <= p99_ms;
        eprintln!(
            "  {:.0} msg/s: {:.0} deliveries/s, p99 {:.1} ms, server {:.2} cores, generator {:.2}{}",
            step.rate,
            measured.per_second,
            measured.p99_ms,
            measured.server_cores,
            measured.own_cores,
            if lost.is_some() { ", lost some" } else { "" }
        );
        if is_in_time {
            found.best = Some(measured);
        } else {
            limited_by_generator = measured.marks.iter().any(|mark| matches!(mark, Mark::Invalid(_)));
            found.limit = lost.map_or_else(|| format!("p99 {:.0} ms", measured.p99_ms), |_| "lost".into());
        }
        search = step.next(is_in_time);
    }
    found.marks = found.best.iter().flat_map(|best| best.marks.clone()).collect();
    let invalid = |mark: &Mark| matches!(mark, Mark::Invalid(_));
    if limited_by_generator && !found.marks.iter().any(invalid) {
        found.marks.push(Mark::Invalid("generator was the limit above this".into()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The highest rate that the search finds in time at a server of this capacity, and the number of steps.
    fn search(capacity: f64) -> (Option<f64>, usize) {
        let (mut search, mut steps, mut best) = (Some(Search::START), 0, None);
        while let Some(step) = search {
            steps += 1;
            assert!(steps < 30, "it ends");
            let is_in_time = step.rate <= capacity;
            if is_in_time {
                best = Some(step.rate);
            }
            search = step.next(is_in_time);
        }
        (best, steps)
    }

    #[test]
    fn the_search_comes_close() {
        for capacity in [3.0, 99.0, 100.0, 403.0, 3_357.0, 23_000.0, 90_000.0] {
            let (best, steps) = search(capacity);
            let best = best.unwrap();
            assert!(best <= capacity && best >= 0.9 * capacity, "{best} of {capacity}");
            assert!(steps < 20, "{steps}");
        }
        assert_eq!(search(0.1).0, None);
        assert_eq!(search(f64::MAX).0, Some(102_400.0));
    }
}
