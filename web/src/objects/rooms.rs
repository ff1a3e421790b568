//! What belongs to a room of members: its members, bans and invites, and what one wants to be told of it.

use serde::Serialize;
use starling_protocol::event;
use utoipa::ToSchema;

use super::{NotifyLevel, Role, User, Visibility};

/// A member of a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Member {
    /// Who.
    pub user: User,
    /// What he may do.
    pub role: Role,
    /// When he became a member; when the room was made, if it is a direct one.
    #[schema(format = DateTime)]
    pub since: String,
}

/// Somebody who may not join a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Ban {
    /// Who.
    pub user: User,
    /// Since when.
    #[schema(format = DateTime)]
    pub since: String,
}

/// An invite: whoever has its code may become a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Invite {
    /// Its code.
    pub code: String,
    /// What to send to whom one invites. A path if the node was not told its address.
    pub url: String,
    /// How many have come with it.
    pub uses: u32,
    /// How many may; nothing if there is no limit.
    #[schema(required = true)]
    pub max_uses: Option<u32>,
    /// Until when it holds; nothing if for ever.
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
