//! Rooms. If a room is ever created twice, the earliest creation wins.

use serde::{Deserialize, Serialize};

use super::register::{self, Register};
use crate::{
    EventBody, Hlc, Pos, QuickRoomCreated, RoomName, Topic,
    event::{MemberRoomCreated, Visibility},
};

/// The state of a quick room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuickRoomState {
    /// The name, if it has one.
    pub name: Option<RoomName>,
    created: Pos,
}

/// Applies the creation of a quick room at `pos`.
pub fn apply_creation(state: Option<QuickRoomState>, pos: Pos, event: &QuickRoomCreated) -> QuickRoomState {
    match state {
        Some(state) if state.created <= pos => state,
        _ => QuickRoomState { name: event.name.clone(), created: pos },
    }
}

/// The state of a room with members: its attributes are registers, and deletion wins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRoomState {
    /// The first event that created it; `None` until that arrives.
    pub created: Option<(Pos, MemberRoomCreated)>,
    /// Whether it was deleted, which is permanent.
    pub deleted: bool,
    name: Option<Register<RoomName>>,
    topic: Option<Register<Topic>>,
    visibility: Option<Register<Visibility>>,
}

impl MemberRoomState {
    /// Returns the name; `None` for a direct room.
    pub fn name(&self) -> Option<&RoomName> {
        self.name.as_ref().map(|name| &name.value)
    }

    /// Returns the topic; empty by default.
    pub fn topic(&self) -> Topic {
        register::value(self.topic.as_ref()).unwrap_or_default()
    }

    /// Returns the visibility; private by default.
    pub fn visibility(&self) -> Visibility {
        register::value(self.visibility.as_ref()).unwrap_or(Visibility::Private)
    }

    /// Returns the stamp of the last change to any attribute. A further change must be stamped above it.
    pub fn changed_at(&self) -> Hlc {
        let positions = [
            self.created.as_ref().map(|(pos, _)| *pos),
            self.name.as_ref().map(|name| name.pos),
            self.topic.as_ref().map(|topic| topic.pos),
            self.visibility.as_ref().map(|visibility| visibility.pos),
        ];
        positions.into_iter().flatten().map(|pos| pos.hlc).max().unwrap_or_default()
    }

    /// Whether it was created and not deleted.
    pub fn exists(&self) -> bool {
        self.created.is_some() && !self.deleted
    }
}

/// Applies an event of the room's scope at `pos`. Kinds that don't concern the room itself change nothing.
pub fn apply(state: Option<MemberRoomState>, pos: Pos, body: &EventBody) -> MemberRoomState {
    let mut state = state.unwrap_or_default();
    match body {
        EventBody::MemberRoomCreated(created) => {
            if let MemberRoomCreated::Named { name, topic, visibility } = created {
                register::write(&mut state.name, pos, name.clone());
                register::write(&mut state.topic, pos, topic.clone());
                register::write(&mut state.visibility, pos, *visibility);
            }
            if state.created.as_ref().is_none_or(|(first, _)| pos < *first) {
                state.created = Some((pos, created.clone()));
            }
        }
        EventBody::MemberRoomChanged(changed) => {
            if let Some(name) = &changed.name {
                register::write(&mut state.name, pos, name.clone());
            }
            if let Some(topic) = &changed.topic {
                register::write(&mut state.topic, pos, topic.clone());
            }
            if let Some(visibility) = changed.visibility {
                register::write(&mut state.visibility, pos, visibility);
            }
        }
        EventBody::MemberRoomDeleted(_) => state.deleted = true,
        _ => {}
    }
    if state.deleted {
        // The same state as if all events had been erased before.
        (state.name, state.topic) = (None, None);
        if let Some((_, created)) = &mut state.created {
            created.erase();
        }
    }
    state
}
