//! The objects of the public contract, in `/api/v1` and on the live socket. Services create them, routes and sessions
//! serialise them; there are no other representations of a user, a room or a message.

mod accounts;
mod rooms;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use self::accounts::*;
pub use self::rooms::*;

/// A person with an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct User {
    /// The id.
    pub id: String,
    /// The username: `name~xxxx` if somebody else had the name first. Empty if the account was deleted.
    pub username: String,
    /// The display name.
    pub display_name: String,
    /// Whether they are online. Only in lists of contacts and members, and only if you may know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presence: Option<PresenceState>,
}

/// An account, as administrators see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ManagedUser {
    /// The id.
    pub id: String,
    /// The username: `name~xxxx` if somebody else had the name first.
    pub username: String,
    /// The display name.
    pub display_name: String,
    /// When the account was created.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// Whether it is an administrator.
    pub admin: bool,
    /// Whether it is disabled.
    pub disabled: bool,
}

/// Whether somebody is online.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PresenceState {
    /// They have at least one live connection.
    Online,
    /// They have none.
    Offline,
}

/// The author of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct MessageSender {
    /// The id.
    pub id: String,
    /// The username.
    pub username: String,
    /// The display name.
    pub display_name: String,
    /// Whether they have no account.
    pub guest: bool,
    /// Whether they are a program.
    pub bot: bool,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Message {
    /// The id.
    pub id: String,
    /// The id of its room.
    pub room_id: String,
    /// The author.
    pub sender: MessageSender,
    /// The text; empty if the message was deleted.
    pub body: String,
    /// When it was posted.
    pub at: String,
    /// The position in its room: sort by it as text.
    pub pos: String,
    /// When it was last edited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edited_at: Option<String>,
    /// Whether it was deleted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// The id of the message that it replies to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// The attached files.
    pub files: Vec<File>,
    /// The reactions: for each emoji, the ids of the people who reacted with it.
    pub reactions: BTreeMap<String, Vec<String>>,
}

/// A file that is attached to a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct File {
    /// The id.
    pub id: String,
    /// The name.
    pub name: String,
    /// The size in bytes.
    pub size: u64,
    /// The media type.
    pub media_type: String,
    /// The address to download it from.
    pub url: String,
}

/// The kind of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RoomKind {
    /// A direct room of two people.
    Direct,
    /// A room with members.
    Room,
    /// A quick room: everybody with the link can join.
    Quick,
}

/// Who may find a room and join it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Everybody with an account.
    Public,
    /// Only people who are invited.
    Private,
}

/// The role of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// May do everything.
    Owner,
    /// May remove members and their messages, and invite.
    Moderator,
    /// May read and write.
    Member,
}

/// A room, as one of its members sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Room {
    /// The id.
    pub id: String,
    /// The kind of a room.
    pub kind: RoomKind,
    /// Who may find and join it.
    pub visibility: Visibility,
    /// The name; empty for a direct room.
    pub name: String,
    /// The topic.
    pub topic: String,
    /// Your role; `null` if you are not a member.
    pub role: Option<Role>,
    /// The number of members.
    pub member_count: u64,
    /// The number of messages that you have not read, up to 1,000.
    pub unread: u64,
    /// The number of those that mention you.
    pub mentions: u64,
    /// The id of the last message that you have read.
    pub read_up_to: Option<String>,
    /// The last message.
    pub last_message: Option<Message>,
    /// The other person in a direct room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<User>,
}

/// The state of a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ContactState {
    /// You are contacts.
    Accepted,
    /// They have sent you a request.
    Incoming,
    /// You have sent them a request.
    Outgoing,
    /// You have blocked them.
    Blocked,
    /// Not a contact any more: declined, removed or unblocked. Never in a list.
    None,
}

/// One of your contacts, or of your contact requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Contact {
    /// The other person.
    pub user: User,
    /// The state.
    pub state: ContactState,
    /// When the state last changed.
    pub since: String,
}
