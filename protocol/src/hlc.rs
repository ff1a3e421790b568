//! Hybrid logical clock (Kulkarni et al., 'Logical Physical Clocks', 2014): wall-clock milliseconds and a counter.
//! The writer stamps events with it. Received stamps advance it, but never far ahead of the wall clock.

use serde::{Deserialize, Serialize};

use crate::limits::CLOCK_LEAD_MS_MAX;

const COUNTER_BITS: u32 = 16;

/// A stamp: 48 bits of Unix milliseconds, then a 16-bit counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Hlc(pub u64);

impl Hlc {
    /// Returns the first stamp of a millisecond since the Unix epoch.
    pub fn from_unix_ms(ms: u64) -> Self {
        Self(ms << COUNTER_BITS)
    }

    /// Returns the milliseconds since the Unix epoch.
    pub fn unix_ms(self) -> u64 {
        self.0 >> COUNTER_BITS
    }

    /// Returns the next stamp.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Returns this stamp, or the latest stamp that a node accepts at a wall-clock time of `now_ms` if that is earlier.
    #[must_use]
    pub fn capped(self, now_ms: u64) -> Self {
        self.min(Self::from_unix_ms(now_ms.saturating_add(CLOCK_LEAD_MS_MAX)))
    }
}

/// A node's clock. It never goes back, even if the wall clock does.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    last: Hlc,
}

impl Clock {
    /// Advances the clock to a received stamp, but at most to 30 s past `now_ms`.
    pub fn observe(&mut self, stamp: Hlc, now_ms: u64) {
        self.last = self.last.max(stamp.capped(now_ms));
    }

    /// Returns a new stamp above all earlier ones, and above `above_hlc` (of the event that is replaced or answered).
    /// `above_hlc` does not advance the clock: one stamp from the future must not affect all others.
    pub fn stamp(&mut self, now_ms: u64, above_hlc: Option<Hlc>) -> Hlc {
        self.last = self.last.next().max(Hlc::from_unix_ms(now_ms));
        above_hlc.map_or(self.last, |above_hlc| self.last.max(above_hlc.next()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_rise_even_when_the_wall_clock_goes_back() {
        let mut clock = Clock::default();
        let stamps = [5_000, 5_000, 4_000, 6_000].map(|now_ms| clock.stamp(now_ms, None));
        assert!(stamps.is_sorted_by(|a, b| a < b), "{stamps:?}");
        assert_eq!(stamps[3].unix_ms(), 6_000);
    }

    #[test]
    fn above_hlc_affects_one_stamp_only() {
        let mut clock = Clock::default();
        let above_hlc = Hlc::from_unix_ms(9_000_000);
        assert!(clock.stamp(1_000, Some(above_hlc)) > above_hlc);
        assert_eq!(clock.stamp(2_000, None).unix_ms(), 2_000);
    }

    #[test]
    fn a_received_stamp_advances_the_clock_by_at_most_30_s() {
        let mut clock = Clock::default();
        clock.observe(Hlc::from_unix_ms(3_600_000), 1_000);
        assert_eq!(clock.stamp(1_000, None).unix_ms(), 1_000 + CLOCK_LEAD_MS_MAX);
    }
}
