//! The objects of the public contract, as `/api/v1` and the live socket show them. Services make them, and routes and sessions
//! encode them; nothing else renders a user, a room or a message. Ids have the format `uuid` or `id`.

mod accounts;
mod rooms;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::{
    ToSchema,
    openapi::{ArrayBuilder, ObjectBuilder, SchemaFormat, Type, schema::Schema},
};

pub use self::accounts::*;
pub use self::rooms::*;

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct User {
    /// The user's id.
    #[schema(format = "id")]
    pub id: String,
    /// The user's name: `name~xxxx` if somebody else had it first. Empty if the account was deleted.
    pub username: String,
    /// The name to show.
    pub display_name: String,
    /// Whether the user is online. Only in the lists of contacts and of members, and only if you may know it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presence: Option<PresenceState>,
}

/// An account, as administrators see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ManagedUser {
    /// The user's id.
    #[schema(format = "id")]
    pub id: String,
    /// The user's name: `name~xxxx` if somebody else had it first.
    pub username: String,
    /// The name to show.
    pub display_name: String,
    /// The time of registration.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// Whether the user is an administrator.
    pub admin: bool,
    /// Whether the account is disabled.
    pub disabled: bool,
}

/// Whether a user is online.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PresenceState {
    /// The user has a live socket open.
    Online,
    /// The user has no live socket open.
    Offline,
}

/// The sender of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct MessageSender {
    /// The account's id. Empty for guests and webhooks.
    #[schema(format = "id")]
    pub id: String,
    /// The sender's name.
    pub username: String,
    /// The name to show.
    pub display_name: String,
    /// Whether the sender is a person without an account.
    pub guest: bool,
    /// Whether a program sent the message.
    pub bot: bool,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Message {
    /// The message's id.
    #[schema(format = "uuid")]
    pub id: String,
    /// The id of the message's room.
    #[schema(format = "id")]
    pub room_id: String,
    /// The sender.
    pub sender: MessageSender,
    /// The text, in Markdown. Empty if the message was deleted.
    pub body: String,
    /// The time at which the message was posted.
    #[schema(format = DateTime)]
    pub at: String,
    /// The position in the room: messages of a room are ordered by it, compared as text.
    pub pos: String,
    /// The time of the last edit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub edited_at: Option<String>,
    /// Whether the message was deleted. Left out if it was not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    pub deleted: bool,
    /// The id of the message that this one answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "uuid")]
    pub reply_to: Option<String>,
    /// The attached files.
    pub files: Vec<File>,
    /// The reactions: for each emoji, the ids of the users who reacted with it.
    #[schema(schema_with = reactions)]
    pub reactions: BTreeMap<String, Vec<String>>,
}

fn reactions() -> Schema {
    let user_id =
        ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::Custom("id".to_owned())));
    let users = ArrayBuilder::new().items(user_id);
    ObjectBuilder::new().schema_type(Type::Object).additional_properties(Some(Schema::from(users))).into()
}

/// A file that is attached to a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct File {
    /// The file's id.
    #[schema(format = "id")]
    pub id: String,
    /// The file's name.
    pub name: String,
    /// The size in bytes.
    pub size: u64,
    /// The media type.
    pub media_type: String,
    /// The address of the content.
    pub url: String,
}

/// The kind of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RoomKind {
    /// A room of two people.
    Direct,
    /// A room of members.
    Room,
    /// A room of everybody who has its link.
    Quick,
}

/// The people who may find a room and join it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Everybody with an account.
    Public,
    /// People with an invite.
    Private,
}

/// The role of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// May do everything.
    Owner,
    /// May read and write, invite people, and remove members and their messages.
    Moderator,
    /// May read and write.
    Member,
}

/// A room, as you see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Room {
    /// The room's id.
    #[schema(format = "id")]
    pub id: String,
    /// The kind of the room.
    pub kind: RoomKind,
    /// The people who may find the room and join it.
    pub visibility: Visibility,
    /// The name; empty for a direct room.
    pub name: String,
    /// The topic.
    pub topic: String,
    /// Your role; null if you are not a member.
    pub role: Option<Role>,
    /// The number of members.
    pub member_count: u64,
    /// The number of messages that you have not read, counted up to 1,000.
    pub unread: u64,
    /// The number of unread messages that mention you.
    pub mentions: u64,
    /// The id of the last message that you have read.
    #[schema(format = "uuid")]
    pub read_up_to: Option<String>,
    /// The last message.
    pub last_message: Option<Message>,
    /// The other person in a direct room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<User>,
}

/// The relation between you and another user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ContactState {
    /// You are contacts.
    Accepted,
    /// They sent you a request.
    Incoming,
    /// You sent them a request.
    Outgoing,
    /// You blocked them.
    Blocked,
    /// You are strangers: the request was declined, the contact removed or the user unblocked. Never in a list.
    None,
}

/// A contact, a request, or a user whom you blocked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Contact {
    /// The other person.
    pub user: User,
    /// The relation between you.
    pub state: ContactState,
    /// The time of the last change of this state.
    #[schema(format = DateTime)]
    pub since: String,
}
