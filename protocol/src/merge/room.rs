//! A room exists from its creation on. Should a room ever be created twice, the earliest creation holds.

use serde::{Deserialize, Serialize};

use super::register::{self, Register};
use crate::{
    EventBody, Hlc, OriginId, Pos, RoomCreated, RoomName, Topic,
    event::{RoomOpened, Visibility},
};

/// What is known of a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomState {
    /// What it is called.
    pub name: Option<RoomName>,
    created: (Hlc, OriginId, u64),
}

/// Applies a creation at `pos`.
pub fn created(state: Option<RoomState>, pos: Pos, event: &RoomCreated) -> RoomState {
    let created = (pos.hlc, pos.origin, pos.seq);
    match state {
        Some(state) if state.created <= created => state,
        _ => RoomState { name: event.name.clone(), created },
    }
}

/// What is known of a room of members: its attributes are registers, deletion wins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRoom {
    /// The first opening; nothing while that event is not here.
    pub opened: Option<(Pos, RoomOpened)>,
    /// Whether it was deleted, for good.
    pub deleted: bool,
    name: Option<Register<RoomName>>,
    topic: Option<Register<Topic>>,
    visibility: Option<Register<Visibility>>,
}

impl MemberRoom {
    /// What it is called; nothing for a direct room.
    pub fn name(&self) -> Option<&RoomName> {
        self.name.as_ref().map(|name| &name.value)
    }

    /// What it is about.
    pub fn topic(&self) -> Topic {
        register::value(self.topic.as_ref()).unwrap_or_default()
    }

    /// Who may find it.
    pub fn visibility(&self) -> Visibility {
        register::value(self.visibility.as_ref()).unwrap_or(Visibility::Private)
    }

    /// The stamp of the last of its events whose attributes hold: what changes them is stamped above it.
    pub fn changed_at(&self) -> Hlc {
        let places = [
            self.opened.as_ref().map(|(place, _)| *place),
            self.name.as_ref().map(|name| name.place),
            self.topic.as_ref().map(|topic| topic.place),
            self.visibility.as_ref().map(|visibility| visibility.place),
        ];
        places.into_iter().flatten().map(|place| place.hlc).max().unwrap_or_default()
    }

    /// Whether it is there.
    pub fn exists(&self) -> bool {
        self.opened.is_some() && !self.deleted
    }
}

/// Applies an event of the room's scope at `place`; kinds that are no matter of the room itself change nothing.
pub fn applied(state: Option<MemberRoom>, place: Pos, body: &EventBody) -> MemberRoom {
    let mut state = state.unwrap_or_default();
    match body {
        EventBody::RoomOpened(opened) => {
            if let RoomOpened::Named { name, topic, visibility } = opened {
                register::write(&mut state.name, place, name.clone());
                register::write(&mut state.topic, place, topic.clone());
                register::write(&mut state.visibility, place, *visibility);
            }
            if state.opened.as_ref().is_none_or(|(first, _)| place < *first) {
                state.opened = Some((place, opened.clone()));
            }
        }
        EventBody::RoomChanged(changed) => {
            if let Some(name) = &changed.name {
                register::write(&mut state.name, place, name.clone());
            }
            if let Some(topic) = &changed.topic {
                register::write(&mut state.topic, place, topic.clone());
            }
            if let Some(visibility) = changed.visibility {
                register::write(&mut state.visibility, place, visibility);
            }
        }
        EventBody::RoomDeleted(_) => state.deleted = true,
        _ => {}
    }
    if state.deleted {
        // As if only stubs had come.
        (state.name, state.topic) = (None, None);
        if let Some((_, opened)) = &mut state.opened {
            opened.erase();
        }
    }
    state
}
