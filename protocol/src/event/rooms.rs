//! Events of rooms and their members; their scope is the room.

use serde::{Deserialize, Serialize};

use crate::{Hlc, InviteId, RoomId, RoomName, Topic, UserId};

/// A quick room was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomCreated {
    /// What it is called, if anything.
    pub name: Option<RoomName>,
}

/// Who may find a room and join it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Visibility {
    /// Everybody with an account.
    Public,
    /// Whom a member invites.
    Private,
}

/// A room of members was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RoomOpened {
    /// One with a name; its maker becomes its owner by an event of his own.
    Named {
        /// What it is called.
        name: RoomName,
        /// What it is about.
        topic: Topic,
        /// Who may find it.
        visibility: Visibility,
    },
    /// The room of two people, who are its members for ever: its id is derived from theirs.
    Direct {
        /// The one whose id is smaller.
        one: UserId,
        /// The other.
        other: UserId,
    },
}

impl RoomOpened {
    /// Takes out what its author wrote, once the room is deleted.
    pub(crate) fn erase(&mut self) {
        if let Self::Named { name, topic, .. } = self {
            *name = RoomName::parse("deleted room").expect("it is short and has no controls");
            *topic = Topic::default();
        }
    }
}

/// The id of the room of two people, whoever of them opens it and wherever.
pub fn direct_room(a: UserId, b: UserId) -> RoomId {
    let (one, other) = (a.min(b), a.max(b));
    let hash = blake3::derive_key("starling 2026 direct room of two users", &[one.0, other.0].concat());
    RoomId(hash[..10].try_into().expect("a hash has 32 bytes"))
}

/// Attributes of a room were changed; of each the last change holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomChanged {
    /// What it is called now.
    pub name: Option<RoomName>,
    /// What it is about now.
    pub topic: Option<Topic>,
    /// Who may find it now.
    pub visibility: Option<Visibility>,
}

/// A room was deleted with all that is in it, for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomDeleted {
    /// By whom.
    pub by: UserId,
}

/// What a member may do. They sort by power, the most powerful first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Everything.
    Owner,
    /// Remove members and their messages, invite.
    Moderator,
    /// Read and write.
    Member,
}

/// How somebody stands to a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Membership {
    /// He is no member (any more).
    None,
    /// He may join.
    Invited,
    /// He is a member.
    Member(Role),
    /// He may not join.
    Banned,
}

/// How somebody stands to the room; the last of each user holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberSet {
    /// Who.
    pub user: UserId,
    /// How he stands now.
    pub membership: Membership,
    /// When he became a member, if that was before this event.
    pub since: Option<Hlc>,
    /// The invite with which he came.
    pub invite: Option<InviteId>,
    /// Who did it.
    pub by: UserId,
}

/// An invite was made: whoever has its code may join. The code is made of the id and a key that no event holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteMade {
    /// The id of the invite.
    pub id: InviteId,
    /// Who made it.
    pub by: UserId,
    /// How many may come with it.
    pub max_uses: Option<u32>,
    /// Until when (Unix milliseconds).
    pub expires_ms: Option<u64>,
}

/// An invite was withdrawn, for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteRevoked {
    /// The id of the invite.
    pub id: InviteId,
}
