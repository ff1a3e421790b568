//! Members, bans and invites of a room.

use serde::Serialize;
use starling_protocol::event;
use utoipa::ToSchema;

use super::{NotifyLevel, Role, User, Visibility};

/// A member of a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Member {
    /// The person.
    pub user: User,
    /// The role.
    pub role: Role,
    /// When they became a member; in a direct room, when the room was created.
    #[schema(format = DateTime)]
    pub since: String,
}

/// A person who is banned from a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Ban {
    /// The person.
    pub user: User,
    /// When they were banned.
    #[schema(format = DateTime)]
    pub since: String,
}

/// An invite: everybody with its code can become a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Invite {
    /// The code.
    pub code: String,
    /// The link to send. Only a path if the service does not know its own address.
    pub url: String,
    /// The number of people who joined with it.
    pub uses: u32,
    /// The most people who can join with it; `null` if there is no limit.
    #[schema(required = true)]
    pub max_uses: Option<u32>,
    /// When it expires; `null` if never.
    #[schema(format = DateTime, required = true)]
    pub expires_at: Option<String>,
}

macro_rules! same_words {
    ($($name:ident: $($variant:ident)+;)+) => {$(
        impl From<$name> for event::$name {
            fn from(value: $name) -> Self {
                match value {
                    $($name::$variant => Self::$variant,)+
                }
            }
        }

        impl From<event::$name> for $name {
            fn from(value: event::$name) -> Self {
                match value {
                    $(event::$name::$variant => Self::$variant,)+
                }
            }
        }
    )+};
}

same_words! {
    NotifyLevel: All Mentions None;
    Role: Owner Moderator Member;
    Visibility: Public Private;
}
