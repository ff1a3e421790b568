//! The commands of an operator on accounts (`starling user`).

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use starling_protocol::Username;
use starling_web::service::{Accounts, Refusal, Registration, RegistrationSource, Secret, UserFlags};

use super::Answer;
use crate::{
    services::{AccountsService, AdministrationService, Asker},
    texts,
};

/// An action on an account.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserAct {
    /// Create the account.
    Add {
        /// The password.
        password: String,
        /// Whether the account administers the service.
        admin: bool,
    },
    /// Set the password, and log the account out everywhere.
    Password {
        /// The new password.
        password: String,
    },
    /// Make the account an administrator.
    Promote,
    /// Create a link with which the owner chooses a new password.
    Reset,
}

/// Carries out commands on accounts.
pub struct UserCommands {
    /// Creates accounts.
    pub accounts: Arc<AccountsService>,
    /// Changes accounts.
    pub administration: Arc<AdministrationService>,
    /// The URL of the service for users, without a slash at its end.
    pub url: String,
}

impl UserCommands {
    /// Carries out a command.
    pub async fn act(&self, name: String, act: UserAct) -> Answer {
        match self.try_act(name, act).await {
            Ok(answer) => answer,
            Err(text) => Answer::Error(text),
        }
    }

    async fn try_act(&self, name: String, act: UserAct) -> Result<Answer, String> {
        let detail = |refusal: Refusal| refusal.detail.into_owned();
        let named = async || self.administration.find_by_shown_name(name.clone()).await.map_err(detail);
        match act {
            UserAct::Add { password, admin } => {
                let username = Username::parse(&name).map_err(texts::bad_name)?;
                self.check_password(&password, username.as_str())?;
                let source = RegistrationSource::Operator { admin };
                let password = Secret(password);
                let registration =
                    Registration { username: username.clone(), password, display_name: None, source };
                self.accounts.add(registration).await.map_err(detail)?;
                Ok(Answer::Done(texts::added(username, admin)))
            }
            UserAct::Password { password } => {
                let user = named().await?;
                self.check_password(&password, &name)?;
                self.administration.set_password(user, Secret(password)).await.map_err(detail)?;
                Ok(Answer::Done(texts::password_changed(&name)))
            }
            UserAct::Promote => {
                let flags = UserFlags { admin: Some(true), disabled: None };
                let user = named().await?;
                let changed = self.administration.flag(Asker::Operator, user, flags).await.map_err(detail)?;
                Ok(Answer::Done(texts::is_administrator(&name, changed)))
            }
            UserAct::Reset => {
                let user = named().await?;
                let link = self.administration.reset_link(Asker::Operator, user).await.map_err(detail)?;
                let url = format!("{}/reset/{}", self.url, link.code);
                Ok(Answer::ResetLink { url, expires_at: link.expires_at })
            }
        }
    }

    fn check_password(&self, password: &str, username: &str) -> Result<(), String> {
        self.accounts.validate_new_password(password, username).map_err(texts::bad_password)
    }
}
