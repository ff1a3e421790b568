//! Your own account: profile, settings, sessions and tokens.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Your own account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Me {
    /// Your id.
    pub id: String,
    /// Your username: `name~xxxx` if somebody else had the name first.
    pub username: String,
    /// Your display name.
    pub display_name: String,
    /// Whether you are an administrator.
    pub admin: bool,
    /// Whether somebody else had your username first. Then you may choose a new one, once.
    pub renamed: bool,
    /// When you registered.
    #[schema(format = DateTime)]
    pub created_at: String,
}

/// The tokens of a new session. Store them: you can't get them again.
#[derive(Clone, Serialize, ToSchema)]
pub struct LoggedIn {
    /// Your account.
    pub user: Me,
    /// The token for `Authorization: Bearer`.
    pub access_token: String,
    /// How the access token is sent.
    pub token_type: TokenType,
    /// The lifetime of the access token, in seconds.
    pub expires_in: u64,
    /// Gets you the next access token and the next refresh token. Valid for 30 days.
    pub refresh_token: String,
}

/// How an access token is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub enum TokenType {
    /// `Authorization: Bearer TOKEN`
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
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

/// The messages in a room that you are notified of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotifyLevel {
    /// All messages.
    All,
    /// Messages that mention you.
    Mentions,
    /// None.
    None,
}

/// Your settings, the same on all your devices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Settings {
    /// The theme of pages.
    pub theme: Theme,
    /// A language tag (BCP 47).
    pub language: String,
    /// The notification level of rooms without a level of their own.
    pub notify: NotifyLevel,
    /// The end of "do not disturb".
    #[schema(format = DateTime, required = true)]
    pub dnd_until: Option<String>,
}

/// An active session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Session {
    /// The id.
    pub id: String,
    /// When you logged in.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When the session was last refreshed.
    #[schema(format = DateTime)]
    pub last_seen_at: String,
    /// The client, as it called itself.
    pub user_agent: String,
    /// Whether it is the session of this request.
    pub current: bool,
}

/// A personal access token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PersonalToken {
    /// The id.
    pub id: String,
    /// The name that you gave it.
    pub name: String,
    /// When it was created.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it expires.
    #[schema(format = DateTime, required = true)]
    pub expires_at: Option<String>,
}

/// A new personal access token.
#[derive(Clone, Serialize, ToSchema)]
pub struct NewPersonalToken {
    /// The id.
    pub id: String,
    /// The name that you gave it.
    pub name: String,
    /// When it was created.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it expires.
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
