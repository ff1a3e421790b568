//! What an event belongs to.

use std::fmt;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use crate::{RoomId, UserId};

/// What an event belongs to; the key by which logs can later be split over nodes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scope {
    /// What kind of thing `id` names.
    pub kind: u8,
    /// The thing; empty for the cluster.
    pub id: Box<[u8]>,
}

impl Scope {
    /// `kind` of what belongs to the whole cluster.
    const CLUSTER: u8 = 0;
    /// `kind` of a room's scope.
    const ROOM: u8 = 1;
    /// `kind` of a user's scope.
    const USER: u8 = 2;

    /// What belongs to the whole cluster and is one heap, for it is little.
    pub fn cluster() -> Self {
        Self { kind: Self::CLUSTER, id: Box::new([]) }
    }

    /// A share of what belongs to the whole cluster: by the first byte of a key, so that it is not one heap.
    pub fn shard(byte: u8) -> Self {
        Self { kind: Self::CLUSTER, id: Box::new([byte]) }
    }

    /// The scope of a room.
    pub fn room(room: RoomId) -> Self {
        Self { kind: Self::ROOM, id: room.0.into() }
    }

    /// The scope of a user.
    pub fn user(user: UserId) -> Self {
        Self { kind: Self::USER, id: user.0.into() }
    }

    /// The room, if it is the scope of one.
    pub fn as_room(&self) -> Option<RoomId> {
        (self.kind == Self::ROOM).then(|| <[u8; 10]>::try_from(&*self.id).ok().map(RoomId))?
    }

    /// The user, if it is the scope of one.
    pub fn as_user(&self) -> Option<UserId> {
        (self.kind == Self::USER).then(|| <[u8; 16]>::try_from(&*self.id).ok().map(UserId))?
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.as_room(), self.as_user()) {
            (Some(room), _) => write!(f, "room {room}"),
            (_, Some(user)) => write!(f, "user {user}"),
            _ => write!(f, "scope {}:{}", self.kind, HEXLOWER.encode(&self.id)),
        }
    }
}
