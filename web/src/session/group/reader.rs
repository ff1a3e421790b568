//! A session as the groups of its lanes see it. The session writes itself while it has something of its own to send: a replay,
//! an ack, a backlog. Once it is up to date in all its lanes, it lends its socket and its progress to their groups, and sleeps.
//! It takes them back when it has something to send again. A group gives them back when it can't go on: the socket has no room,
//! a frame is not for everybody, or the lane has gone on without the group.
//!
//! Whoever has them writes complete frames only, or leaves the rest of the last one to its successor.

use std::{
    io::IoSlice,
    mem,
    sync::{Arc, PoisonError},
    time::Instant,
};

use starling_protocol::{CursorOwner, Hlc};

use super::super::{delivery::Delivery, visibility::Visibility, write_half::WriteHalf};
use super::run::Run;
// One by one, because the model check finds the lanes elsewhere.
use crate::lane::{Frame, Position};
use crate::sync::{Mutex, MutexGuard, Notify};

/// How far a session has come. Its positions in the lanes belong to it, too.
#[derive(Clone, Debug)]
pub struct Progress {
    /// The frames and cursors that were sent.
    pub delivery: Delivery,
    /// The greatest stamp that the client was shown or acked in a quick room.
    pub greatest: Hlc,
    /// The time of the last frame that was shown.
    pub last_frame_at: Instant,
    /// The time of the last cursor.
    pub last_cursor_at: Instant,
    /// The rest of a frame of which a part was written.
    pub unsent: Vec<u8>,
}

/// A session as its groups see it.
#[derive(Debug)]
pub struct Reader {
    /// The owner of its cursors.
    pub owner: CursorOwner,
    write_half: Arc<dyn WriteHalf>,
    state: Mutex<State>,
    returned: Notify,
}

#[derive(Debug)]
struct State {
    holder: Holder,
    /// The positions in the lanes of all rooms that the session follows.
    rooms: Vec<Position>,
    /// The part for the session of an account.
    account: Option<Account>,
}

/// The part of a reader that only the session of an account has.
#[derive(Debug)]
struct Account {
    /// The position in the user's own lane, whose frames come before those of rooms: one may say that they left the room.
    own_lane: Position,
    visibility: Arc<Visibility>,
}

#[derive(Debug)]
enum Holder {
    /// The session has its progress.
    Session,
    /// The groups may write.
    Lent(Progress),
    /// A group has given it back, and the session has not taken it yet.
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

impl State {
    /// Returns whether all frames of all lanes were taken, those of the lane at `except` aside.
    fn is_at_end(&self, except: Option<&Position>) -> bool {
        let mut own_lane = self.account.iter().map(|account| &account.own_lane);
        let is_at_end = |lane: &Position| except.is_some_and(|except| lane.is(except)) || lane.is_at_end();
        own_lane.all(is_at_end) && self.rooms.iter().all(is_at_end)
    }

    /// Returns whether a group may write all frames of a run: they are for everybody, and nothing has to come before them.
    fn is_for_group(&self, run: &Run) -> bool {
        self.account.as_ref().is_none_or(|Account { own_lane, visibility }| {
            own_lane.is_at_end() && run.is_plain() && run.is_shown_to(visibility)
        })
    }
}

impl Reader {
    /// Makes a reader whose progress its session has.
    pub fn new(owner: CursorOwner, write_half: Arc<dyn WriteHalf>) -> Self {
        let state = State { holder: Holder::Session, rooms: Vec::new(), account: None };
        Self { owner, write_half, state: Mutex::new(state), returned: Notify::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets what matters for an account: the position in the user's own lane, and what they see.
    pub fn set_account(&self, own_lane: Position, visibility: Arc<Visibility>) {
        self.state().account = Some(Account { own_lane, visibility });
    }

    /// Follows a room too.
    pub fn follow(&self, room: Position) {
        self.state().rooms.push(room);
    }

    /// Leaves a room. No group writes its frames from now on, not even one that is about to.
    pub fn leave(&self, room: &Position) {
        let mut state = self.state();
        state.holder = Holder::Session;
        state.rooms.retain(|known| !known.is(room));
        room.leave();
    }

    /// Lets the groups write. The session must have written everything. Returns the progress if there are frames that a group may
    /// have passed by: the session has to send them.
    pub fn lend(&self, progress: Progress) -> Option<Progress> {
        let mut state = self.state();
        // Looked at with the lock held: a group that has passed by has unlocked it after it found the frames.
        if !state.is_at_end(None) {
            return Some(progress);
        }
        state.holder = Holder::Lent(progress);
        None
    }

    /// Takes the progress back; `None` if the session has it already. The groups write nothing after this.
    pub fn reclaim(&self) -> Option<Progress> {
        match mem::replace(&mut self.state().holder, Holder::Session) {
            Holder::Session => None,
            Holder::Lent(progress) | Holder::Returned(progress) => Some(progress),
        }
    }

    /// Waits until a group gives the progress back.
    ///
    /// Cancellation safety: nothing is lost when the future is dropped.
    pub async fn returned(&self) {
        while !matches!(self.state().holder, Holder::Returned(_)) {
            self.returned.notified().await;
        }
    }

    /// Writes those frames of a run that the client lacks, and a cursor behind them if one is due, if the session has lent its
    /// socket. `position` is the reader's in the lane of the run. `cursor` is there if a cursor is due. It returns the bytes of one
    /// for everything that was sent, or none; it gets the progress after the frames, and notes there what it returns.
    pub fn deliver(
        &self,
        position: &Position,
        run: &Run,
        now: Instant,
        cursor: Option<impl FnOnce(&Self, &mut Progress) -> Vec<u8>>,
    ) -> Delivered {
        let mut guard = self.state();
        let state = &mut *guard;
        let Holder::Lent(progress) = &state.holder else { return Delivered::default() };
        if position.get() > run.end() {
            // It came later than the run, or has left the lane.
            return Delivered { frames: 0, needs_cursor: progress.delivery.needs_cursor() };
        }
        // A frame of a commit that a replay has covered is left out: the session can do that.
        let is_new = run.is_after(progress.delivery.sent().number);
        let skip = run.skip_to(position.get()).filter(|_| is_new && state.is_for_group(run));
        let is_quick = state.account.is_none();
        // The frames of the run's commit point lie before the end of the run, and before the ends of the other lanes.
        let reaches_point = (is_quick || cursor.is_some()) && state.is_at_end(Some(position));
        let Holder::Lent(progress) = &mut state.holder else { return Delivered::default() };
        let (frames, is_whole) = match skip {
            Some(skip) => {
                let write = Write { reader: self, position, run, skip, now, is_quick, reaches_point };
                write.execute(progress, cursor)
            }
            None => (0, false),
        };
        let delivered = Delivered { frames, needs_cursor: progress.delivery.needs_cursor() };
        if !is_whole {
            self.give_back_locked(guard);
        }
        delivered
    }

    /// Gives the progress back to the session, if the groups have it.
    pub fn give_back(&self) {
        self.give_back_locked(self.state());
    }

    fn give_back_locked(&self, mut state: MutexGuard<'_, State>) {
        match mem::replace(&mut state.holder, Holder::Session) {
            Holder::Lent(progress) => {
                state.holder = Holder::Returned(progress);
                drop(state);
                self.returned.notify_one();
            }
            other => state.holder = other,
        }
    }
}

/// One write of a run to a reader.
struct Write<'a> {
    reader: &'a Reader,
    position: &'a Position,
    run: &'a Run,
    /// The number of the run's frames that the client has already.
    skip: usize,
    now: Instant,
    is_quick: bool,
    /// Whether everything up to the run's commit point was sent once the run is.
    reaches_point: bool,
}

impl Write<'_> {
    /// Returns the number of frames that were begun, and whether everything was written.
    fn execute(
        &self,
        progress: &mut Progress,
        cursor: Option<impl FnOnce(&Reader, &mut Progress) -> Vec<u8>>,
    ) -> (u64, bool) {
        let (frames, wire) = (self.run.frames(self.skip), self.run.wire(self.skip));
        let with_cursor = cursor.filter(|_| self.reaches_point).and_then(|cursor| {
            let mut after = progress.clone();
            self.note_all(&mut after);
            let bytes = cursor(self.reader, &mut after);
            (!bytes.is_empty()).then_some((after, bytes))
        });
        let written = self.write(wire, with_cursor.as_ref().map_or(&[], |(_, bytes)| bytes));
        match (written.checked_sub(wire.len()), with_cursor) {
            (Some(_), None) => {
                self.note_all(progress);
                self.position.set(self.run.end());
            }
            (Some(of_cursor @ 1..), Some((after, bytes))) => {
                *progress = Progress { unsent: bytes[of_cursor..].to_vec(), ..after };
                self.position.set(self.run.end());
            }
            _ => {
                let (begun, rest) = self.run.cut(self.skip, written);
                self.note(&frames[..begun], progress);
                self.position.set(self.position.get() + begun as u64);
                progress.unsent = rest.to_vec();
                return (begun as u64, false);
            }
        }
        (frames.len() as u64, progress.unsent.is_empty())
    }

    /// Returns the number of bytes that there was room for.
    fn write(&self, frames: &[u8], cursor: &[u8]) -> usize {
        let write_half = &self.reader.write_half;
        let written = match (frames.is_empty(), cursor.is_empty()) {
            (true, true) => Ok(0),
            (false, true) => write_half.try_write(&[IoSlice::new(frames)]),
            (true, false) => write_half.try_write(&[IoSlice::new(cursor)]),
            (false, false) => write_half.try_write(&[IoSlice::new(frames), IoSlice::new(cursor)]),
        };
        // The session meets the error of a broken connection itself.
        written.unwrap_or(0)
    }

    /// Notes that the whole run was sent.
    fn note_all(&self, progress: &mut Progress) {
        self.note(self.run.frames(self.skip), progress);
        if self.reaches_point {
            progress.delivery.reach(self.run.point.clone());
        }
    }

    fn note(&self, frames: &[Frame], progress: &mut Progress) {
        if !frames.is_empty() {
            progress.last_frame_at = self.now;
        }
        for frame in frames {
            progress.delivery.note_frame(frame);
            if self.is_quick {
                progress.greatest = progress.greatest.max(frame.hlc);
            }
        }
    }
}
