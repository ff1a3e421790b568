//! Notifies people that a user is online, offline or typing: those who share a room with the user, by its lane, and
//! the user's contacts, by theirs. Sessions leave out what a block hides.

use std::{future::Future, sync::Arc};

use starling_protocol::{Hlc, RoomId, UserId, frame::peer::Presence, merge::contact::Relation};
use starling_web::{
    lane::{Frame, LaneKey},
    live_frame::{LiveFrame, UserPresence},
    objects::PresenceState,
    service::Online,
};

use super::PresenceMap;
use crate::{
    permissions::may_interact,
    store::{Store, StoreError},
    supervisor::SupervisedTask,
};

impl PresenceMap {
    /// Marks a user as online until the returned guard is dropped.
    pub fn mark_online(&self, user: UserId) -> Online {
        let mut state = self.state();
        if state.people.session_started(user) {
            state.send_to_peers(&Presence::Online(vec![user]));
        }
        drop(state);
        self.people_changed.notify_one();
        let map = self.me.clone();
        Online(Some(Box::new(move || {
            if let Some(map) = map.upgrade() {
                let mut state = map.state();
                if state.people.session_ended(user) {
                    state.send_to_peers(&Presence::Offline(user));
                }
                drop(state);
                map.people_changed.notify_one();
            }
        })))
    }

    /// Returns those of the users who have a live session on any node.
    pub fn online(&self, users: impl IntoIterator<Item = UserId>) -> Vec<UserId> {
        let state = self.state();
        users.into_iter().filter(|&user| state.people.is_online(user)).collect()
    }

    /// Broadcasts a passing event of a user, such as typing, to a room on all linked nodes.
    pub fn broadcast_everywhere(&self, room: RoomId, user: UserId, frame: &str) {
        self.state().send_transient(&Presence::Broadcast { room, user, frame: frame.into() });
        self.broadcast(room, user, frame);
    }

    pub(super) fn broadcast(&self, key: impl Into<LaneKey>, from: UserId, frame: &str) {
        self.push(key, &passing_frame(from, frame));
    }

    fn push(&self, key: impl Into<LaneKey>, frame: &Frame) {
        if let Some(lane) = self.lanes.get(key) {
            lane.push([frame.clone()]);
        }
    }

    fn notify_changes(&self, store: &Store, changes: &[(UserId, bool)]) -> Result<(), StoreError> {
        let records = store.records()?;
        for &(user, online) in changes {
            let state = if online { PresenceState::Online } else { PresenceState::Offline };
            let frame = LiveFrame::Presence(UserPresence { user_id: user.to_string(), state });
            let frame = passing_frame(user, &frame.to_json());
            for (room, member) in records.rooms_of(user)? {
                if member.role().is_some() && may_interact(&records, room, user)? {
                    self.push(room, &frame);
                }
            }
            for acquaintance in records.acquaintances(user, UserId([0; 16]))? {
                let (other, sides) = acquaintance?;
                if sides.relation() == Relation::Accepted {
                    self.push(other, &frame);
                }
            }
        }
        Ok(())
    }
}

/// Encodes a frame about a user that is not logged.
fn passing_frame(user: UserId, text: &str) -> Frame {
    Frame { from: Some(user), ..Frame::new(Frame::EPHEMERAL, Hlc::default(), text) }
}

/// The task that notifies people of who is online.
pub struct PresenceNotifier(pub Arc<PresenceMap>);

impl SupervisedTask for PresenceNotifier {
    fn name(&self) -> &'static str {
        "presence notifier"
    }

    fn run(&mut self) -> impl Future<Output = ()> + Send {
        let map = Arc::clone(&self.0);
        async move {
            loop {
                map.people_changed.notified().await;
                let (Some((store, _)), changes) =
                    (map.store_and_writer.get(), map.state().people.take_changes())
                else {
                    continue;
                };
                let notify = {
                    let (map, store) = (Arc::clone(&map), Arc::clone(store));
                    move || store.guarded(|store| map.notify_changes(store, &changes))
                };
                if let Some(Err(error)) = map.environment.blocking(notify).await {
                    tracing::error!(%error, "cannot read the users to notify of a presence change");
                }
            }
        }
    }
}
