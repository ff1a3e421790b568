//! Your own account: profile, settings, sessions and tokens.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Your own account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Me {
    /// Your id.
    #[schema(format = "id")]
    pub id: String,
    /// Your name: `name~xxxx` if somebody else had it first.
    pub username: String,
    /// The name to show.
    pub display_name: String,
    /// Whether you are an administrator.
    pub admin: bool,
    /// Whether somebody else had your name first: you may choose a new one, once.
    pub renamed: bool,
    /// The time of registration.
    #[schema(format = DateTime)]
    pub created_at: String,
}

/// A session with its current tokens, which are not shown again.
#[derive(Clone, Serialize, ToSchema)]
pub struct LoggedIn {
    /// Your account.
    pub user: Me,
    /// The token for `Authorization: Bearer`.
    pub access_token: String,
    /// The scheme of the access token in `Authorization`.
    pub token_type: TokenType,
    /// The seconds until the access token expires.
    pub expires_in: u64,
    /// The token to refresh the session with. It is valid for 30 days, or until you use the refresh token that replaces it.
    pub refresh_token: String,
}

/// The scheme of an access token in `Authorization`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub enum TokenType {
    /// The token is sent as `Authorization: Bearer TOKEN`.
    Bearer,
}

impl fmt::Debug for LoggedIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoggedIn").field("user", &self.user).finish_non_exhaustive()
    }
}

/// The theme of pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Theme {
    /// The theme of the system.
    System,
    /// Dark text on a light background.
    Light,
    /// Light text on a dark background.
    Dark,
}

/// The messages to notify about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotifyLevel {
    /// Every message.
    All,
    /// Messages that mention you.
    Mentions,
    /// No messages.
    None,
}

/// Your settings, the same wherever you log in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Settings {
    /// The theme of pages.
    pub theme: Theme,
    /// A language tag (BCP 47).
    pub language: String,
    /// The messages to notify about, in rooms without a level of their own.
    pub notify: NotifyLevel,
    /// The end of "do not disturb"; null if it is off.
    #[schema(format = DateTime, required = true)]
    pub dnd_until: Option<String>,
}

/// An active session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Session {
    /// The session's id.
    #[schema(format = "id")]
    pub id: String,
    /// The time at which the session began.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// The time of the last login or refresh.
    #[schema(format = DateTime)]
    pub last_seen_at: String,
    /// The `User-Agent` of the client.
    pub user_agent: String,
    /// Whether this request belongs to the session.
    pub current: bool,
}

/// A personal access token, without the token itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PersonalToken {
    /// The token's id.
    #[schema(format = "id")]
    pub id: String,
    /// The name that you gave it.
    pub name: String,
    /// The time at which the token was created.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// The time at which the token expires.
    #[schema(format = DateTime, required = true)]
    pub expires_at: Option<String>,
}

/// A new personal access token.
#[derive(Clone, Serialize, ToSchema)]
pub struct NewPersonalToken {
    /// The token's id.
    #[schema(format = "id")]
    pub id: String,
    /// The name that you gave it.
    pub name: String,
    /// The time at which the token was created.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// The time at which the token expires.
    #[schema(format = DateTime, required = true)]
    pub expires_at: Option<String>,
    /// The token for `Authorization: Bearer`. Store it: you can't get it again.
    pub token: String,
}

impl fmt::Debug for NewPersonalToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewPersonalToken").field("id", &self.id).finish_non_exhaustive()
    }
}
