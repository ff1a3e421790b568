//! Latencies as HDR histograms: three significant digits from 1 µs to 10 minutes.
//! Recording is a few nanoseconds and never allocates; larger values count as the largest.

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::number::{float, round3};

/// Ten minutes in µs: longer than any run waits.
const HIGHEST_US: u64 = 600_000_000;

/// A set of latencies.
#[derive(Debug, Clone)]
pub(crate) struct Latency(Histogram<u64>);

/// Quantiles of a set of latencies, in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Quantiles {
    /// The number of latencies.
    pub(crate) count: u64,
    /// The median, in ms.
    pub(crate) p50_ms: f64,
    /// The 90th percentile, in ms.
    pub(crate) p90_ms: f64,
    /// The 99th percentile, in ms.
    pub(crate) p99_ms: f64,
    /// The 99.9th percentile, in ms.
    pub(crate) p999_ms: f64,
    /// The slowest, in ms.
    pub(crate) max_ms: f64,
}

impl Latency {
    /// An empty set.
    pub(crate) fn new() -> Self {
        Self(
            Histogram::new_with_bounds(1, HIGHEST_US, 3)
                .expect("the bounds are constants that the histogram takes"),
        )
    }

    /// Adds a latency in nanoseconds.
    pub(crate) fn record_ns(&mut self, ns: u64) {
        self.0.saturating_record((ns / 1_000).max(1));
    }

    /// Adds all of `other`.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.0.add(&other.0).expect("all histograms here have the same bounds");
    }

    /// Whether nothing was recorded.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value below which the share `quantile` lies, in ms.
    pub(crate) fn quantile_ms(&self, quantile: f64) -> f64 {
        round3(float(self.0.value_at_quantile(quantile)) / 1_000.0)
    }

    /// The quantiles for a report.
    pub(crate) fn quantiles(&self) -> Quantiles {
        Quantiles {
            count: self.0.len(),
            p50_ms: self.quantile_ms(0.5),
            p90_ms: self.quantile_ms(0.9),
            p99_ms: self.quantile_ms(0.99),
            p999_ms: self.quantile_ms(0.999),
            max_ms: round3(float(self.0.max()) / 1_000.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_in_milliseconds() {
        let mut latency = Latency::new();
        for ms in 1..=100 {
            latency.record_ns(ms * 1_000_000);
        }
        latency.record_ns(u64::MAX);
        let shown = latency.quantiles();
        assert_eq!(shown.count, 101);
        assert!((shown.p50_ms - 51.0).abs() < 0.1, "{shown:?}");
        assert!(shown.max_ms > 599_000.0, "{shown:?}");
    }
}
