//! A room exists from its creation on. Should a room ever be created twice, the earliest creation holds.

use serde::{Deserialize, Serialize};

use crate::{Hlc, OriginId, Pos, RoomCreated, RoomName};

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
