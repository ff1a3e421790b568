//! Lets a commit wait for a moment, so that posts of several people share it. A commit costs the same for one post as for ten: a
//! sync of the disk, and the store's own bookkeeping.

use std::time::Duration;

use starling_protocol::event::SenderKey;
use tokio::time::Instant;

/// The least time between the beginnings of two commits, while people post who don't wait for each other.
const APART: Duration = Duration::from_millis(2);
/// With so many requests in the queue little is gained by waiting for more.
const ENOUGH: usize = 32;

/// The last commit, from which the next one is kept apart.
#[derive(Debug, Default)]
pub struct Gathering {
    begun: Option<Instant>,
    /// Those whose posts it had.
    authors: Vec<SenderKey>,
}

impl Gathering {
    /// Returns how long the next commit waits. It does not if the author of its first post had one in the last commit: such a
    /// program posts again as soon as it has the ack, and would only be slowed down.
    pub fn pause(&self, now: Instant, author: SenderKey, queued: usize) -> Duration {
        let due = self.begun.map(|begun| begun + APART);
        let waits = queued < ENOUGH && !self.authors.contains(&author);
        due.filter(|_| waits).map_or(Duration::ZERO, |due| due.saturating_duration_since(now))
    }

    /// Notes that a commit begins, with posts of these authors.
    pub fn note_commit(&mut self, now: Instant, authors: impl IntoIterator<Item = SenderKey>) {
        self.begun = Some(now);
        self.authors.clear();
        self.authors.extend(authors);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: SenderKey = [1; 17];
    const BOB: SenderKey = [2; 17];

    /// Issue 12: posts of people who don't wait for each other share commits, and a lone one is not delayed.
    #[test]
    fn posts_that_follow_soon_wait_for_others_a_lone_one_does_not() {
        let (mut gathering, start) = (Gathering::default(), Instant::now());
        assert_eq!(gathering.pause(start, ANN, 0), Duration::ZERO, "the first");
        gathering.note_commit(start, [ANN]);
        let soon = start + Duration::from_micros(500);
        assert_eq!(gathering.pause(soon, BOB, 0), Duration::from_micros(1_500));
        assert_eq!(gathering.pause(soon, BOB, ENOUGH), Duration::ZERO, "many wait already");
        assert_eq!(gathering.pause(start + APART, BOB, 0), Duration::ZERO, "long after the last");
    }

    /// Issue 12: an import that posts again after each ack is as fast as the disk.
    #[test]
    fn who_waits_for_acks_is_not_slowed_down() {
        let (mut gathering, start) = (Gathering::default(), Instant::now());
        gathering.note_commit(start, [BOB, ANN]);
        assert_eq!(gathering.pause(start, ANN, 0), Duration::ZERO);
        gathering.note_commit(start, [BOB]);
        assert_eq!(gathering.pause(start, ANN, 0), APART);
    }
}
