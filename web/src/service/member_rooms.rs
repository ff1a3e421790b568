//! Member rooms: creation, search, membership, roles, bans and invites.

use std::{fmt, str::FromStr};

use async_trait::async_trait;
use data_encoding::{DecodeError, HEXLOWER};
use starling_protocol::{
    InviteCode, Refusal, RoomId, RoomName, Topic, UserId,
    event::{NotifyLevel, Role, Visibility},
};

use crate::objects::{Ban, Invite, Member, Room};

/// The start of a page; opaque to everybody but the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageToken(pub Vec<u8>);

impl fmt::Display for PageToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl FromStr for PageToken {
    type Err = DecodeError;

    fn from_str(text: &str) -> Result<Self, DecodeError> {
        HEXLOWER.decode(text.as_bytes()).map(Self)
    }
}

/// A request for a page of a list.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// The start of the page; `None` for the first page.
    pub from: Option<PageToken>,
    /// The most items.
    pub limit: usize,
}

/// A page of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// The start of the next page, if there may be one.
    pub next: Option<PageToken>,
}

/// A room to create.
#[derive(Clone, Debug)]
pub struct NewRoom {
    /// The name.
    pub name: RoomName,
    /// The topic.
    pub topic: Topic,
    /// The visibility.
    pub visibility: Visibility,
}

/// Changes to a room; `None` keeps a value.
#[derive(Clone, Debug, Default)]
pub struct RoomUpdate {
    /// The name.
    pub name: Option<RoomName>,
    /// The topic.
    pub topic: Option<Topic>,
    /// The visibility; only an owner may change it.
    pub visibility: Option<Visibility>,
}

/// An invite to create.
#[derive(Clone, Copy, Debug)]
pub struct NewInvite {
    /// The most people who may join with it.
    pub max_uses: Option<u32>,
    /// The time until it expires, in seconds.
    pub expires_in_s: Option<u64>,
}

/// Member rooms. Writes return when every peer in sync has them, or after 250 ms.
///
/// All methods refuse with `NotFound` if the room does not exist or the user may not know of it, and with `Forbidden` if the
/// user may not do this; both only after catching up with the peers in sync.
#[async_trait]
pub trait MemberRooms: Send + Sync + 'static {
    /// Creates a room with `by` as its owner.
    async fn create(&self, by: UserId, room: NewRoom) -> Result<Room, Refusal>;

    /// Returns the rooms of a user, latest activity first: a message, or their own joining. Pages are stable while rooms
    /// become active.
    async fn rooms_of(&self, user: UserId, page: PageRequest) -> Result<Page<Room>, Refusal>;

    /// Returns public rooms whose names begin with a text, in any case of letters, in the order of their names; without
    /// those that the user is in or banned from.
    async fn search_public(
        &self,
        user: UserId,
        prefix: String,
        page: PageRequest,
    ) -> Result<Page<Room>, Refusal>;

    /// Returns a room that the user is in, a public room, or a quick room: knowing its id is enough.
    async fn room(&self, user: UserId, room: RoomId) -> Result<Room, Refusal>;

    /// Changes the name, topic or visibility of a room.
    async fn change(&self, by: UserId, room: RoomId, change: RoomUpdate) -> Result<Room, Refusal>;

    /// Deletes a room with all its contents, for good.
    async fn delete(&self, by: UserId, room: RoomId) -> Result<(), Refusal>;

    /// Joins a public room. No effect for a member.
    async fn join(&self, user: UserId, room: RoomId) -> Result<Room, Refusal>;

    /// Joins a room with an invite. No effect for a member.
    async fn join_with(&self, user: UserId, code: InviteCode) -> Result<Room, Refusal>;

    /// Leaves a room. A room without members is deleted for good.
    async fn leave(&self, user: UserId, room: RoomId) -> Result<(), Refusal>;

    /// Returns the notification level of a member in a room, or their default if they have not set one.
    async fn notify_level(&self, user: UserId, room: RoomId) -> Result<NotifyLevel, Refusal>;

    /// Sets the notification level of a member in a room.
    async fn set_notify_level(&self, user: UserId, room: RoomId, level: NotifyLevel) -> Result<(), Refusal>;

    /// Returns the members of a room in the order in which they would inherit it: owners, moderators, members, each by time
    /// in the role.
    async fn members(&self, by: UserId, room: RoomId, page: PageRequest) -> Result<Page<Member>, Refusal>;

    /// Adds a contact of `by` as a member. Errors: `NotContacts`, `AlreadyExists` if they are a member.
    async fn add_member(&self, by: UserId, room: RoomId, user: UserId, role: Role)
    -> Result<Member, Refusal>;

    /// Gives a member another role.
    async fn set_role(&self, by: UserId, room: RoomId, user: UserId, role: Role) -> Result<Member, Refusal>;

    /// Removes a member. With `ban` they may not come back; somebody who is not a member can be banned too.
    async fn remove_member(&self, by: UserId, room: RoomId, user: UserId, ban: bool) -> Result<(), Refusal>;

    /// Returns the bans of a room.
    async fn bans(&self, by: UserId, room: RoomId, page: PageRequest) -> Result<Page<Ban>, Refusal>;

    /// Lifts a ban.
    async fn lift_ban(&self, by: UserId, room: RoomId, user: UserId) -> Result<(), Refusal>;

    /// Returns the invites of a room that were not revoked.
    async fn invites(&self, by: UserId, room: RoomId, page: PageRequest) -> Result<Page<Invite>, Refusal>;

    /// Creates an invite.
    async fn make_invite(&self, by: UserId, room: RoomId, invite: NewInvite) -> Result<Invite, Refusal>;

    /// Revokes an invite, for good.
    async fn revoke_invite(&self, by: UserId, room: RoomId, code: InviteCode) -> Result<(), Refusal>;
}
