//! Tracks what a client was sent and which cursor it has for that, without IO or a clock. Both kinds of session use it, and
//! so do the model check and the simulator.

use std::collections::VecDeque;

use crate::lane::{CommitPoint, Frame};

/// The most marks of one session. A slow session sets this many on its way through a full lane.
const MARKS_MAX: usize = 128;

/// The progress of a client's frames and cursors.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Everything up to this commit was sent.
    sent: CommitPoint,
    /// The greatest commit of a frame that was sent. It may not be published yet.
    newest_frame: u64,
    /// The commit of the client's newest complete cursor.
    cursor: Option<u64>,
}

impl Delivery {
    /// Starts with everything sent up to `sent`, and without a cursor.
    pub fn new(sent: CommitPoint) -> Self {
        Self { newest_frame: sent.number, sent, cursor: None }
    }

    /// Returns the commit up to which everything was sent: the one for the next cursor.
    pub fn sent(&self) -> &CommitPoint {
        &self.sent
    }

    /// Returns whether a frame from a lane has not been sent yet. A replay may have covered it.
    pub fn is_new(&self, frame: &Frame) -> bool {
        frame.commit > self.sent.number
    }

    /// Notes that a frame was sent.
    pub fn note_frame(&mut self, frame: &Frame) {
        if frame.commit != Frame::EPHEMERAL {
            self.newest_frame = self.newest_frame.max(frame.commit);
        }
    }

    /// Notes that all frames up to a commit were taken from the lanes. Moves `sent` to that commit, but only if a frame
    /// was sent since: otherwise the client needs no new cursor.
    pub fn reach(&mut self, point: CommitPoint) {
        if self.sent.number < self.newest_frame {
            self.sent = point;
        }
    }

    /// Notes that everything up to a commit was sent from the store.
    pub fn catch_up(&mut self, point: CommitPoint) {
        self.newest_frame = self.newest_frame.max(point.number);
        self.sent = point;
    }

    /// Notes that the client was sent a complete cursor for [`Delivery::sent`].
    pub fn note_cursor(&mut self) {
        self.cursor = Some(self.sent.number);
    }

    /// Returns whether a frame was sent that no complete cursor covers.
    pub fn needs_cursor(&self) -> bool {
        self.cursor.is_none_or(|commit| commit < self.newest_frame)
    }
}

/// Positions in a lane, in order, each with a commit whose frames lie before it.
#[derive(Debug, Default)]
pub struct Marks(VecDeque<(u64, CommitPoint)>);

impl Marks {
    /// Adds a mark. Beyond 128 marks it is left out, which delays the cursor until the session has passed those.
    pub fn set(&mut self, position: u64, point: CommitPoint) {
        if self.0.len() < MARKS_MAX {
            self.0.push_back((position, point));
        }
    }

    /// Removes the marks up to a position and notes their commits as reached.
    pub fn pass(&mut self, position: u64, delivery: &mut Delivery) {
        while let Some((_, point)) = self.0.pop_front_if(|(at, _)| *at <= position) {
            delivery.reach(point);
        }
    }

    /// Removes all marks.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use starling_protocol::Hlc;

    use super::*;

    fn point(number: u64) -> CommitPoint {
        CommitPoint { number, vector: Arc::default() }
    }

    fn frame(commit: u64) -> Frame {
        Frame::new(commit, Hlc::default(), "{}")
    }

    /// Promise 3: a frame comes once, whether from the store or from a lane. Frames of the moment come always.
    #[test]
    fn only_frames_beyond_what_was_sent_are_new() {
        let mut delivery = Delivery::new(point(5));
        let is_new = |delivery: &Delivery| [5, 6, 7, Frame::EPHEMERAL].map(|n| delivery.is_new(&frame(n)));
        assert_eq!(is_new(&delivery), [false, true, true, true]);
        delivery.catch_up(point(6));
        assert_eq!(is_new(&delivery), [false, false, true, true]);
    }

    /// Commits of other rooms don't move a cursor, else each session would seal one for each commit of the cluster.
    #[test]
    fn a_cursor_moves_only_over_frames_that_were_sent() {
        let mut delivery = Delivery::new(point(5));
        delivery.reach(point(7));
        assert_eq!(delivery.sent().number, 5, "nothing was sent");
        delivery.note_frame(&frame(8));
        delivery.reach(point(8));
        assert_eq!(delivery.sent().number, 8);
        delivery.reach(point(9));
        assert_eq!(delivery.sent().number, 8, "nothing was sent since");
    }

    #[test]
    fn a_cursor_is_needed_until_one_covers_all_that_was_sent() {
        let mut delivery = Delivery::new(point(5));
        assert!(delivery.needs_cursor(), "the client has none");
        delivery.note_cursor();
        assert!(!delivery.needs_cursor());
        delivery.note_frame(&frame(Frame::EPHEMERAL));
        assert!(!delivery.needs_cursor(), "no cursor covers frames of the moment");
        delivery.note_frame(&frame(7));
        delivery.note_frame(&frame(6));
        delivery.note_cursor();
        assert!(delivery.needs_cursor(), "that one was for 5");
        delivery.reach(point(7));
        delivery.note_cursor();
        assert!(!delivery.needs_cursor());
        delivery.catch_up(point(9));
        assert!(delivery.needs_cursor());
    }

    /// Promise 3: a cursor covers a commit only after all frames before its mark were taken.
    #[test]
    fn marks_are_reached_in_order_when_their_positions_are_passed() {
        let (mut delivery, mut marks) = (Delivery::new(point(5)), Marks::default());
        delivery.note_frame(&frame(1_000));
        for (position, number) in [(3, 6), (5, 7), (9, 8)] {
            marks.set(position, point(number));
        }
        let sent = [2, 3, 8].map(|position| {
            marks.pass(position, &mut delivery);
            delivery.sent().number
        });
        assert_eq!(sent, [5, 6, 7]);
        marks.clear();
        marks.pass(9, &mut delivery);
        assert_eq!(delivery.sent().number, 7, "it was removed");
    }

    /// Promise 8: a session holds 128 marks; the others are left out, which delays its cursor.
    #[test]
    fn a_session_holds_128_marks() {
        let (mut delivery, mut marks) = (Delivery::new(point(0)), Marks::default());
        delivery.note_frame(&frame(1_000));
        (1..=200).for_each(|n| marks.set(n, point(n)));
        marks.pass(200, &mut delivery);
        assert_eq!(delivery.sent().number, 128);
    }
}
