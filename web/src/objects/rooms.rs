//! What belongs to a room of members: members, bans and invites.

use serde::Serialize;
use starling_protocol::event;
use utoipa::ToSchema;

use super::{NotifyLevel, Role, User, Visibility};

/// A member of a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Member {
    /// The user.
    pub user: User,
    /// The member's role.
    pub role: Role,
    /// The time at which they became a member; for a direct room, the time at which it was made.
    #[schema(format = DateTime)]
    pub since: String,
}

/// A ban from a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Ban {
    /// The user.
    pub user: User,
    /// The time of the ban.
    #[schema(format = DateTime)]
    pub since: String,
}

/// An invite: everybody who has its code may join.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Invite {
    /// The code.
    pub code: String,
    /// The link to send. A path if the node does not know its public address.
    pub url: String,
    /// The number of people who joined with it.
    pub uses: u32,
    /// The number of people who may join with it; null if there is no limit.
    #[schema(required = true)]
    pub max_uses: Option<u32>,
    /// The time at which it expires; null if never.
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
