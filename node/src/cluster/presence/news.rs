//! Tells those who may know that somebody with an account has come or gone, or is typing: people who share a room with
//! him, by its lane, and his contacts, by theirs. Sessions leave out what a block hides.

use std::{future::Future, sync::Arc};

use starling_protocol::{Hlc, RoomId, UserId, frame::peer::Presence, merge::contact::Relation};
use starling_web::{
    lane::{Frame, LaneKey, Utf8Bytes},
    live_frame::{Available, LiveFrame},
    objects::PresenceState,
    service::Online,
};

use super::PresenceMap;
use crate::{
    permissions::are_in_touch,
    store::{Store, StoreError},
    supervisor::SupervisedTask,
};

impl PresenceMap {
    /// Begins the presence of somebody with an account; ends when what it gives is dropped.
    pub fn come(&self, user: UserId) -> Online {
        let mut state = self.state();
        if state.people.come(user) {
            state.tell(&Presence::Online(vec![user]));
        }
        drop(state);
        self.news.notify_one();
        let map = self.me.clone();
        Online(Some(Box::new(move || {
            if let Some(map) = map.upgrade() {
                let mut state = map.state();
                if state.people.go(user) {
                    state.tell(&Presence::Offline(user));
                }
                drop(state);
                map.news.notify_one();
            }
        })))
    }

    /// Who of these has a live session anywhere.
    pub fn online(&self, users: impl IntoIterator<Item = UserId>) -> Vec<UserId> {
        let state = self.state();
        users.into_iter().filter(|&user| state.people.is_online(user)).collect()
    }

    /// Shows the room, here and on all linked nodes, something of the moment that a user does.
    pub fn show_everywhere(&self, room: RoomId, user: UserId, frame: Utf8Bytes) {
        // What a link has no room for is lost.
        self.state().tell_in_passing(&Presence::Broadcast { room, user, frame: frame.as_str().into() });
        self.show(room, user, frame);
    }

    pub(super) fn show(&self, key: impl Into<LaneKey>, from: UserId, frame: impl Into<Utf8Bytes>) {
        if let Some(lane) = self.lanes.get(key) {
            lane.push([Frame { from: Some(from), ..Frame::new(Frame::EPHEMERAL, Hlc::default(), frame) }]);
        }
    }

    fn tell_news(&self, store: &Store, news: &[(UserId, bool)]) -> Result<(), StoreError> {
        let records = store.records()?;
        for &(user, online) in news {
            let state = if online { PresenceState::Online } else { PresenceState::Offline };
            let frame = LiveFrame::Presence(Available { user_id: user.to_string(), state });
            let frame = Utf8Bytes::from(frame.to_json());
            for (room, member) in records.rooms_of(user)? {
                if member.role().is_some() && are_in_touch(&records, room, user)? {
                    self.show(room, user, frame.clone());
                }
            }
            for acquaintance in records.acquaintances(user, UserId([0; 16]))? {
                let (other, sides) = acquaintance?;
                if sides.relation() == Relation::Accepted {
                    self.show(other, user, frame.clone());
                }
            }
        }
        Ok(())
    }
}

/// Tells who has come and gone.
pub struct PresenceNews(pub Arc<PresenceMap>);

impl SupervisedTask for PresenceNews {
    fn name(&self) -> &'static str {
        "presence news"
    }

    fn run(&mut self) -> impl Future<Output = ()> + Send {
        let map = Arc::clone(&self.0);
        async move {
            loop {
                map.news.notified().await;
                let (Some((store, _)), news) = (map.log.get(), map.state().people.news()) else { continue };
                let tell = {
                    let (map, store) = (Arc::clone(&map), Arc::clone(store));
                    move || store.guarded(|store| map.tell_news(store, &news))
                };
                if let Some(Err(error)) = map.machine.blocking(tell).await {
                    tracing::error!(%error, "cannot read who is to know who came and went");
                }
            }
        }
    }
}
