//! The lanes that a session follows: the user's own, and one for each room in which he is. They are gone through in
//! rounds: a round begins with a commit point and takes from every lane that has ready what is there, so that all up to
//! that commit was sent when it is over.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use starling_protocol::{RoomId, UserId};

use crate::lane::{CommitPoint, Frame, Lagged, LaneKey, Lanes, ReadySet, Subscription};

/// All lanes of one session.
pub struct LaneSet {
    lanes: Arc<Lanes>,
    ready_set: ReadySet,
    own: Subscription,
    rooms: HashMap<RoomId, Subscription>,
    round: Option<Round>,
}

/// What is to be taken before a commit point is reached.
struct Round {
    point: CommitPoint,
    /// Rooms, each with where its lane ended.
    due: VecDeque<(RoomId, u64)>,
}

impl LaneSet {
    /// Follows the user's own lane.
    pub fn new(lanes: &Arc<Lanes>, user: UserId) -> Self {
        let ready_set = ReadySet::default();
        let own = lanes.follow(user, &ready_set);
        Self { lanes: Arc::clone(lanes), ready_set, own, rooms: HashMap::new(), round: None }
    }

    /// Follows a room as well; says whether it did not yet.
    pub fn follow(&mut self, room: RoomId) -> bool {
        if self.follows(room) {
            return false;
        }
        self.rooms.insert(room, self.lanes.follow(room, &self.ready_set));
        true
    }

    /// No longer follows the rooms of which `stays` is false; gives them.
    pub fn leave(&mut self, stays: impl Fn(RoomId) -> bool) -> Vec<RoomId> {
        self.rooms.extract_if(|&room, _| !stays(room)).map(|(room, _)| room).collect()
    }

    /// Whether the room is followed.
    pub fn follows(&self, room: RoomId) -> bool {
        self.rooms.contains_key(&room)
    }

    /// Waits until there is cause for a round.
    ///
    /// Cancellation safety: nothing is lost when the future is dropped.
    pub async fn ready(&self) {
        self.ready_set.ready().await;
    }

    /// Whether a round is under way.
    pub fn in_round(&self) -> bool {
        self.round.is_some()
    }

    /// Begins a round, unless one is under way.
    pub fn begin_round(&mut self) {
        if self.in_round() {
            return;
        }
        // Read first: all frames of this commit are in lanes that have ready by now.
        let point = self.lanes.commit_point();
        let ready = self.ready_set.take().into_iter();
        let rooms = ready.filter_map(|key| match key {
            LaneKey::Room(room) => Some(room),
            // It comes first in any case.
            LaneKey::User(_) => None,
        });
        let due = rooms.filter_map(|room| Some((room, self.rooms.get(&room)?.end()))).collect();
        self.round = Some(Round { point, due });
    }

    /// Whether there are frames in the user's own lane.
    pub fn own_has_rung(&self) -> bool {
        self.own.end() > self.own.position()
    }

    /// Takes up to `max` frames of the user's own lane; a round is not over before there are none.
    pub fn take_own(&mut self, max: usize, into: &mut Vec<Frame>) -> Result<(), Lagged> {
        self.own.take(max, into).map(|_| ())
    }

    /// Takes up to `max` frames of the next lane of the round; `None` if the round has taken all.
    pub fn take_next(&mut self, max: usize, into: &mut Vec<Frame>) -> Result<Option<RoomId>, Lagged> {
        let Some(Round { due, .. }) = &mut self.round else { return Ok(None) };
        while let Some((room, end)) = due.pop_front() {
            // Who has left a room takes no more of it.
            let Some(lane) = self.rooms.get_mut(&room) else { continue };
            lane.take(max, into)?;
            if lane.position() < end {
                due.push_back((room, end));
            }
            return Ok(Some(room));
        }
        Ok(None)
    }

    /// Ends the round that has taken all: what it has reached.
    pub fn end_round(&mut self) -> Option<CommitPoint> {
        Some(self.round.take()?.point)
    }

    /// Moves to the end of all lanes. Says whether that skips frames which were never logged.
    pub fn skip(&mut self) -> bool {
        self.round = None;
        self.ready_set.take();
        let mut skips_ephemeral = self.own.skip();
        for lane in self.rooms.values_mut() {
            skips_ephemeral |= lane.skip();
        }
        skips_ephemeral
    }
}
