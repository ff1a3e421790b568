//! Where sessions are, the log's claims, the notices for the people in a room, and the records for the log.

use starling_protocol::{GuestId, GuestName, Hlc, NameShared, NodeId, RoomId, merge::guest_name::NameClaim};
use tokio::sync::oneshot;

/// The node that holds the session of an entry.
#[derive(Debug)]
pub enum SessionAt {
    /// This node; a guest's session is notified when a later one takes over.
    Here(Option<oneshot::Sender<()>>),
    /// A linked node.
    Peer(NodeId),
}

impl SessionAt {
    /// Returns the peer; `None` for a session of this node.
    pub fn peer(&self) -> Option<NodeId> {
        match self {
            Self::Here(_) => None,
            Self::Peer(peer) => Some(*peer),
        }
    }
}

/// A change that people in a room see; `is_guest` is false for a user with an account. A client that applies all
/// notices in order has the right set of names; a rename is `Left`, directly followed by `Joined`.
#[derive(Debug, PartialEq, Eq)]
pub enum Notice {
    Joined { username: String, is_guest: bool },
    Left { username: String, is_guest: bool },
}

/// A record for the log: a guest of this node shares their name with others.
#[derive(Debug)]
pub struct NameShareRecord {
    pub room: RoomId,
    pub shared: NameShared,
    /// When the latest session under the name began.
    pub above_hlc: Hlc,
}

/// The log's record of a guest under a name, if it has one.
pub type ClaimLookup<'a> = &'a dyn Fn(RoomId, &GuestName, GuestId) -> Option<NameClaim>;
