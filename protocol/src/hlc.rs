//! Hybrid logical clock (Kulkarni et al., 'Logical Physical Clocks', 2014): wall-clock milliseconds and a counter.
//! The writer stamps with it; received stamps move it, but never far past the wall clock.

use serde::{Deserialize, Serialize};

use crate::limits::CLOCK_LEAD_MS_MAX;

const COUNTER_BITS: u32 = 16;

/// A stamp: 48 bits of Unix milliseconds, then a 16-bit counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Hlc(pub u64);

impl Hlc {
    /// The first stamp of a millisecond since the Unix epoch.
    pub fn from_unix_ms(ms: u64) -> Self {
        Self(ms << COUNTER_BITS)
    }

    /// Milliseconds since the Unix epoch.
    pub fn unix_ms(self) -> u64 {
        self.0 >> COUNTER_BITS
    }

    /// The next stamp.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// This stamp, but no later than a wall clock of `now_ms` may be pushed.
    #[must_use]
    pub fn capped(self, now_ms: u64) -> Self {
        self.min(Self::from_unix_ms(now_ms.saturating_add(CLOCK_LEAD_MS_MAX)))
    }
}

/// A node's clock: never goes back, whatever the wall clock does.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    last: Hlc,
}

impl Clock {
    /// Takes note of a stamp that was seen; it moves the clock to 30 s past `now_ms` at most.
    pub fn observe(&mut self, stamp: Hlc, now_ms: u64) {
        self.last = self.last.max(stamp.capped(now_ms));
    }

    /// A fresh stamp above all earlier ones, and above `min_hlc` (what the event replaces, answers or follows).
    /// `min_hlc` does not move the clock: one stamp from the future must not drag all others along.
    pub fn stamp(&mut self, now_ms: u64, min_hlc: Option<Hlc>) -> Hlc {
        self.last = self.last.next().max(Hlc::from_unix_ms(now_ms));
        min_hlc.map_or(self.last, |min_hlc| self.last.max(min_hlc.next()))
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
    fn a_floor_lifts_one_stamp_only() {
        let mut clock = Clock::default();
        let min_hlc = Hlc::from_unix_ms(9_000_000);
        assert!(clock.stamp(1_000, Some(min_hlc)) > min_hlc);
        assert_eq!(clock.stamp(2_000, None).unix_ms(), 2_000);
    }

    #[test]
    fn a_received_stamp_moves_the_clock_by_30_s_at_most() {
        let mut clock = Clock::default();
        clock.observe(Hlc::from_unix_ms(3_600_000), 1_000);
        assert_eq!(clock.stamp(1_000, None).unix_ms(), 1_000 + CLOCK_LEAD_MS_MAX);
    }
}
