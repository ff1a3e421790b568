//! Events of rooms and their members. Their scope is the room.

use serde::{Deserialize, Serialize};

use crate::{Hlc, InviteId, RoomId, RoomName, Topic, UserId};

/// A quick room was created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuickRoomCreated {
    /// The name, if it has one.
    pub name: Option<RoomName>,
}

/// The group of people who may find and join a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Visibility {
    /// Everybody with an account.
    Public,
    /// Only invited people.
    Private,
}

/// A room with members was created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemberRoomCreated {
    /// A named room. A [`MembershipChanged`] event makes its creator the owner.
    Named {
        /// The name.
        name: RoomName,
        /// The topic.
        topic: Topic,
        /// The visibility.
        visibility: Visibility,
    },
    /// The direct room of two people, who are always its members. Its id is derived from theirs.
    Direct {
        /// The user with the smaller id.
        one: UserId,
        /// The other user.
        other: UserId,
    },
}

impl MemberRoomCreated {
    /// Erases the texts that the author wrote, once the room is deleted.
    pub(crate) fn erase(&mut self) {
        if let Self::Named { name, topic, .. } = self {
            *name = RoomName::parse("deleted room").expect("a valid name");
            *topic = Topic::default();
        }
    }
}

/// Returns the id of the direct room of two people. It doesn't depend on who opens the room, or on which node.
pub fn direct_room(a: UserId, b: UserId) -> RoomId {
    let (one, other) = (a.min(b), a.max(b));
    let hash = blake3::derive_key("starling 2026 direct room of two users", &[one.0, other.0].concat());
    RoomId(hash[..10].try_into().expect("a hash has 32 bytes"))
}

/// Attributes of a room were changed. Per attribute the last change wins; `None` leaves it as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRoomChanged {
    /// The new name.
    pub name: Option<RoomName>,
    /// The new topic.
    pub topic: Option<Topic>,
    /// The new visibility.
    pub visibility: Option<Visibility>,
}

/// A room was deleted permanently, with all of its messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRoomDeleted {
    /// The user who deleted it.
    pub by: UserId,
}

/// A member's role. Roles sort by power, the most powerful first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// May do everything.
    Owner,
    /// May invite people, and remove members and their messages.
    Moderator,
    /// May read and write.
    Member,
}

/// A user's membership of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Membership {
    /// Not a member, or not any more.
    None,
    /// Invited: may join.
    Invited,
    /// A member.
    Member(Role),
    /// Banned: may not join.
    Banned,
}

/// A user's membership of the room was changed. Per user the last change wins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MembershipChanged {
    /// The user.
    pub user: UserId,
    /// The new membership.
    pub membership: Membership,
    /// The time when they became a member, if that was before this event.
    pub since: Option<Hlc>,
    /// The invite that they used to join.
    pub invite: Option<InviteId>,
    /// The user who made the change.
    pub by: UserId,
}

/// An invite was made: everybody with its code may join. The code is derived from the id and a key that no event holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteMade {
    /// The invite's id.
    pub id: InviteId,
    /// The user who made it.
    pub by: UserId,
    /// The number of people who may join with it; `None` for no limit.
    pub max_uses: Option<u32>,
    /// The end of its validity (Unix milliseconds); `None` for no end.
    pub expires_ms: Option<u64>,
}

/// An invite was revoked permanently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteRevoked {
    /// The invite's id.
    pub id: InviteId,
}
