//! Scopes: the room, the user, or the bucket of cluster-wide data that an event belongs to.

use std::fmt;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use crate::id::{RoomId, UserId};

/// The room, user or bucket that an event belongs to. Logs could later be split over nodes by scope.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scope {
    /// The kind of `id`: 0 for the cluster, 1 for a room, 2 for a user.
    pub kind: u8,
    /// The id of the room or user, or the number of the bucket; empty for data of the whole cluster.
    pub id: Box<[u8]>,
}

impl Scope {
    /// The `kind` of the cluster's scopes.
    const CLUSTER: u8 = 0;
    /// The `kind` of a room's scope.
    const ROOM: u8 = 1;
    /// The `kind` of a user's scope.
    const USER: u8 = 2;

    /// Returns the scope of cluster-wide data that is small enough not to be split into buckets.
    pub fn cluster() -> Self {
        Self { kind: Self::CLUSTER, id: Box::new([]) }
    }

    /// Returns the scope of one bucket of cluster-wide data. The bucket is the first byte of the data's key.
    pub fn cluster_bucket(byte: u8) -> Self {
        Self { kind: Self::CLUSTER, id: Box::new([byte]) }
    }

    /// Returns the scope of a room.
    pub fn room(room: RoomId) -> Self {
        Self { kind: Self::ROOM, id: room.0.into() }
    }

    /// Returns the scope of a user.
    pub fn user(user: UserId) -> Self {
        Self { kind: Self::USER, id: user.0.into() }
    }

    /// Returns the room, if this is a room's scope.
    pub fn as_room(&self) -> Option<RoomId> {
        (self.kind == Self::ROOM).then(|| <[u8; 10]>::try_from(&*self.id).ok().map(RoomId))?
    }

    /// Returns the user, if this is a user's scope.
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
