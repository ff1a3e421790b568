//! Commands about accounts, as the operator of a node gives them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use starling_protocol::Username;
use starling_web::service::{Accounts, Refusal, Registration, RegistrationSource, Secret, UserFlags};

use super::Answer;
use crate::services::{AccountsService, AdministrationService, Asker};

/// What is to be done to an account.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserAct {
    /// Make it.
    Add {
        /// With this password.
        password: String,
        /// Whether it is to administer the service.
        admin: bool,
    },
    /// Set its password.
    Password {
        /// To this.
        password: String,
    },
    /// Let it administer the service.
    Promote,
    /// Make a link with which its owner chooses a password.
    Reset,
}

/// What commands about accounts are done with.
pub struct UserCommands {
    /// Makes accounts.
    pub accounts: Arc<AccountsService>,
    /// Changes them.
    pub administration: Arc<AdministrationService>,
    /// Under which address users reach the service, without a slash at its end.
    pub url: String,
}

impl UserCommands {
    /// Does it.
    pub async fn act(&self, name: String, act: UserAct) -> Answer {
        match self.try_act(name, act).await {
            Ok(answer) => answer,
            Err(text) => Answer::Error(text),
        }
    }

    async fn try_act(&self, name: String, act: UserAct) -> Result<Answer, String> {
        let said = |refusal: Refusal| refusal.detail.into_owned();
        let named = async || self.administration.named(name.clone()).await.map_err(said);
        match act {
            UserAct::Add { password, admin } => {
                let username = Username::parse(&name).map_err(|error| format!("the name {error}"))?;
                self.judge(&password, username.as_str())?;
                let source = RegistrationSource::Operator { admin };
                let password = Secret(password);
                let registration =
                    Registration { username: username.clone(), password, display_name: None, source };
                self.accounts.add(registration).await.map_err(said)?;
                let role = if admin { " as an administrator" } else { "" };
                Ok(Answer::Done(format!("added {username}{role}")))
            }
            UserAct::Password { password } => {
                let user = named().await?;
                self.judge(&password, &name)?;
                self.administration.set_password(user, Secret(password)).await.map_err(said)?;
                Ok(Answer::Done(format!("{name} has a new password, and is logged out everywhere")))
            }
            UserAct::Promote => {
                let flags = UserFlags { admin: Some(true), disabled: None };
                let user = named().await?;
                let changed = self.administration.flag(Asker::Operator, user, flags).await.map_err(said)?;
                let since = if changed { "now" } else { "already" };
                Ok(Answer::Done(format!("{name} is an administrator {since}")))
            }
            UserAct::Reset => {
                let user = named().await?;
                let link = self.administration.reset_link(Asker::Operator, user).await.map_err(said)?;
                let url = format!("{}/reset/{}", self.url, link.code);
                Ok(Answer::ResetLink { url, expires_at: link.expires_at })
            }
        }
    }

    fn judge(&self, password: &str, username: &str) -> Result<(), String> {
        self.accounts
            .judge_password(password, username)
            .map_err(|weak| format!("the password {weak}; nothing was changed"))
    }
}
