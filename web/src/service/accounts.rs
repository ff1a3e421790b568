//! Accounts: registration, login, sessions, personal access tokens, profile and settings.

use std::{fmt, net::IpAddr};

use async_trait::async_trait;
use starling_protocol::{DisplayName, Refusal, SessionId, Username, event::NotifyLevel, settings::Theme};

use super::{identity::Identity, registration::RegistrationSource};
use crate::objects::{LoggedIn, Me, NewPersonalToken, PersonalToken, Session, Settings};

/// A text that must not be logged.
#[derive(Clone)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// The client of a request.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// The client's address, not a proxy's.
    pub address: IpAddr,
    /// The `User-Agent`, cut to 200 characters.
    pub user_agent: &'a str,
}

/// A request for an account.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The username.
    pub username: Username,
    /// The password, which [`Accounts::validate_new_password`] must have accepted.
    pub password: Secret,
    /// The display name, if it differs from the username.
    pub display_name: Option<DisplayName>,
    /// The right by which the account is made.
    pub source: RegistrationSource,
}

/// Changes to a profile; `None` keeps a value.
#[derive(Clone, Debug, Default)]
pub struct ProfileChange {
    /// The new username.
    pub username: Option<Username>,
    /// The new display name; `Some(None)` resets it to the username.
    pub display_name: Option<Option<DisplayName>>,
}

/// Changes to settings; `None` keeps a value.
#[derive(Clone, Debug, Default)]
pub struct SettingsChange {
    /// The theme of pages.
    pub theme: Option<Theme>,
    /// The language tag, which the caller has validated.
    pub language: Option<Box<str>>,
    /// The notification level.
    pub notify: Option<NotifyLevel>,
    /// The end of "do not disturb" (Unix milliseconds); `Some(None)` turns it off.
    pub dnd_until_ms: Option<Option<u64>>,
}

/// A new session of a browser.
#[derive(Clone, Debug)]
pub struct BrowserSession {
    /// The user.
    pub me: Me,
    /// The value of the session cookie.
    pub cookie: Secret,
}

/// An item with its sort key in a list.
#[derive(Clone, Debug)]
pub struct Listed<T> {
    /// The sort key: greater for items made later.
    pub sort_key: String,
    /// The item.
    pub item: T,
}

/// Accounts. Every result takes into account what all reachable nodes know.
#[async_trait]
pub trait Accounts: Send + Sync + 'static {
    /// Checks a new password for this username. The error is shown to the user.
    fn validate_new_password(&self, password: &str, username: &str) -> Result<(), String>;

    /// Creates an account and logs in. Errors: `UsernameTaken`; `Unavailable` if no node can tell whether the name is taken;
    /// `RegistrationClosed` if the [`RegistrationSource`] may not register.
    async fn register(&self, client: Client<'_>, registration: Registration) -> Result<LoggedIn, Refusal>;

    /// As [`Accounts::register`], for a browser.
    async fn register_browser(
        &self,
        client: Client<'_>,
        registration: Registration,
    ) -> Result<BrowserSession, Refusal>;

    /// Logs in. Errors: `BadCredentials` for an unknown user, a wrong password and a disabled account, each after the same
    /// time; `Overloaded` if too many passwords wait to be hashed.
    async fn login(&self, client: Client<'_>, name: &str, password: Secret) -> Result<LoggedIn, Refusal>;

    /// Returns whether somebody has logged in under this (case-folded) name from this address before, as far as this node
    /// remembers.
    fn is_known(&self, address: IpAddr, name: &str) -> bool;

    /// As [`Accounts::login`], for a browser.
    async fn login_browser(
        &self,
        client: Client<'_>,
        name: &str,
        password: Secret,
    ) -> Result<BrowserSession, Refusal>;

    /// Refreshes a session. Errors: `Unauthenticated` if it has ended, or if both the token and its successor were used
    /// before, which ends it; `Unavailable` if this node cannot tell yet.
    async fn refresh(&self, token: &str) -> Result<LoggedIn, Refusal>;

    /// Ends this session, or all sessions of its user. The latter is `Forbidden` for a personal access token.
    async fn logout(&self, who: Identity, all: bool) -> Result<(), Refusal>;

    /// Returns the user's own account.
    async fn me(&self, who: Identity) -> Result<Me, Refusal>;

    /// Changes a profile. Errors: `Forbidden` if the user may not choose a new name, `UsernameTaken`.
    async fn change_profile(&self, who: Identity, change: ProfileChange) -> Result<Me, Refusal>;

    /// Deletes an account for good. `BadCredentials` if the password is wrong.
    async fn delete(&self, who: Identity, password: Secret) -> Result<(), Refusal>;

    /// Changes a password; [`Accounts::validate_new_password`] must have accepted the new one. Ends all other sessions, and
    /// personal access tokens unless `keep_tokens`. Errors: `BadCredentials` if the present password is wrong, `Forbidden`
    /// for a personal access token.
    async fn change_password(
        &self,
        who: Identity,
        present: Secret,
        new: Secret,
        keep_tokens: bool,
    ) -> Result<(), Refusal>;

    /// Returns the user's settings.
    async fn settings(&self, who: Identity) -> Result<Settings, Refusal>;

    /// Changes settings and returns all of them.
    async fn change_settings(&self, who: Identity, change: SettingsChange) -> Result<Settings, Refusal>;

    /// Returns the user's active sessions, 100 at most.
    async fn sessions(&self, who: Identity) -> Result<Vec<Listed<Session>>, Refusal>;

    /// Ends a session. Errors: `NotFound` if it is not an active session of the user, `Forbidden` if `who` is a
    /// personal access token.
    async fn end_session(&self, who: Identity, session: SessionId) -> Result<(), Refusal>;

    /// Returns the user's personal access tokens, 50 at most.
    async fn personal_tokens(&self, who: Identity) -> Result<Vec<Listed<PersonalToken>>, Refusal>;

    /// Creates a personal access token that is valid for `expires_in_s` seconds. Errors: `BadCredentials` if the password is
    /// wrong, `Forbidden` if there are too many tokens, or if `who` is a personal access token.
    async fn make_personal_token(
        &self,
        who: Identity,
        name: DisplayName,
        password: Secret,
        expires_in_s: u64,
    ) -> Result<NewPersonalToken, Refusal>;

    /// Revokes a personal access token. Errors: `NotFound` if it is not an active token of the user, `Forbidden` if
    /// `who` is a personal access token other than this one.
    async fn revoke_personal_token(&self, who: Identity, token: SessionId) -> Result<(), Refusal>;
}
