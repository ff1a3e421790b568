//! Whose wall clock is wrong: a node that is far outside an agreeing majority of the live nodes is, and gets no users
//! until it agrees again. Without such a majority nobody can tell.

/// Clocks that are no further apart than this agree, in milliseconds.
pub const AGREE_MS_MAX: i64 = 30_000;

/// What a node may think of its own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockVerdict {
    /// It agrees with a majority, or nobody else is there.
    Agrees,
    /// A majority agrees, and this node's clock is so far outside: positive if it is ahead. In milliseconds.
    Outside(i64),
    /// The clocks are further apart than that, and no majority says which are right. Their spread in milliseconds.
    Disputed(i64),
}

/// Judges this node's clock by the others': by how many milliseconds each is ahead of it.
pub fn judge(ahead_ms: &[i64]) -> ClockVerdict {
    let mut clocks = ahead_ms.to_vec();
    clocks.push(0);
    clocks.sort_unstable();
    let majority = clocks.len() / 2 + 1;
    // Sorted, a majority that agrees is a run of that length whose ends agree.
    let runs =
        clocks.windows(majority).filter(|run| run[majority - 1].saturating_sub(run[0]) <= AGREE_MS_MAX);
    let outside = |run: &[i64]| {
        let (first, last) = (run[0], run[majority - 1]);
        // How far 0, this node's clock, is outside of first..=last.
        if first > 0 { -first } else { (-last).max(0) }
    };
    let (first, last) = (clocks[0], clocks[clocks.len() - 1]);
    match runs.map(outside).min_by_key(|outside| outside.unsigned_abs()) {
        Some(outside) if outside.unsigned_abs() > AGREE_MS_MAX.unsigned_abs() => {
            ClockVerdict::Outside(outside)
        }
        Some(_) => ClockVerdict::Agrees,
        None => ClockVerdict::Disputed(last.saturating_sub(first)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    /// Promise 10: a clock an hour off is told from those that are right, at, below and above the bound.
    #[test]
    fn only_who_is_far_outside_a_majority_is_wrong() {
        assert_eq!(judge(&[]), ClockVerdict::Agrees);
        assert_eq!(judge(&[HOUR, HOUR + 9]), ClockVerdict::Outside(-HOUR));
        assert_eq!(judge(&[-HOUR, -HOUR - 9]), ClockVerdict::Outside(HOUR));
        assert_eq!(judge(&[0, HOUR]), ClockVerdict::Agrees);
        assert_eq!(judge(&[30_001, 30_001]), ClockVerdict::Outside(-30_001));
        assert_eq!(judge(&[30_000, 30_000]), ClockVerdict::Agrees);
        assert_eq!(
            judge(&[20_000, 40_000]),
            ClockVerdict::Agrees,
            "two of three agree with each other and me"
        );
    }

    #[test]
    fn without_a_majority_nobody_is_wrong() {
        assert_eq!(judge(&[HOUR]), ClockVerdict::Disputed(HOUR));
        assert_eq!(judge(&[HOUR, -HOUR]), ClockVerdict::Disputed(2 * HOUR));
        assert_eq!(judge(&[0, HOUR, HOUR]), ClockVerdict::Disputed(HOUR));
        assert_eq!(judge(&[0, 5, HOUR, HOUR]), ClockVerdict::Agrees);
        assert_eq!(judge(&[i64::MAX, i64::MIN]), ClockVerdict::Disputed(i64::MAX));
    }
}
