//! Decides whether this node's wall clock is wrong: it is if it is far from the clocks of an agreeing majority of the
//! live nodes. Such a node takes no users until it agrees again. Without a majority the clocks are in dispute.

/// Clocks agree if they are at most this far apart, in milliseconds.
pub const AGREE_MS_MAX: i64 = 30_000;

/// The verdict on this node's own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockVerdict {
    /// It agrees with a majority, or no other node is there.
    Agrees,
    /// A majority agrees, and this node's clock differs from it by this many milliseconds: positive if it is ahead.
    Wrong(i64),
    /// No majority agrees, so the right time is unknown. Holds the spread of all clocks in milliseconds.
    Disputed(i64),
}

/// Judges this node's clock by those of its peers. `peers_ahead_ms` says by how many milliseconds each is ahead of it.
pub fn judge(peers_ahead_ms: &[i64]) -> ClockVerdict {
    let mut clocks = peers_ahead_ms.to_vec();
    clocks.push(0);
    clocks.sort_unstable();
    let majority = clocks.len() / 2 + 1;
    // In sorted order a majority agrees if its first and its last clock agree.
    let runs =
        clocks.windows(majority).filter(|run| run[majority - 1].saturating_sub(run[0]) <= AGREE_MS_MAX);
    let outside = |run: &[i64]| {
        let (first, last) = (run[0], run[majority - 1]);
        // This node's clock is 0. How far is it outside of first..=last?
        if first > 0 { -first } else { (-last).max(0) }
    };
    let (first, last) = (clocks[0], clocks[clocks.len() - 1]);
    match runs.map(outside).min_by_key(|outside| outside.unsigned_abs()) {
        Some(outside) if outside.unsigned_abs() > AGREE_MS_MAX.unsigned_abs() => ClockVerdict::Wrong(outside),
        Some(_) => ClockVerdict::Agrees,
        None => ClockVerdict::Disputed(last.saturating_sub(first)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    /// Promise 10: a clock an hour off is recognized, and the bound is exact.
    #[test]
    fn a_clock_is_wrong_only_if_it_is_far_from_a_majority() {
        assert_eq!(judge(&[]), ClockVerdict::Agrees);
        assert_eq!(judge(&[HOUR, HOUR + 9]), ClockVerdict::Wrong(-HOUR));
        assert_eq!(judge(&[-HOUR, -HOUR - 9]), ClockVerdict::Wrong(HOUR));
        assert_eq!(judge(&[0, HOUR]), ClockVerdict::Agrees);
        assert_eq!(judge(&[30_001, 30_001]), ClockVerdict::Wrong(-30_001));
        assert_eq!(judge(&[30_000, 30_000]), ClockVerdict::Agrees);
        assert_eq!(judge(&[20_000, 40_000]), ClockVerdict::Agrees, "each agrees with this clock");
    }

    #[test]
    fn without_a_majority_no_clock_is_wrong() {
        assert_eq!(judge(&[HOUR]), ClockVerdict::Disputed(HOUR));
        assert_eq!(judge(&[HOUR, -HOUR]), ClockVerdict::Disputed(2 * HOUR));
        assert_eq!(judge(&[0, HOUR, HOUR]), ClockVerdict::Disputed(HOUR));
        assert_eq!(judge(&[0, 5, HOUR, HOUR]), ClockVerdict::Agrees);
        assert_eq!(judge(&[i64::MAX, i64::MIN]), ClockVerdict::Disputed(i64::MAX));
    }
}
