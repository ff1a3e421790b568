//! How often a member without a link is dialled. The pauses grow with the time since it was last heard of: a member that
//! was cut off is linked again soon, and one that is gone costs next to nothing.

use std::time::Duration;

use tokio::time::Instant;

/// The part of the time since a member was last heard of that a pause may take: what was cut off for a minute is dialled
/// again within 6 s of the repair.
const PAUSE_PART: u32 = 10;
/// The longest pause between two attempts to link a member.
pub(super) const PAUSE_MAX: Duration = Duration::from_mins(1);

/// A member without a link.
#[derive(Clone, Copy, Debug)]
pub(super) struct Absence {
    /// The time at which the link was found missing.
    pub(super) since: Instant,
    /// The last time at which somebody heard the member, or it described itself anew.
    heard_of: Instant,
    /// The number of its description.
    number: u64,
    /// The time at which its addresses are due to be looked up again.
    look_up_at: Instant,
}

impl Absence {
    pub(super) fn new(now: Instant, number: u64) -> Self {
        Self { since: now, heard_of: now, number, look_up_at: now }
    }

    /// Handles what is known of the member: the number of its description, and whether a linked peer hears it.
    pub(super) fn note(&mut self, now: Instant, number: u64, is_heard: bool) {
        if is_heard || number > self.number {
            self.heard_of = now;
            self.number = number;
            self.look_up_at = self.look_up_at.min(now);
        }
    }

    /// Returns the longest pause between two attempts.
    pub(super) fn pause(&self, now: Instant) -> Duration {
        (now.saturating_duration_since(self.heard_of) / PAUSE_PART).min(PAUSE_MAX)
    }

    /// Whether its addresses are due to be looked up; the next time follows after the pause.
    pub(super) fn takes_look_up(&mut self, now: Instant) -> bool {
        let is_due = now >= self.look_up_at;
        if is_due {
            self.look_up_at = now + self.pause(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Issue 11: the dead cost nothing. A day of absence costs few look-ups, and a short one delays no link.
    #[test]
    fn the_longer_a_member_is_gone_the_rarer_it_is_looked_for() {
        let start = Instant::now();
        let mut absence = Absence::new(start, 7);
        let mut look_ups = Vec::new();
        for second in 0..24 * 3_600 {
            let now = start + SECOND * second;
            absence.note(now, 7, false);
            if absence.takes_look_up(now) {
                look_ups.push(second);
            }
        }
        assert_eq!(look_ups[..10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], "at first each second");
        let pauses = look_ups.windows(2).map(|pair| pair[1] - pair[0]);
        assert_eq!(pauses.max(), Some(60));
        assert!(look_ups.len() < 24 * 60 + 60, "{} look-ups", look_ups.len());
    }

    /// A member that is heard of again is looked for at once: a peer hears it, or it has described itself anew.
    #[test]
    fn a_member_that_is_heard_of_is_looked_for_at_once() {
        let start = Instant::now();
        for (number, is_heard) in [(7, true), (8, false)] {
            let mut absence = Absence::new(start, 7);
            let day = start + SECOND * 86_400;
            assert!(absence.takes_look_up(day) && !absence.takes_look_up(day + SECOND));
            assert_eq!(absence.pause(day), PAUSE_MAX);
            absence.note(day + SECOND, 7, false);
            assert!(!absence.takes_look_up(day + SECOND), "that is no news");
            absence.note(day + SECOND * 2, number, is_heard);
            assert!(absence.takes_look_up(day + SECOND * 2));
            assert_eq!(absence.pause(day + SECOND * 2), Duration::ZERO);
        }
    }
}
