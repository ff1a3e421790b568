//! The schedule of messages: fixed before the run begins, whatever the nodes do (open loop).
//! Pure; who sends asks it what is due by now, and latencies count from what it says.

use std::time::Duration;

use crate::number::{count, float, nanos, splitmix};

/// A message that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    /// Index of the sender.
    pub(crate) sender: usize,
    /// The intended send time, in ns since the run began.
    pub(crate) due_ns: u64,
}

/// The schedule of all senders: each sends at a steady interval, from an offset drawn by the seed.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    start_ns: u64,
    end_ns: u64,
    interval_ns: u64,
    /// Offsets within the interval, rising; the sender's index is the index here.
    phases_ns: Vec<u64>,
    next: u64,
}

impl Schedule {
    /// `rate` messages a second over all `senders`, from `start_ns` for `length`.
    pub(crate) fn new(rate: f64, senders: usize, start_ns: u64, length: Duration, seed: u64) -> Self {
        let mut state = seed;
        let senders = senders.max(1);
        let mut phases_ns: Vec<u64> = vec![0; senders];
        let interval = Duration::try_from_secs_f64(float(count(&phases_ns)) / rate).unwrap_or(Duration::MAX);
        let interval_ns = nanos(interval).max(1);
        phases_ns.fill_with(|| splitmix(&mut state) % interval_ns);
        phases_ns.sort_unstable();
        Self { start_ns, end_ns: start_ns.saturating_add(nanos(length)), interval_ns, phases_ns, next: 0 }
    }

    /// The next message if its time has come; to be called until it says `None`.
    pub(crate) fn take_due(&mut self, now_ns: u64) -> Option<Due> {
        let due = self.peek()?;
        if due.due_ns > now_ns {
            return None;
        }
        self.next += 1;
        Some(due)
    }

    /// The next message, due or not; `None` after the last.
    pub(crate) fn peek(&self) -> Option<Due> {
        let senders = count(&self.phases_ns);
        let sender = usize::try_from(self.next % senders).expect("the index of a sender");
        let round_ns = (self.next / senders).checked_mul(self.interval_ns)?;
        let due_ns = self.start_ns.checked_add(round_ns)?.checked_add(self.phases_ns[sender])?;
        (due_ns < self.end_ns).then_some(Due { sender, due_ns })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn schedule() -> Schedule {
        Schedule::new(500.0, 10, 7, Duration::from_secs(4), 1)
    }

    /// The messages sent, with their intended times, if the pacer wakes only at these times.
    fn taken(wakes: impl IntoIterator<Item = u64>) -> Vec<Due> {
        let mut schedule = schedule();
        let mut taken = Vec::new();
        for now_ns in wakes {
            while let Some(due) = schedule.take_due(now_ns) {
                assert!(due.due_ns <= now_ns);
                taken.push(due);
            }
        }
        taken
    }

    #[test]
    fn the_loop_is_open() {
        // However late the pacer wakes, the same messages go out with the same intended times: all that a
        // stall of three seconds held up at once, none left out, none moved.
        let punctual = taken((0..5_000).map(|ms| ms * SECOND / 1_000));
        let stalled = taken([SECOND, 4 * SECOND, 5 * SECOND]);
        assert_eq!(punctual, stalled);
        assert_eq!(punctual.len(), 2_000);
    }

    #[test]
    fn each_sender_keeps_its_interval() {
        let all = taken([5 * SECOND]);
        assert!(all.is_sorted_by_key(|due| due.due_ns));
        for sender in 0..10 {
            let times: Vec<_> = all.iter().filter(|due| due.sender == sender).map(|due| due.due_ns).collect();
            assert_eq!(times.len(), 200);
            assert!(times.windows(2).all(|pair| pair[1] - pair[0] == SECOND / 50));
        }
    }

    #[test]
    fn the_seed_decides() {
        let other = Schedule::new(500.0, 10, 7, Duration::from_secs(4), 2);
        assert_eq!(schedule().peek(), schedule().peek());
        assert_ne!(schedule().peek(), other.peek());
    }

    #[test]
    fn absurd_rates_end_rather_than_overflow() {
        assert_eq!(Schedule::new(1e-300, 1, 0, Duration::MAX, 1).take_due(0), None);
        assert!(Schedule::new(1e300, 1, 0, Duration::from_nanos(2), 1).take_due(0).is_some());
    }
}
