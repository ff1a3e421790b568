//! What administrators do with accounts, and the two addresses that let somebody in without a password: that of the
//! first administrator, and that of a reset link.

use async_trait::async_trait;
use starling_protocol::{RoomId, UserId};

use super::{Client, Identity, Refusal, Secret};
use crate::objects::ManagedUser;

/// What is to be changed of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UserFlags {
    /// Whether it administers the service.
    pub admin: Option<bool>,
    /// Whether it is shut out.
    pub disabled: Option<bool>,
}

/// A link with which a password can be chosen, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResetLink {
    /// What `/reset/…` is to be opened with.
    pub code: String,
    /// Until when, as users see times.
    pub expires_at: String,
}

/// Accounts, as those who administer the service see and change them. Everybody else is refused with `Forbidden`.
#[async_trait]
pub trait Administration: Send + Sync + 'static {
    /// Up to `most` accounts in the order of their names, of those that begin with `prefix`; behind an account, if one
    /// is given.
    async fn users(
        &self,
        by: UserId,
        prefix: String,
        behind: Option<UserId>,
        most: usize,
    ) -> Result<Vec<ManagedUser>, Refusal>;

    /// Changes what an account may. `Forbidden` too where nobody would administer the service any more, and to personal
    /// access tokens.
    async fn change(&self, by: Identity, user: UserId, flags: UserFlags) -> Result<ManagedUser, Refusal>;

    /// Makes a link with which the account's owner chooses a new password; earlier links end. `Forbidden` to personal
    /// access tokens.
    async fn make_reset_link(&self, by: Identity, user: UserId) -> Result<ResetLink, Refusal>;

    /// Makes a member of a room its owner, whoever owns it: `NotFound` if there is no such room of members, or no such
    /// member. `Forbidden` to personal access tokens.
    async fn make_owner(&self, by: Identity, room: RoomId, user: UserId) -> Result<(), Refusal>;

    /// Whether `/setup/CODE` lets somebody make the first administrator's account: the code is right, and there is none
    /// yet. That there is none is decided once more as the account is made ([`super::RegistrationSource::Setup`]).
    async fn is_setup_code(&self, code: &str) -> Result<bool, Refusal>;

    /// Under which name the account is shown whose password a reset link lets choose. `NotFound` if the link is not good
    /// any more.
    async fn reset_for(&self, code: &str) -> Result<String, Refusal>;

    /// Chooses a password, which [`super::Accounts::judge_password`] finds good, through a reset link: the link, all
    /// logins and all personal access tokens end. Gives the account's name.
    async fn reset_password(
        &self,
        client: Client<'_>,
        code: &str,
        password: Secret,
    ) -> Result<String, Refusal>;
}
