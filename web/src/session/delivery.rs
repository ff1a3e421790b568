//! What a client was sent, and which cursor it has for that: bookkeeping without IO and clock. Both kinds of session
//! use it, and so do the model check and the simulator.

use std::collections::VecDeque;

use crate::lane::{CommitPoint, Frame};

/// The most marks of one session: as many as a slow one sets on its way through a full lane.
const MARKS_MAX: usize = 128;

/// How far a client's frames and cursors have got.
#[derive(Debug)]
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

    /// Whether a frame from a lane has yet to be sent. A replay may have covered it.
    pub fn is_new(&self, frame: &Frame) -> bool {
        frame.commit > self.sent.number
    }

    /// Notes that a frame was sent.
    pub fn note_frame(&mut self, frame: &Frame) {
        if frame.commit != Frame::EPHEMERAL {
            self.newest_frame = self.newest_frame.max(frame.commit);
        }
    }

    /// Notes that all frames up to a commit were taken from the lanes. The cursor moves only if any of them was sent.
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

    /// Whether a frame was sent that no complete cursor covers.
    pub fn needs_cursor(&self) -> bool {
        self.cursor.is_none_or(|commit| commit < self.newest_frame)
    }
}

/// Positions in a lane, in order, each with a commit whose frames lie before it.
#[derive(Debug, Default)]
pub struct Marks(VecDeque<(u64, CommitPoint)>);

impl Marks {
    /// Adds a mark. Beyond 128 it is left out, which delays the cursor until the session is through those.
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
