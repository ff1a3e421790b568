//! Lanes: a room's live tail in memory. A lane is a numbered ring of frames encoded once and shared by all; a
//! session is a position in it. The writer pushes and never waits; who falls behind the ring is told so.

mod ready_set;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
};

pub use axum::extract::ws::Utf8Bytes;
use starling_protocol::{Hlc, RoomId, UserId, VersionVector};
use tokio::sync::watch;

pub use self::ready_set::ReadySet;

/// Frames in a lane, at most, besides those of the newest push. Bytes are the tighter bound for most messages: some
/// seconds of a room at 500 messages a second.
const FRAMES_MAX: usize = 8_192;
/// Bytes of frames in a lane, at most, besides those of the newest push.
const BYTES_MAX: usize = 1024 * 1024;

/// The state of the log after a commit.
#[derive(Clone, Debug)]
pub struct CommitPoint {
    /// Counts the commits of this process.
    pub number: u64,
    /// What the log held then.
    pub vector: Arc<VersionVector>,
}

/// What a lane is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LaneKey {
    /// A room: what happens in it.
    Room(RoomId),
    /// A user: what concerns him alone.
    User(UserId),
}

impl From<RoomId> for LaneKey {
    fn from(room: RoomId) -> Self {
        Self::Room(room)
    }
}

impl From<UserId> for LaneKey {
    fn from(user: UserId) -> Self {
        Self::User(user)
    }
}

/// A frame on its way to every session of a room.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The commit that it comes from; [`Frame::EPHEMERAL`] if it was never logged.
    pub commit: u64,
    /// The stamp of the message that it shows, or of what was done to it.
    pub hlc: Hlc,
    /// The JSON text, shared. Empty if there is nothing to be sent: see [`Frame::invalidate`].
    pub text: Utf8Bytes,
    /// Whose doing it shows: sessions of those who have blocked him leave it out.
    pub from: Option<UserId>,
}

impl Frame {
    /// The commit of frames that are no part of any: a replay never covers them.
    pub const EPHEMERAL: u64 = u64::MAX;

    /// A frame that everybody in its lane is sent.
    pub fn new(commit: u64, hlc: Hlc, text: impl Into<Utf8Bytes>) -> Self {
        Self { commit, hlc, text: text.into(), from: None }
    }

    /// A frame that is not sent: what its lane is about has changed otherwise for everybody, so each session looks for
    /// itself. In the lane of a user: at his account and session, his rooms, whom he has blocked, how he is shown. In
    /// the lane of a room: at the room, which its members see each in their own way (`room` frames).
    pub fn invalidate(commit: u64) -> Self {
        Self::new(commit, Hlc::default(), "")
    }

    /// Whether it is one of [`Frame::invalidate`].
    pub fn is_look_again(&self) -> bool {
        self.text.is_empty()
    }
}

/// The session has fallen further behind than the lane reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lagged;

#[derive(Debug, Default)]
struct Ring {
    frames: VecDeque<Frame>,
    /// The number of the first frame that is still there.
    first: u64,
    bytes: usize,
    /// The number behind the newest ephemeral frame, whether it is still there or not.
    ephemeral_end: u64,
}

impl Ring {
    /// The number of the next frame.
    fn end(&self) -> u64 {
        self.first + self.frames.len() as u64
    }
}

/// One room's live tail.
#[derive(Debug)]
pub struct Lane {
    ring: RwLock<Ring>,
    /// The number of the next frame; sessions sleep on it.
    next: watch::Sender<u64>,
    /// Those of sessions that follow other lanes, too.
    bells: RwLock<HashMap<usize, (ReadySet, LaneKey)>>,
}

// A panic while a lock is held cannot leave these half-changed in a way that matters more than going on.
fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

impl Lane {
    fn new() -> Self {
        Self { ring: RwLock::default(), next: watch::Sender::new(0), bells: RwLock::default() }
    }

    /// Appends frames and wakes the sessions once. What is pushed together is never cut: a session that has taken
    /// all before it is not behind, however large the push.
    pub fn push(&self, frames: impl IntoIterator<Item = Frame>) {
        let next = {
            let mut ring = write(&self.ring);
            let (frames_before, bytes_before) = (ring.frames.len(), ring.bytes);
            for frame in frames {
                ring.bytes += frame.text.len();
                if frame.commit == Frame::EPHEMERAL {
                    ring.ephemeral_end = ring.end() + 1;
                }
                ring.frames.push_back(frame);
            }
            let frames_max = FRAMES_MAX.max(ring.frames.len() - frames_before);
            let bytes_max = BYTES_MAX.max(ring.bytes - bytes_before);
            while ring.frames.len() > frames_max || ring.bytes > bytes_max {
                let Some(frame) = ring.frames.pop_front() else { break };
                ring.bytes -= frame.text.len();
                ring.first += 1;
            }
            ring.end()
        };
        self.next.send_replace(next);
        for (ready_set, key) in read(&self.bells).values() {
            ready_set.ring(*key);
        }
    }
}

#[derive(Debug)]
struct Entry {
    lane: Arc<Lane>,
    subscriptions: usize,
}

/// The lanes of all rooms that somebody here is in, and the last commit.
#[derive(Debug)]
pub struct Lanes {
    by_key: Mutex<HashMap<LaneKey, Entry>>,
    /// The commit whose frames are being pushed, or were pushed last.
    begun: AtomicU64,
    commit_point: watch::Sender<CommitPoint>,
}

impl Lanes {
    /// No lanes yet; the log is at `commit_point`.
    pub fn new(commit_point: CommitPoint) -> Self {
        let begun = AtomicU64::new(commit_point.number);
        Self { by_key: Mutex::default(), begun, commit_point: watch::Sender::new(commit_point) }
    }

    fn lanes(&self) -> MutexGuard<'_, HashMap<LaneKey, Entry>> {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lane of a room or a user, if any session here follows it.
    pub fn get(&self, key: impl Into<LaneKey>) -> Option<Arc<Lane>> {
        self.lanes().get(&key.into()).map(|entry| Arc::clone(&entry.lane))
    }

    /// Says that a commit's frames are about to be pushed: called before any lane is looked up for it.
    pub fn begin(&self, commit: u64) {
        self.begun.store(commit, Ordering::SeqCst);
    }

    /// Says that a commit's frames are in their lanes. The order matters: a session that sees the commit finds them.
    pub fn publish(&self, commit_point: CommitPoint) {
        self.commit_point.send_replace(commit_point);
    }

    /// The last commit whose frames are all in their lanes.
    pub fn commit_point(&self) -> CommitPoint {
        self.commit_point.borrow().clone()
    }

    /// The last commit, once it covers every one whose frames were pushed before the caller subscribed: what a replay
    /// must reach up to. Frames of all later commits come in the lane behind the subscription's position.
    ///
    /// Cancellation safety: nothing is lost when the future is dropped.
    pub async fn settled(&self) -> CommitPoint {
        let begun = self.begun.load(Ordering::SeqCst);
        let mut commits = self.commit_point.subscribe();
        let settled = commits.wait_for(|point| point.number >= begun).await;
        settled.expect("the sender is in self").clone()
    }

    /// Follows the commits.
    pub fn watch_commits(&self) -> watch::Receiver<CommitPoint> {
        self.commit_point.subscribe()
    }

    /// Takes a position at the end of a lane.
    pub fn subscribe(self: &Arc<Self>, key: impl Into<LaneKey>) -> Subscription {
        let key = key.into();
        let mut lanes = self.lanes();
        let entry =
            lanes.entry(key).or_insert_with(|| Entry { lane: Arc::new(Lane::new()), subscriptions: 0 });
        entry.subscriptions += 1;
        let lane = Arc::clone(&entry.lane);
        drop(lanes);
        let next = lane.next.subscribe();
        let position = *next.borrow();
        Subscription { lanes: Arc::clone(self), key, lane, next, position, ready_set: None }
    }

    /// Takes a position at the end of a lane, which marks it in this set from now on.
    pub fn follow(self: &Arc<Self>, key: impl Into<LaneKey>, ready_set: &ReadySet) -> Subscription {
        let mut subscription = self.subscribe(key);
        write(&subscription.lane.bells).insert(ready_set.id(), (ready_set.clone(), subscription.key));
        subscription.ready_set = Some(ready_set.id());
        // What was pushed since has marked nothing in a ready set.
        ready_set.ring(subscription.key);
        subscription
    }
}

/// A session's position in a lane. Dropping it gives it up; the last one takes the lane with it.
#[derive(Debug)]
pub struct Subscription {
    lanes: Arc<Lanes>,
    key: LaneKey,
    lane: Arc<Lane>,
    next: watch::Receiver<u64>,
    position: u64,
    /// The set in which the lane marks it as ready.
    ready_set: Option<usize>,
}

impl Subscription {
    /// Waits until there are frames beyond the position.
    ///
    /// Cancellation safety: nothing is lost when the future is dropped.
    pub async fn changed(&mut self) {
        let position = self.position;
        // The sender lives as long as the lane, which this holds.
        let _ = self.next.wait_for(|next| *next > position).await;
    }

    /// Which frame is the next to be taken: counts those of the lane.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Where the lane ends now.
    pub fn end(&self) -> u64 {
        *self.next.borrow()
    }

    /// Moves up to `max` frames into `into` and the position behind them. Returns where the lane ends now.
    pub fn take(&mut self, max: usize, into: &mut Vec<Frame>) -> Result<u64, Lagged> {
        let ring = read(&self.lane.ring);
        let behind = self.position.checked_sub(ring.first).ok_or(Lagged)?;
        let skip = usize::try_from(behind).map_err(|_| Lagged)?;
        let before = into.len();
        into.extend(ring.frames.iter().skip(skip).take(max).cloned());
        self.position += (into.len() - before) as u64;
        Ok(ring.end())
    }

    /// Moves the position to the lane's end. Says whether that skips frames which were never logged, so that nothing
    /// else brings them back.
    pub fn skip(&mut self) -> bool {
        let ring = read(&self.lane.ring);
        let skips_ephemeral = ring.ephemeral_end > self.position;
        self.position = ring.end();
        skips_ephemeral
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(ready_set) = self.ready_set {
            write(&self.lane.bells).remove(&ready_set);
        }
        let mut lanes = self.lanes.lanes();
        if let Some(entry) = lanes.get_mut(&self.key) {
            entry.subscriptions -= 1;
            if entry.subscriptions == 0 {
                lanes.remove(&self.key);
            }
        }
    }
}
