//! One's own account: profile, settings, sessions and tokens.

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

/// The tokens of a session. They are not shown again.
#[derive(Clone, Serialize, ToSchema)]
pub struct LoggedIn {
    /// Your account.
    pub user: Me,
    /// For `Authorization: Bearer`.
    pub access_token: String,
    /// How the access token is sent.
    pub token_type: TokenType,
    /// The seconds for which the access token is good.
    pub expires_in: u64,
    /// The token to refresh the session with. It is good for 30 days and works until the next one is used.
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

/// How pages look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Theme {
    /// As the system does.
    System,
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

/// What to notify about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotifyLevel {
    /// Every message.
    All,
    /// Messages that mention you.
    Mentions,
    /// Nothing.
    None,
}

/// Your settings, the same wherever you log in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Settings {
    /// How pages look.
    pub theme: Theme,
    /// A language tag (BCP 47).
    pub language: String,
    /// What to notify about, unless a room's own level says otherwise.
    pub notify: NotifyLevel,
    /// The time until which not to disturb; null if you may be disturbed.
    #[schema(format = DateTime, required = true)]
    pub dnd_until: Option<String>,
}

/// A live session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Session {
    /// The id.
    #[schema(format = "id")]
    pub id: String,
    /// The time at which it began.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// The time of the last login or refresh.
    #[schema(format = DateTime)]
    pub last_seen_at: String,
    /// The `User-Agent` of the client.
    pub user_agent: String,
    /// Whether this request belongs to it.
    pub current: bool,
}

/// A personal access token, without the token itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PersonalToken {
    /// The id.
    #[schema(format = "id")]
    pub id: String,
    /// The name that you gave it.
    pub name: String,
    /// The time at which it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// The time at which it expires.
    #[schema(format = DateTime, required = true)]
    pub expires_at: Option<String>,
}

/// A new personal access token.
#[derive(Clone, Serialize, ToSchema)]
pub struct NewPersonalToken {
    /// The id.
    #[schema(format = "id")]
    pub id: String,
    /// The name that you gave it.
    pub name: String,
    /// The time at which it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// The time at which it expires.
    #[schema(format = DateTime, required = true)]
    pub expires_at: Option<String>,
    /// For `Authorization: Bearer`. Not shown again.
    pub token: String,
}

impl fmt::Debug for NewPersonalToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewPersonalToken").field("id", &self.id).finish_non_exhaustive()
    }
}
