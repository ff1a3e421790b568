//! Implements `web`'s `Accounts` by the functions of the other modules.

use std::net::IpAddr;

use async_trait::async_trait;
use starling_protocol::{DisplayName, SessionId};
use starling_web::{
    objects::{LoggedIn, Me, NewPersonalToken, PersonalToken, Session, Settings},
    security_log::SecurityEvent,
    service::{
        Accounts, BrowserSession, Client, Identity, Listed, ProfileChange, Refusal, Registration, Secret,
        SettingsChange,
    },
};

use super::{
    AccountsService,
    personal_tokens::{is_personal_token, no_such_token},
    require_login,
    sessions::{is_login, no_such_session},
};
use crate::auth::WeakPassword;

#[async_trait]
impl Accounts for AccountsService {
    fn validate_new_password(&self, password: &str, username: &str) -> Result<(), String> {
        WeakPassword::check(password, username).map_err(|weak| weak.to_string())
    }

    fn is_known(&self, address: IpAddr, name: &str) -> bool {
        self.passwords.is_known(address, name)
    }

    async fn register(&self, client: Client<'_>, registration: Registration) -> Result<LoggedIn, Refusal> {
        let checked = self.register_stranger(client, registration).await?;
        self.open_program_session(checked, client.user_agent).await
    }

    async fn register_browser(
        &self,
        client: Client<'_>,
        registration: Registration,
    ) -> Result<BrowserSession, Refusal> {
        let checked = self.register_stranger(client, registration).await?;
        self.open_browser(checked, client.user_agent).await
    }

    async fn login(&self, client: Client<'_>, name: &str, password: Secret) -> Result<LoggedIn, Refusal> {
        let checked = self.check(client, name, password).await?;
        self.open_program_session(checked, client.user_agent).await
    }

    async fn login_browser(
        &self,
        client: Client<'_>,
        name: &str,
        password: Secret,
    ) -> Result<BrowserSession, Refusal> {
        let checked = self.check(client, name, password).await?;
        self.open_browser(checked, client.user_agent).await
    }

    async fn refresh(&self, token: &str) -> Result<LoggedIn, Refusal> {
        self.refresh_session(token).await
    }

    async fn logout(&self, who: Identity, all: bool) -> Result<(), Refusal> {
        self.end_logins(who, all).await
    }

    async fn me(&self, who: Identity) -> Result<Me, Refusal> {
        self.load_me(who.user).await
    }

    async fn change_profile(&self, who: Identity, change: ProfileChange) -> Result<Me, Refusal> {
        self.change_me(who, change).await
    }

    async fn delete(&self, who: Identity, password: Secret) -> Result<(), Refusal> {
        self.delete_me(who, password).await
    }

    async fn change_password(
        &self,
        who: Identity,
        present: Secret,
        new: Secret,
        keep_tokens: bool,
    ) -> Result<(), Refusal> {
        self.replace_own_password(who, present, new, keep_tokens).await
    }

    async fn settings(&self, who: Identity) -> Result<Settings, Refusal> {
        self.load_settings(who).await
    }

    async fn change_settings(&self, who: Identity, change: SettingsChange) -> Result<Settings, Refusal> {
        self.update_settings(who, change).await
    }

    async fn sessions(&self, who: Identity) -> Result<Vec<Listed<Session>>, Refusal> {
        self.list_sessions(who).await
    }

    async fn end_session(&self, who: Identity, session: SessionId) -> Result<(), Refusal> {
        require_login(who, "end a login")?;
        self.end_one(who.user, session, is_login, no_such_session).await?;
        SecurityEvent::SessionEnded.by(who.user).session(session).record();
        Ok(())
    }

    async fn personal_tokens(&self, who: Identity) -> Result<Vec<Listed<PersonalToken>>, Refusal> {
        self.list_tokens(who).await
    }

    async fn make_personal_token(
        &self,
        who: Identity,
        name: DisplayName,
        password: Secret,
        expires_in_s: u64,
    ) -> Result<NewPersonalToken, Refusal> {
        self.make_token(who, name, password, expires_in_s).await
    }

    async fn revoke_personal_token(&self, who: Identity, token: SessionId) -> Result<(), Refusal> {
        if token != who.session {
            require_login(who, "revoke another token")?;
        }
        self.end_one(who.user, token, is_personal_token, no_such_token).await?;
        SecurityEvent::TokenEnded.by(who.user).session(token).record();
        Ok(())
    }
}
