//! What somebody sees of his own account: himself, his settings, his sessions, his tokens.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Somebody, as he sees himself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Me {
    /// His id.
    pub id: String,
    /// His name: `name~xxxx` if another had it first.
    pub username: String,
    /// What he is shown as.
    pub display_name: String,
    /// Whether he administers the service.
    pub admin: bool,
    /// Whether another had his name first: he may choose a new one, once.
    pub renamed: bool,
    /// When he registered.
    #[schema(format = DateTime)]
    pub created_at: String,
}

/// What a program proves itself with, for a while. Not shown again.
#[derive(Clone, Serialize, ToSchema)]
pub struct LoggedIn {
    /// Who.
    pub user: Me,
    /// For `Authorization: Bearer`.
    pub access_token: String,
    /// How the access token is sent.
    pub token_type: TokenType,
    /// Seconds for which the access token is good.
    pub expires_in: u64,
    /// Gets the next access token, and its own successor. Good for 30 days.
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

/// Of what in a room somebody wants to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotifyLevel {
    /// Everything.
    All,
    /// Where he is named.
    Mentions,
    /// Nothing.
    None,
}

/// What somebody has set, the same wherever he logs in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Settings {
    /// How pages look.
    pub theme: Theme,
    /// A language tag (BCP 47).
    pub language: String,
    /// Of what to be told, where a room says nothing else.
    pub notify: NotifyLevel,
    /// Not to be disturbed until then.
    #[schema(format = DateTime, required = true)]
    pub dnd_until: Option<String>,
}

/// A login that lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Session {
    /// Its id.
    pub id: String,
    /// When it began.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it was last begun or refreshed.
    #[schema(format = DateTime)]
    pub last_seen_at: String,
    /// What the client said that it is.
    pub user_agent: String,
    /// Whether it is the one that asks.
    pub current: bool,
}

/// A personal access token, without what it is proven by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PersonalToken {
    /// Its id.
    pub id: String,
    /// What its owner called it.
    pub name: String,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it ends by itself.
    #[schema(format = DateTime, required = true)]
    pub expires_at: Option<String>,
}

/// A personal access token that was just made.
#[derive(Clone, Serialize, ToSchema)]
pub struct NewPersonalToken {
    /// Its id.
    pub id: String,
    /// What its owner called it.
    pub name: String,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it ends by itself.
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
