//! Accounts: registration, login, sessions, profile and settings. A login on one node works on all: sessions are events,
//! and all nodes derive the same keys for access tokens.

mod admission;
mod claim;
mod identify;
mod login;
mod password;
mod personal_tokens;
mod profile;
mod refresh;
mod registration;
mod service;
mod session_lookup;
mod sessions;
mod settings;

use std::sync::Arc;

use starling_protocol::{ErrorCode, Pos, UserId, merge::user::Password, texts};
use starling_web::service::{Identity, Refusal, RegistrationMode};

use crate::{
    auth::{AccessTokens, Overloaded, Passwords, RETRY_AFTER_S, ServiceKeySealer},
    cluster::Members,
    services::{ServiceContext, ServiceKeyring},
    store::{Records, Rows, StoreError},
};

/// Implements `web`'s traits for accounts and authentication.
#[derive(Clone)]
pub struct AccountsService {
    context: ServiceContext,
    tokens: Arc<AccessTokens>,
    service_keys: ServiceKeyring,
    passwords: Arc<Passwords>,
    mode: RegistrationMode,
    /// `None` without a cluster.
    members: Option<Arc<Members>>,
}

/// The inputs of [`AccountsService::new`].
pub struct AccountsStart {
    /// The store, the writer and the driver.
    pub context: ServiceContext,
    /// Access token keys are derived from the first; the same on all nodes of a cluster. The others verify.
    pub token_secrets: ([u8; 32], Vec<[u8; 32]>),
    /// Opens and seals service keys.
    pub service_keys: ServiceKeySealer,
    /// Hashes passwords; shared by the whole node.
    pub passwords: Arc<Passwords>,
    /// The people who may register.
    pub mode: RegistrationMode,
    /// The nodes of the cluster, if there is one.
    pub members: Option<Arc<Members>>,
}

/// The issuer in access tokens: the service, not the node.
const ISSUER: &str = "starling";

/// A user whose password was checked.
#[derive(Clone, Copy, Debug)]
struct Checked {
    user: UserId,
    /// The event that set the password.
    password_change: Pos,
}

impl AccountsService {
    /// Makes the service.
    pub fn new(start: AccountsStart) -> Self {
        let AccountsStart { context, token_secrets, service_keys, passwords, mode, members } = start;
        let tokens = Arc::new(AccessTokens::new(ISSUER, &token_secrets.0, &token_secrets.1));
        let service_keys = ServiceKeyring::new(context.clone(), service_keys);
        Self { context, tokens, service_keys, passwords, mode, members }
    }

    /// Issues and verifies access tokens.
    pub fn access_tokens(&self) -> &Arc<AccessTokens> {
        &self.tokens
    }

    /// The keyring, which other services share.
    pub fn service_keys(&self) -> &ServiceKeyring {
        &self.service_keys
    }
}

/// Reads the password of an account that exists and is enabled.
fn password_of<T: Rows, R>(
    records: &Records<T>,
    user: UserId,
    read: impl FnOnce(Password<'_>) -> R,
) -> Result<Option<R>, StoreError> {
    let account = records.existing_account(user)?.filter(|account| !account.is_disabled());
    Ok(account.and_then(|account| account.password().map(read)))
}

/// Refuses personal access tokens, for what needs a login: a leaked token must not create others or log anybody out.
fn require_login(who: Identity, act: &str) -> Result<(), Refusal> {
    if who.personal {
        return Err(Refusal::new(ErrorCode::Forbidden, texts::accounts::needs_login(act)));
    }
    Ok(())
}

fn unauthenticated() -> Refusal {
    Refusal::new(ErrorCode::Unauthenticated, texts::accounts::TOKEN_INVALID)
}

fn not_known_yet() -> Refusal {
    Refusal::new(ErrorCode::Unavailable, texts::accounts::SESSION_UNKNOWN_HERE)
}

fn bad_credentials() -> Refusal {
    Refusal::new(ErrorCode::BadCredentials, texts::accounts::WRONG_CREDENTIALS)
}

fn wrong_password() -> Refusal {
    Refusal::new(ErrorCode::BadCredentials, texts::accounts::WRONG_PASSWORD)
}

/// The refusal while too many passwords wait to be hashed.
pub fn overloaded(error: Overloaded) -> Refusal {
    let seconds = u32::try_from(RETRY_AFTER_S).unwrap_or(1);
    Refusal::new(ErrorCode::Overloaded, error.to_string()).retry_after(seconds)
}
