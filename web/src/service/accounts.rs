//! Accounts: registration, login, sessions, personal tokens, and what somebody may change of himself.

use std::{fmt, net::IpAddr};

use async_trait::async_trait;
use starling_protocol::{DisplayName, SessionId, Username, event::NotifyLevel, settings::Theme};

use super::{Identity, Refusal, RegistrationSource};
use crate::objects::{LoggedIn, Me, NewPersonalToken, PersonalToken, Session, Settings};

/// A text that no log shows.
#[derive(Clone)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// The program at the other end.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// Its own address, not a proxy's.
    pub address: IpAddr,
    /// What it says that it is; cut to 200 characters.
    pub user_agent: &'a str,
}

/// Somebody who wants an account.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The name that he claims.
    pub username: Username,
    /// His password; [`Accounts::judge_password`] finds it good.
    pub password: Secret,
    /// What he wants to be shown as, if not as his name.
    pub display_name: Option<DisplayName>,
    /// On whose word he comes.
    pub source: RegistrationSource,
}

/// What of a profile is to be otherwise.
#[derive(Clone, Debug, Default)]
pub struct ProfileChange {
    /// A new name.
    pub username: Option<Username>,
    /// What to be shown as; `Some(None)` is by his name.
    pub display_name: Option<Option<DisplayName>>,
}

/// What of the settings is to be otherwise.
#[derive(Clone, Debug, Default)]
pub struct SettingsChange {
    /// How pages look.
    pub theme: Option<Theme>,
    /// The language tag; the caller has checked it.
    pub language: Option<Box<str>>,
    /// Of what to be told.
    pub notify: Option<NotifyLevel>,
    /// Until when not to be disturbed (Unix milliseconds); `Some(None)` is not at all.
    pub dnd_until_ms: Option<Option<u64>>,
}

/// A browser's session.
#[derive(Clone, Debug)]
pub struct BrowserSession {
    /// Whose.
    pub me: Me,
    /// The value of its cookie.
    pub cookie: Secret,
}

/// Something with the place that it has in a list.
#[derive(Clone, Debug)]
pub struct Listed<T> {
    /// The later a thing was made, the greater: a text that sorts.
    pub mark: String,
    /// The thing.
    pub item: T,
}

/// Accounts. What is answered holds on every node that is reached.
#[async_trait]
pub trait Accounts: Send + Sync + 'static {
    /// Why a new password of somebody with this name is not taken; the words are shown to them.
    fn judge_password(&self, password: &str, username: &str) -> Result<(), String>;

    /// Makes an account and logs in. `UsernameTaken`, or `Unavailable` if nobody can know whether it is; as
    /// [`RegistrationSource`] has it `RegistrationClosed`.
    async fn register(&self, client: Client<'_>, registration: Registration) -> Result<LoggedIn, Refusal>;

    /// As [`Accounts::register`], for a browser.
    async fn register_browser(
        &self,
        client: Client<'_>,
        registration: Registration,
    ) -> Result<BrowserSession, Refusal>;

    /// Logs in. `BadCredentials` for an unknown user, a wrong password and a disabled account alike, after the same
    /// time; `Overloaded` if too many passwords wait.
    async fn login(&self, client: Client<'_>, name: &str, password: Secret) -> Result<LoggedIn, Refusal>;

    /// Whether the password of this name (folded) was right from there before, as far as this node remembers.
    fn is_known(&self, address: IpAddr, name: &str) -> bool;

    /// As [`Accounts::login`], for a browser.
    async fn login_browser(
        &self,
        client: Client<'_>,
        name: &str,
        password: Secret,
    ) -> Result<BrowserSession, Refusal>;

    /// Goes on with a session. `Unauthenticated` if it has ended, or if the token was used and its successor too, which
    /// ends it; `Unavailable` if this node cannot know yet.
    async fn refresh(&self, token: &str) -> Result<LoggedIn, Refusal>;

    /// Ends the session that asks, or all logins of its user, which is `Forbidden` to a personal access token.
    async fn logout(&self, who: Identity, all: bool) -> Result<(), Refusal>;

    /// Somebody, as he sees himself.
    async fn me(&self, who: Identity) -> Result<Me, Refusal>;

    /// Changes a profile. `Forbidden` where a name may not be chosen, `UsernameTaken`.
    async fn change_profile(&self, who: Identity, change: ProfileChange) -> Result<Me, Refusal>;

    /// Deletes an account for good. `BadCredentials` if the password is wrong.
    async fn delete(&self, who: Identity, password: Secret) -> Result<(), Refusal>;

    /// Changes a password, which [`Accounts::judge_password`] finds good: all other logins end, and personal access
    /// tokens unless they are to be kept. `BadCredentials` if the present one is another, `Forbidden` to a personal
    /// access token.
    async fn change_password(
        &self,
        who: Identity,
        present: Secret,
        new: Secret,
        keep_tokens: bool,
    ) -> Result<(), Refusal>;

    /// What somebody has set.
    async fn settings(&self, who: Identity) -> Result<Settings, Refusal>;

    /// Sets something otherwise; gives all.
    async fn change_settings(&self, who: Identity, change: SettingsChange) -> Result<Settings, Refusal>;

    /// The logins of somebody that live, 100 at most.
    async fn sessions(&self, who: Identity) -> Result<Vec<Listed<Session>>, Refusal>;

    /// Ends a login. `NotFound` if it is not one of theirs that lives, `Forbidden` to a personal access token.
    async fn end_session(&self, who: Identity, session: SessionId) -> Result<(), Refusal>;

    /// The personal access tokens of somebody, 50 at most.
    async fn personal_tokens(&self, who: Identity) -> Result<Vec<Listed<PersonalToken>>, Refusal>;

    /// Makes a personal access token that is good for so many seconds. `BadCredentials` if the password is wrong,
    /// `Forbidden` if there are too many tokens, or if a personal access token asks.
    async fn make_personal_token(
        &self,
        who: Identity,
        name: DisplayName,
        password: Secret,
        expires_in_s: u64,
    ) -> Result<NewPersonalToken, Refusal>;

    /// Revokes a personal access token. `NotFound` if it is not one of theirs that lives, `Forbidden` to another one.
    async fn revoke_personal_token(&self, who: Identity, token: SessionId) -> Result<(), Refusal>;
}
