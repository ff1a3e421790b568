//! Administration of accounts, and the two links that work without a password: for setup, and to reset a password.

use async_trait::async_trait;
use starling_protocol::{Refusal, RoomId, UserId};

use super::{
    accounts::{Client, Secret},
    identity::Identity,
};
use crate::objects::ManagedUser;

/// Changes to an account; `None` keeps a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UserFlags {
    /// Whether the account is an administrator.
    pub admin: Option<bool>,
    /// Whether the account is disabled.
    pub disabled: Option<bool>,
}

/// A link to choose a new password, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResetLink {
    /// The code in `/reset/CODE`.
    pub code: String,
    /// The time of expiry (RFC 3339).
    pub expires_at: String,
}

/// Administration of accounts. Methods that take `by` refuse everybody but administrators with `Forbidden`; the others
/// are for everybody who has the link.
#[async_trait]
pub trait Administration: Send + Sync + 'static {
    /// Returns up to `limit` accounts whose names begin with `prefix`, in the order of their names; after the account
    /// `after`, if given.
    async fn users(
        &self,
        by: UserId,
        prefix: String,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<ManagedUser>, Refusal>;

    /// Changes an account. Also `Forbidden` if no administrator would be left, and for personal access tokens.
    async fn change(&self, by: Identity, user: UserId, flags: UserFlags) -> Result<ManagedUser, Refusal>;

    /// Creates a reset link for an account; earlier links end. `Forbidden` for personal access tokens.
    async fn make_reset_link(&self, by: Identity, user: UserId) -> Result<ResetLink, Refusal>;

    /// Makes a member an owner of a room, beside any owners it has. Errors: `NotFound` if there is no such member room or no
    /// such member, `Forbidden` for personal access tokens.
    async fn add_owner(&self, by: Identity, room: RoomId, user: UserId) -> Result<(), Refusal>;

    /// Returns whether `/setup/CODE` may create the first administrator: the code is right, and there is no administrator
    /// yet. [`super::RegistrationSource::Setup`] checks the latter again when the account is created.
    async fn is_setup_code(&self, code: &str) -> Result<bool, Refusal>;

    /// Returns the username of the account that a reset link is for. `NotFound` if the link is not valid, or not any more.
    async fn reset_link_username(&self, code: &str) -> Result<String, Refusal>;

    /// Sets a password through a reset link; [`super::Accounts::validate_new_password`] must have accepted it. Ends the link,
    /// all sessions and all personal access tokens. Returns the username.
    async fn reset_password(
        &self,
        client: Client<'_>,
        code: &str,
        password: Secret,
    ) -> Result<String, Refusal>;
}
