//! The lanes that an account session follows: the user's own lane and one for each of their rooms. The session takes
//! frames in rounds: a round starts with a commit point and takes the frames in every ready lane. When it ends,
//! all frames up to that commit were taken.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use starling_protocol::{RoomId, UserId};

use crate::lane::{CommitPoint, Frame, Lagged, LaneKey, Lanes, Position, ReadySet, Subscription};

/// All lanes of one session. `M` is the session's place in a group of each room.
pub struct LaneSet<M> {
    lanes: Arc<Lanes>,
    ready_set: ReadySet,
    own: Subscription,
    rooms: HashMap<RoomId, (Subscription, M)>,
    round: Option<Round>,
}

/// The lanes to take from before a commit point is reached.
struct Round {
    point: CommitPoint,
    /// The rooms that are left, each with the end of its lane when the round started.
    pending: VecDeque<(RoomId, u64)>,
}

impl<M> LaneSet<M> {
    /// Follows the user's own lane.
    pub fn new(lanes: &Arc<Lanes>, user: UserId) -> Self {
        let ready_set = ReadySet::default();
        let own = lanes.follow(user, &ready_set);
        Self { lanes: Arc::clone(lanes), ready_set, own, rooms: HashMap::new(), round: None }
    }

    /// Returns the position in the user's own lane.
    pub fn own_position(&self) -> &Position {
        self.own.shared_position()
    }

    /// Follows a room too, and joins a group of it. Returns whether the session did not follow it yet.
    pub fn follow(&mut self, room: RoomId, join: impl FnOnce(&Subscription) -> M) -> bool {
        if self.follows(room) {
            return false;
        }
        let lane = self.lanes.follow(room, &self.ready_set);
        let member = join(&lane);
        self.rooms.insert(room, (lane, member));
        true
    }

    /// Stops following the rooms for which `keep` is false.
    pub fn retain(&mut self, keep: impl Fn(RoomId) -> bool) {
        self.rooms.retain(|&room, _| keep(room));
    }

    /// Returns whether the room is followed.
    pub fn follows(&self, room: RoomId) -> bool {
        self.rooms.contains_key(&room)
    }

    /// Waits until a lane is ready. While the groups of the rooms write, it is the user's own lane that counts.
    ///
    /// Cancellation safety: nothing is lost when the future is dropped.
    pub async fn ready(&mut self, groups_write: bool) {
        if groups_write { self.own.changed().await } else { self.ready_set.ready().await }
    }

    /// Returns whether a round is under way.
    pub fn in_round(&self) -> bool {
        self.round.is_some()
    }

    /// Starts a round, unless one is under way.
    pub fn begin_round(&mut self) {
        if self.in_round() {
            return;
        }
        // Read before the set is taken: the frames of this commit are in lanes that are marked by now.
        let point = self.lanes.commit_point();
        let ready = self.ready_set.take();
        let rooms = ready.into_iter().filter_map(|key| match key {
            LaneKey::Room(room) => Some(room),
            // The session takes the user's own lane before every room.
            LaneKey::User(_) => None,
        });
        let pending = rooms.filter_map(|room| Some((room, self.rooms.get(&room)?.0.end()))).collect();
        self.round = Some(Round { point, pending });
    }

    /// Returns whether there are frames in the user's own lane.
    pub fn own_is_ready(&self) -> bool {
        !self.own.is_at_end()
    }

    /// Takes up to `max` frames of the user's own lane. A round must not end while there are any.
    pub fn take_own(&mut self, max: usize, into: &mut Vec<Frame>) -> Result<(), Lagged> {
        self.own.take(max, into).map(|_| ())
    }

    /// Takes up to `max` frames of the next lane of the round. Returns `None` if the round has taken all.
    pub fn take_next(&mut self, max: usize, into: &mut Vec<Frame>) -> Result<Option<RoomId>, Lagged> {
        let Some(Round { pending, .. }) = &mut self.round else { return Ok(None) };
        while let Some((room, end)) = pending.pop_front() {
            // The user may have left the room since the round started.
            let Some((lane, _)) = self.rooms.get_mut(&room) else { continue };
            lane.take(max, into)?;
            if lane.position() < end {
                pending.push_back((room, end));
            }
            return Ok(Some(room));
        }
        Ok(None)
    }

    /// Ends a round that has taken all, and returns its commit point.
    pub fn end_round(&mut self) -> Option<CommitPoint> {
        Some(self.round.take()?.point)
    }

    /// Moves to the end of all lanes. Returns whether that skips ephemeral frames, which no replay brings back.
    pub fn skip_to_end(&mut self) -> bool {
        self.round = None;
        self.ready_set.take();
        let mut ephemeral_skipped = self.own.skip_to_end();
        for (lane, _) in self.rooms.values_mut() {
            ephemeral_skipped |= lane.skip_to_end();
        }
        ephemeral_skipped
    }
}
