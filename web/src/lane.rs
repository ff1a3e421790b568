//! Lanes: the live tail of a room or a user, in memory. A lane is a numbered ring of frames, encoded once and shared by
//! its sessions; a session holds a position in it. A push never waits: a session that is slower than the ring gets
//! [`Lagged`].
//!
//! `web/interleavings` model-checks this file, [`ReadySet`], [`Position`] and the account session's lane set.

mod frame;
mod position;
mod ready_set;
#[cfg(test)]
mod tests;
pub(crate) mod wire;

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, PoisonError},
};

use starling_protocol::{OriginId, RoomId, UserId, VersionVector};

pub use self::{frame::Frame, position::Position, ready_set::ReadySet};
use crate::sync::{
    AtomicU64, Mutex, MutexGuard, OnceLock, Ordering, RwLock, RwLockReadGuard, RwLockWriteGuard, watch,
};

/// The most frames in a lane, unless the newest push alone has more. For most messages [`BYTES_MAX`] is the tighter bound: it
/// holds some seconds of a room with 500 messages a second.
const FRAMES_MAX: usize = 8_192;
/// The most bytes of frames in a lane, unless the newest push alone has more.
const BYTES_MAX: usize = 1024 * 1024;

/// The state of the log after a commit.
#[derive(Clone, Debug)]
pub struct CommitPoint {
    /// The number of the commit: 1 for the first of this process.
    pub number: u64,
    /// The version vector of the log once this commit is in it.
    pub vector: Arc<VersionVector>,
}

/// Names a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LaneKey {
    /// The lane of a room, followed by its members.
    Room(RoomId),
    /// The lane of a user: changes that only their own sessions see.
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

/// The lane no longer holds the frame at the session's position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lagged;

#[derive(Debug, Default)]
struct Ring {
    frames: VecDeque<Frame>,
    /// The number of the oldest frame that the ring still holds.
    first: u64,
    bytes: usize,
    /// One more than the number of the newest ephemeral frame, whether the ring still holds it or not.
    ephemeral_end: u64,
    /// The number of the first frame that is newer than the last call of [`Lanes::drop_old_frames`].
    old_end: u64,
}

impl Ring {
    /// The number of the next frame.
    fn end(&self) -> u64 {
        self.first + self.frames.len() as u64
    }

    /// Drops the oldest frame.
    fn drop_first(&mut self) -> bool {
        let Some(frame) = self.frames.pop_front() else { return false };
        self.bytes -= frame.wire.len();
        self.first += 1;
        true
    }

    /// Drops the frames that it held at the last call already, with the memory for them.
    fn drop_old(&mut self) {
        while self.first < self.old_end && self.drop_first() {}
        self.old_end = self.end();
        self.frames.shrink_to(2 * self.frames.len());
    }
}

/// The live tail of a room or a user.
#[derive(Debug)]
pub struct Lane {
    ring: RwLock<Ring>,
    /// The number of the next frame. It grows with the ring, so whoever has found a frame there finds it counted here.
    end: AtomicU64,
    /// The number of the next frame; sessions that follow one lane wait for it to grow.
    next: watch::Sender<u64>,
    /// The ready sets of sessions that follow several lanes, by their ids.
    ready_sets: RwLock<HashMap<usize, (ReadySet, LaneKey)>>,
}

// A poisoned lock is used all the same: no panic can leave this data in a worse state than a stopped session.
fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

impl Lane {
    fn new() -> Self {
        Self {
            ring: RwLock::default(),
            end: AtomicU64::new(0),
            next: watch::Sender::new(0),
            ready_sets: RwLock::default(),
        }
    }

    /// Returns the number of the next frame to be pushed.
    fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// Appends frames and wakes the sessions once. The frames of one push stay in the ring together: a session that has
    /// taken all earlier frames doesn't lag, however large the push.
    pub fn push(&self, frames: impl IntoIterator<Item = Frame>) {
        let next = {
            let mut ring = write(&self.ring);
            let (frames_before, bytes_before) = (ring.frames.len(), ring.bytes);
            for frame in frames {
                ring.bytes += frame.wire.len();
                if frame.commit == Frame::EPHEMERAL {
                    ring.ephemeral_end = ring.end() + 1;
                }
                ring.frames.push_back(frame);
            }
            let frames_max = FRAMES_MAX.max(ring.frames.len() - frames_before);
            let bytes_max = BYTES_MAX.max(ring.bytes - bytes_before);
            while (ring.frames.len() > frames_max || ring.bytes > bytes_max) && ring.drop_first() {}
            self.end.store(ring.end(), Ordering::Release);
            ring.end()
        };
        // Pushes may overlap, so the end of an earlier one may come later: the number never goes back.
        self.next.send_if_modified(|current| {
            let grows = next > *current;
            *current = next.max(*current);
            grows
        });
        for (ready_set, key) in read(&self.ready_sets).values() {
            ready_set.mark(*key);
        }
    }
}

#[derive(Debug)]
struct Entry {
    lane: Arc<Lane>,
    subscriptions: usize,
}

/// The lanes that sessions of this process follow, and the last commit.
#[derive(Debug)]
pub struct Lanes {
    by_key: Mutex<HashMap<LaneKey, Entry>>,
    /// The last commit whose frames the writer began to push.
    push_begun: AtomicU64,
    /// The origin under which this process writes, once it has written.
    own_origin: OnceLock<OriginId>,
    commit_point: watch::Sender<CommitPoint>,
}

impl Lanes {
    /// Starts without lanes. The log is at `commit_point`.
    pub fn new(commit_point: CommitPoint) -> Self {
        let push_begun = AtomicU64::new(commit_point.number);
        let commit_point = watch::Sender::new(commit_point);
        Self { by_key: Mutex::default(), push_begun, own_origin: OnceLock::new(), commit_point }
    }

    fn lanes(&self) -> MutexGuard<'_, HashMap<LaneKey, Entry>> {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the lane of a room or a user, if any session here follows it.
    pub fn get(&self, key: impl Into<LaneKey>) -> Option<Arc<Lane>> {
        self.lanes().get(&key.into()).map(|entry| Arc::clone(&entry.lane))
    }

    /// Drops the frames that their lanes held at the last call already. Without it each room in which somebody has posted would
    /// keep a full ring for as long as anybody is there. A session that still lacks such a frame reads it from the store.
    pub fn drop_old_frames(&self) {
        // No lane is locked while all are: a push to one of them must not make others wait.
        let lanes: Vec<_> = self.lanes().values().map(|entry| Arc::clone(&entry.lane)).collect();
        for lane in lanes {
            write(&lane.ring).drop_old();
        }
    }

    /// Makes a commit visible. The order matters: a session that sees the commit point finds the frames in their lanes,
    /// and a cursor for it knows which of its entries is this node's own. `push_frames` looks lanes up and pushes into
    /// them; `own_origin` is the origin of the events that this process wrote in the commit.
    pub fn publish_commit(
        &self,
        point: CommitPoint,
        own_origin: Option<OriginId>,
        push_frames: impl FnOnce(&Self),
    ) {
        let logged = self.begin_push(point.number);
        push_frames(self);
        if let Some(origin) = own_origin {
            self.own_origin.get_or_init(|| origin);
        }
        if logged {
            self.publish(point);
        }
    }

    /// Notes that a commit's frames are about to be pushed, before any lane is looked up for it. Returns whether the
    /// number is new: a commit that added nothing to the log repeats the last one.
    pub(crate) fn begin_push(&self, commit: u64) -> bool {
        self.push_begun.swap(commit, Ordering::SeqCst) < commit
    }

    /// Sets the commit point, once the frames are in their lanes.
    pub fn publish(&self, commit_point: CommitPoint) {
        self.commit_point.send_replace(commit_point);
    }

    /// Returns the origin under which this process writes, once it has written.
    pub fn own_origin(&self) -> Option<OriginId> {
        self.own_origin.get().copied()
    }

    /// Returns the last commit whose frames are all in their lanes.
    pub fn commit_point(&self) -> CommitPoint {
        self.commit_point.borrow().clone()
    }

    /// Waits until every commit whose push had begun is published, and returns the last commit. A session that
    /// subscribed before the call finds the frames of all later commits in the lane, at or after its position, so a
    /// replay from the store has to reach this commit.
    ///
    /// Cancellation safety: nothing is lost when the future is dropped.
    pub async fn settled(&self) -> CommitPoint {
        let push_begun = self.push_begun.load(Ordering::SeqCst);
        let mut commits = self.commit_point.subscribe();
        let settled = commits.wait_for(|point| point.number >= push_begun).await;
        settled.expect("the sender is in self").clone()
    }

    /// Watches the commit point.
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
        Subscription { lanes: Arc::clone(self), key, next, position: Position::at_end(lane), ready_set: None }
    }

    /// Takes a position at the end of a lane, and has later pushes mark the lane in `ready_set`.
    pub fn follow(self: &Arc<Self>, key: impl Into<LaneKey>, ready_set: &ReadySet) -> Subscription {
        let mut subscription = self.subscribe(key);
        write(&subscription.position.lane.ready_sets)
            .insert(ready_set.id(), (ready_set.clone(), subscription.key));
        subscription.ready_set = Some(ready_set.id());
        // Checked after the insertion, because a push between `subscribe` and the insertion has marked nothing.
        if !subscription.is_at_end() {
            ready_set.mark(subscription.key);
        }
        subscription
    }
}

/// A session's position in a lane. The lane goes when its last subscription is dropped.
#[derive(Debug)]
pub struct Subscription {
    lanes: Arc<Lanes>,
    key: LaneKey,
    next: watch::Receiver<u64>,
    position: Position,
    /// The id of the set in which pushes mark the lane.
    ready_set: Option<usize>,
}

impl Subscription {
    /// Waits until there are frames beyond the position.
    ///
    /// Cancellation safety: nothing is lost when the future is dropped.
    pub async fn changed(&mut self) {
        let position = self.position.get();
        // The sender lives as long as the lane, which this holds.
        let _ = self.next.wait_for(|next| *next > position).await;
    }

    /// Returns the number of the next frame to take.
    pub fn position(&self) -> u64 {
        self.position.get()
    }

    /// Returns the position, to share it.
    pub fn shared_position(&self) -> &Position {
        &self.position
    }

    /// Returns whether all frames were taken.
    pub fn is_at_end(&self) -> bool {
        self.position.is_at_end()
    }

    /// Returns the number of the next frame to be pushed.
    pub fn end(&self) -> u64 {
        self.position.lane.end()
    }

    /// Appends up to `max` frames to `into` and moves the position past them. Returns the lane's end.
    pub fn take(&mut self, max: usize, into: &mut Vec<Frame>) -> Result<u64, Lagged> {
        let ring = read(&self.position.lane.ring);
        let position = self.position.get();
        let passed = position.checked_sub(ring.first).ok_or(Lagged)?;
        let skip = usize::try_from(passed).map_err(|_| Lagged)?;
        let before = into.len();
        into.extend(ring.frames.iter().skip(skip).take(max).cloned());
        self.position.set(position + (into.len() - before) as u64);
        Ok(ring.end())
    }

    /// Like [`Subscription::take`]. Also returns a commit whose frames all lie before the lane's end.
    pub fn take_with_commit(
        &mut self,
        max: usize,
        into: &mut Vec<Frame>,
    ) -> Result<(u64, CommitPoint), Lagged> {
        // Read before the lane's end: the frames of this commit are in the lane by now.
        let point = self.lanes.commit_point();
        let end = self.take(max, into)?;
        Ok((end, point))
    }

    /// Moves the position to the lane's end. Returns whether that skips ephemeral frames, which no replay brings back.
    pub fn skip_to_end(&mut self) -> bool {
        let ring = read(&self.position.lane.ring);
        let ephemeral_skipped = ring.ephemeral_end > self.position.get();
        self.position.set(ring.end());
        ephemeral_skipped
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(ready_set) = self.ready_set {
            write(&self.position.lane.ready_sets).remove(&ready_set);
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
