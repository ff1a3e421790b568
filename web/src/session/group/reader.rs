//! A reader of a lane: the writing half of a session, and how far it has come. The session writes itself while it has
//! something of its own to send: a replay, an ack, a backlog. Once it is up to date, it lends both to the group of its lane,
//! and sleeps. It takes them back when it has something to send again. The group gives them back when it can't go on: the socket
//! has no room, or the lane has gone on without it.
//!
//! Whoever has them writes complete frames only, or leaves the rest of the last one to its successor.

use std::{
    io::IoSlice,
    mem,
    sync::{Arc, PoisonError},
    time::Instant,
};

use starling_protocol::{CursorOwner, Hlc};

use super::super::{delivery::Delivery, write_half::WriteHalf};
use super::run::Run;
use crate::sync::{Mutex, MutexGuard, Notify};

/// How far a session has come.
#[derive(Clone, Debug)]
pub struct Progress {
    /// The number of the next frame of the lane.
    pub position: u64,
    /// The frames and cursors that were sent.
    pub delivery: Delivery,
    /// The greatest stamp that the client was shown or acked.
    pub greatest: Hlc,
    /// The time of the last cursor.
    pub last_cursor_at: Instant,
    /// The rest of a frame of which a part was written.
    pub unsent: Vec<u8>,
}

/// A session as its group sees it.
#[derive(Debug)]
pub struct Reader {
    /// The owner of its cursors.
    pub owner: CursorOwner,
    write_half: Arc<dyn WriteHalf>,
    state: Mutex<State>,
    returned: Notify,
}

#[derive(Debug)]
enum State {
    /// The session has its progress.
    Session,
    /// The group may write.
    Lent(Progress),
    /// The group has given it back, and the session has not taken it yet.
    Returned(Progress),
}

/// The outcome of a write to a reader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// The number of frames, including one that was only begun.
    pub frames: u64,
    /// Whether frames were sent that no complete cursor covers.
    pub needs_cursor: bool,
}

impl Reader {
    /// Makes a reader whose progress its session has.
    pub fn new(owner: CursorOwner, write_half: Arc<dyn WriteHalf>) -> Self {
        Self { owner, write_half, state: Mutex::new(State::Session), returned: Notify::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the group write. The session must have written everything. Returns the progress if the session has to go on itself,
    /// because frames were pushed meanwhile that the group may have passed by.
    pub fn lend(&self, progress: Progress, lane_end: impl Fn() -> u64) -> Option<Progress> {
        let position = progress.position;
        *self.state() = State::Lent(progress);
        // Read after the reader can be seen to be lent: the group writes whatever is pushed from now on.
        if lane_end() > position { self.reclaim() } else { None }
    }

    /// Takes the progress back; `None` if the session has it already. The group writes nothing after this.
    pub fn reclaim(&self) -> Option<Progress> {
        match mem::replace(&mut *self.state(), State::Session) {
            State::Session => None,
            State::Lent(progress) | State::Returned(progress) => Some(progress),
        }
    }

    /// Waits until the group gives the progress back.
    ///
    /// Cancellation safety: nothing is lost when the future is dropped.
    pub async fn returned(&self) {
        while !matches!(*self.state(), State::Returned(_)) {
            self.returned.notified().await;
        }
    }

    /// Writes those frames of a run that the client lacks, and `cursor` behind them, if the session has lent its socket. `cursor`
    /// gets the progress after the frames; it notes what it returns there.
    pub fn deliver(&self, run: &Run, cursor: impl FnOnce(&Self, &mut Progress) -> Vec<u8>) -> Delivered {
        let mut state = self.state();
        let State::Lent(progress) = &mut *state else { return Delivered::default() };
        if progress.position > run.end() {
            // It came later than the run.
            return Delivered { frames: 0, needs_cursor: progress.delivery.needs_cursor() };
        }
        // A frame of a commit that a replay has covered is left out: the session can do that.
        let skip = run.skip_to(progress.position).filter(|_| run.is_after(progress.delivery.sent().number));
        let (frames, is_whole) = match skip {
            Some(skip) => self.write(run, skip, progress, cursor),
            None => (0, false),
        };
        let delivered = Delivered { frames, needs_cursor: progress.delivery.needs_cursor() };
        if !is_whole {
            self.give_back_locked(state);
        }
        delivered
    }

    /// Gives the progress back to the session, if the group has it.
    pub fn give_back(&self) {
        self.give_back_locked(self.state());
    }

    fn give_back_locked(&self, mut state: MutexGuard<'_, State>) {
        match mem::replace(&mut *state, State::Session) {
            State::Lent(progress) => {
                *state = State::Returned(progress);
                drop(state);
                self.returned.notify_one();
            }
            other => *state = other,
        }
    }

    /// Writes a run. Returns the number of frames that were begun, and whether everything was written.
    fn write(
        &self,
        run: &Run,
        skip: usize,
        progress: &mut Progress,
        cursor: impl FnOnce(&Self, &mut Progress) -> Vec<u8>,
    ) -> (u64, bool) {
        let frames = run.frames(skip);
        let mut after = progress.clone();
        for frame in frames {
            after.delivery.note_frame(frame);
        }
        after.delivery.reach(run.point.clone());
        after.position = run.end();
        if !frames.is_empty() {
            after.greatest = after.greatest.max(run.greatest);
        }
        let cursor = cursor(self, &mut after);
        let wire = run.wire(skip);
        let written = match (wire.is_empty(), cursor.is_empty()) {
            (true, true) => Ok(0),
            (false, true) => self.write_half.try_write(&[IoSlice::new(wire)]),
            (true, false) => self.write_half.try_write(&[IoSlice::new(&cursor)]),
            (false, false) => self.write_half.try_write(&[IoSlice::new(wire), IoSlice::new(&cursor)]),
        };
        // The session meets the error of a broken connection itself.
        let written = written.unwrap_or(0);
        if let Some(of_cursor) = written.checked_sub(wire.len())
            && (of_cursor > 0 || cursor.is_empty())
        {
            after.unsent = cursor[of_cursor..].to_vec();
            *progress = after;
            return (frames.len() as u64, progress.unsent.is_empty());
        }
        let (begun, rest) = run.cut(skip, written);
        for frame in &frames[..begun] {
            progress.delivery.note_frame(frame);
            progress.greatest = progress.greatest.max(frame.hlc);
        }
        progress.position += begun as u64;
        progress.unsent = rest.to_vec();
        (begun as u64, false)
    }
}
