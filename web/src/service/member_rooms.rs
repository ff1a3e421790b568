//! Rooms of members: who may find them, come in, stay, and lead them.

use std::{fmt, str::FromStr};

use async_trait::async_trait;
use data_encoding::{DecodeError, HEXLOWER};
use starling_protocol::{
    InviteCode, RoomId, RoomName, Topic, UserId,
    event::{NotifyLevel, Role, Visibility},
};

use super::Refusal;
use crate::objects::{Ban, Invite, Member, Room};

/// Where a page of a list begins; only who gave it can read it.
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

/// Which part of a list is wanted.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// From where on; from the beginning if nothing.
    pub from: Option<PageToken>,
    /// So many items, at most.
    pub limit: usize,
}

/// A part of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next one begins, if there may be more.
    pub next: Option<PageToken>,
}

/// A room that is to be made.
#[derive(Clone, Debug)]
pub struct NewRoom {
    /// What it is called.
    pub name: RoomName,
    /// What it is about.
    pub topic: Topic,
    /// Who may find it.
    pub visibility: Visibility,
}

/// What is to be changed of a room.
#[derive(Clone, Debug, Default)]
pub struct RoomChange {
    /// What it is called.
    pub name: Option<RoomName>,
    /// What it is about.
    pub topic: Option<Topic>,
    /// Who may find it: the owner's to decide.
    pub visibility: Option<Visibility>,
}

/// An invite that is to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewInvite {
    /// How many may come with it.
    pub max_uses: Option<u32>,
    /// For how many seconds it holds.
    pub expires_in_s: Option<u64>,
}

/// Rooms of members. What is written returns when every peer in sync has it, or after 250 ms.
///
/// Everything refuses with `NotFound` where there is no such room, or none that the asker may know of, and with
/// `Forbidden` where he may not do what he asks for; both only after catching up with the peers in sync.
#[async_trait]
pub trait MemberRooms: Send + Sync + 'static {
    /// Makes a room, which its maker owns.
    async fn open(&self, by: UserId, room: NewRoom) -> Result<Room, Refusal>;

    /// The rooms of which a user is a member: where something was said, or he came in, last, first. A room keeps its
    /// place while one goes from page to page.
    async fn mine(&self, user: UserId, part: PageRequest) -> Result<Page<Room>, Refusal>;

    /// Public rooms whose names begin with a text, in any case of letters, in the order of their names; not those from
    /// which the user is banned.
    async fn public(&self, user: UserId, beginning: String, part: PageRequest)
    -> Result<Page<Room>, Refusal>;

    /// A room of which one may know: he is in it, it is public, or it is a quick room, which whoever knows its id is in.
    async fn room(&self, user: UserId, room: RoomId) -> Result<Room, Refusal>;

    /// Changes what a room is called, what it is about, who may find it.
    async fn change(&self, by: UserId, room: RoomId, change: RoomChange) -> Result<Room, Refusal>;

    /// Deletes a room with all that is in it, for good.
    async fn delete(&self, by: UserId, room: RoomId) -> Result<(), Refusal>;

    /// Becomes a member of a public room; nothing changes for one who is.
    async fn join(&self, user: UserId, room: RoomId) -> Result<Room, Refusal>;

    /// Becomes a member by an invite; nothing changes for one who is.
    async fn join_with(&self, user: UserId, code: InviteCode) -> Result<Room, Refusal>;

    /// Leaves a room. With its last member it is gone for good.
    async fn leave(&self, user: UserId, room: RoomId) -> Result<(), Refusal>;

    /// Of what in a room a member wants to be told; what he has set for all rooms, if he said nothing of this one.
    async fn notify_level(&self, user: UserId, room: RoomId) -> Result<NotifyLevel, Refusal>;

    /// Sets of what in a room a member wants to be told.
    async fn set_notify_level(&self, user: UserId, room: RoomId, level: NotifyLevel) -> Result<(), Refusal>;

    /// The members of a room, as they would inherit it: owners, moderators, members, each by how long they are it.
    async fn members(&self, by: UserId, room: RoomId, part: PageRequest) -> Result<Page<Member>, Refusal>;

    /// Makes a contact of one's own a member. `NotContacts`, or `AlreadyExists` if he is one.
    async fn add_member(&self, by: UserId, room: RoomId, user: UserId, role: Role)
    -> Result<Member, Refusal>;

    /// Gives a member another role.
    async fn set_role(&self, by: UserId, room: RoomId, user: UserId, role: Role) -> Result<Member, Refusal>;

    /// Removes a member; with `ban`, he may not come back, and need not be a member now.
    async fn remove_member(&self, by: UserId, room: RoomId, user: UserId, ban: bool) -> Result<(), Refusal>;

    /// Who may not join a room.
    async fn bans(&self, by: UserId, room: RoomId, part: PageRequest) -> Result<Page<Ban>, Refusal>;

    /// Lets somebody join again.
    async fn lift_ban(&self, by: UserId, room: RoomId, user: UserId) -> Result<(), Refusal>;

    /// The invites of a room that were not withdrawn.
    async fn invites(&self, by: UserId, room: RoomId, part: PageRequest) -> Result<Page<Invite>, Refusal>;

    /// Makes an invite.
    async fn make_invite(&self, by: UserId, room: RoomId, invite: NewInvite) -> Result<Invite, Refusal>;

    /// Withdraws an invite, for good.
    async fn revoke_invite(&self, by: UserId, room: RoomId, code: InviteCode) -> Result<(), Refusal>;
}
