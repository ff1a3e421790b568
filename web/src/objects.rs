//! The objects of the public contract, as `/api/v1` and the live socket show them. Services fill them, routes and
//! sessions write them out; nothing else renders a user, a room or a message.

mod accounts;
mod rooms;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use self::accounts::*;
pub use self::rooms::*;

/// Somebody with an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct User {
    /// His id.
    pub id: String,
    /// His name: `name~xxxx` if another had it first. Empty if the account is gone.
    pub username: String,
    /// What he is shown as.
    pub display_name: String,
    /// Whether he is here: in the lists of contacts and of members, to those who may know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presence: Option<PresenceState>,
}

/// An account, as those who administer the service see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ManagedUser {
    /// Its id.
    pub id: String,
    /// Its name: `name~xxxx` if another had it first.
    pub username: String,
    /// What it is shown as.
    pub display_name: String,
    /// When it was registered.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// Whether it administers the service.
    pub admin: bool,
    /// Whether it is shut out.
    pub disabled: bool,
}

/// Whether somebody is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PresenceState {
    /// At least one session of his is live.
    Online,
    /// None is.
    Offline,
}

/// Who wrote a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct MessageSender {
    /// His id.
    pub id: String,
    /// His name.
    pub username: String,
    /// What he is shown as.
    pub display_name: String,
    /// Whether he has no account.
    pub guest: bool,
    /// Whether a program wrote it.
    pub bot: bool,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Message {
    /// Its id.
    pub id: String,
    /// Where it is.
    pub room_id: String,
    /// Who wrote it.
    pub sender: MessageSender,
    /// What it says; empty if it was deleted.
    pub body: String,
    /// When it was posted.
    pub at: String,
    /// Where it stands in its room; sorts as text.
    pub pos: String,
    /// When it was edited last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edited_at: Option<String>,
    /// Whether it was deleted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// The id of the message that it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// What is attached.
    pub files: Vec<File>,
    /// Who put which emoji on it.
    pub reactions: BTreeMap<String, Vec<String>>,
}

/// A file that is attached to a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct File {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its length in bytes.
    pub size: u64,
    /// Its media type.
    pub media_type: String,
    /// Where it is.
    pub url: String,
}

/// What kind of room it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RoomKind {
    /// Of two people.
    Direct,
    /// Of members.
    Room,
    /// Of whoever has its link.
    Quick,
}

/// Who may find a room and join it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Everybody with an account.
    Public,
    /// Whom a member invites.
    Private,
}

/// What a member may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything.
    Owner,
    /// Remove members and their messages, invite.
    Moderator,
    /// Read and write.
    Member,
}

/// A room, as one of its members sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Room {
    /// Its id.
    pub id: String,
    /// What kind of room it is.
    pub kind: RoomKind,
    /// Who may find it.
    pub visibility: Visibility,
    /// What it is called; empty for a direct room.
    pub name: String,
    /// What it is about.
    pub topic: String,
    /// What the asker may do in it; nothing if he is no member.
    pub role: Option<Role>,
    /// How many members it has.
    pub member_count: u64,
    /// Messages that the asker has not read, counted up to 1,000.
    pub unread: u64,
    /// Those among them that name him.
    pub mentions: u64,
    /// The last message that he has read.
    pub read_up_to: Option<String>,
    /// The last message.
    pub last_message: Option<Message>,
    /// The other one of a direct room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<User>,
}

/// How the asker stands to somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ContactState {
    /// They are contacts.
    Accepted,
    /// The other asks.
    Incoming,
    /// The asker asks.
    Outgoing,
    /// The asker has blocked the other.
    Blocked,
    /// Nothing, any more: declined, removed, unblocked. Never in a list.
    None,
}

/// A contact of the asker, or somebody who asks to be one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Contact {
    /// Who.
    pub user: User,
    /// How they stand.
    pub state: ContactState,
    /// Since when.
    pub since: String,
}
