//! Accounts: who somebody is, and what he may change of himself. Login on one node is good on all: sessions are events,
//! and access tokens are verified by keys that all nodes derive.

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

use starling_protocol::{ErrorCode, Pos, UserId, merge::user::Password};
use starling_web::service::{Identity, Refusal, RegistrationMode};

use crate::{
    auth::{AccessTokens, Overloaded, Passwords, RETRY_AFTER_S, ServiceKeys},
    cluster::Members,
    services::{ServiceContext, ServiceKeyring},
    store::{Records, Rows, StoreError},
};

/// Implements what `web` asks of accounts.
#[derive(Clone)]
pub struct AccountsService {
    context: ServiceContext,
    tokens: Arc<AccessTokens>,
    service_keys: ServiceKeyring,
    passwords: Arc<Passwords>,
    mode: RegistrationMode,
    /// Nobody, if there is no cluster.
    members: Option<Arc<Members>>,
}

/// What the service is made of.
pub struct AccountsStart {
    /// What it stands on.
    pub context: ServiceContext,
    /// From which keys of access tokens are derived; all nodes of a cluster have the same.
    pub token_secret: [u8; 32],
    /// Opens and seals the keys of which those of sessions are derived.
    pub service_keys: ServiceKeys,
    /// Hashes passwords; one for the whole node.
    pub passwords: Arc<Passwords>,
    /// Who may make an account.
    pub mode: RegistrationMode,
    /// The nodes of the cluster, if there is one.
    pub members: Option<Arc<Members>>,
}

/// Who issues access tokens: the service, whichever node.
const ISSUER: &str = "starling";

/// Somebody whose password was checked.
#[derive(Clone, Copy, Debug)]
struct Checked {
    user: UserId,
    /// The change of the password that was checked.
    password: Pos,
}

impl AccountsService {
    /// Ready to serve.
    pub fn new(start: AccountsStart) -> Self {
        let AccountsStart { context, token_secret, service_keys, passwords, mode, members } = start;
        let tokens = Arc::new(AccessTokens::new(ISSUER, &token_secret, &[]));
        let service_keys = ServiceKeyring::new(context.clone(), service_keys);
        Self { context, tokens, service_keys, passwords, mode, members }
    }

    /// The service keys, which other services share.
    pub fn service_keys(&self) -> &ServiceKeyring {
        &self.service_keys
    }
}

/// The password of somebody who may be here: he exists, and is not shut out.
fn password_of<T: Rows, R>(
    records: &Records<T>,
    user: UserId,
    read: impl FnOnce(Password<'_>) -> R,
) -> Result<Option<R>, StoreError> {
    let account = records.user(user)?.filter(|account| !account.is_disabled());
    Ok(account.and_then(|account| account.password().map(read)))
}

/// Refuses a personal access token what only a login may do: one that leaked makes no others, and logs nobody out.
fn require_login(who: Identity, act: &str) -> Result<(), Refusal> {
    if who.personal {
        return Err(Refusal::new(ErrorCode::Forbidden, format!("log in to {act}: a token may not")));
    }
    Ok(())
}

fn unauthenticated() -> Refusal {
    Refusal::new(
        ErrorCode::Unauthenticated,
        "log in first: the token is not good here, or its session has ended",
    )
}

fn not_known_yet() -> Refusal {
    Refusal::new(
        ErrorCode::Unavailable,
        "this node does not know the session, and cannot ask all others now; use another, or try again",
    )
}

fn bad_credentials() -> Refusal {
    Refusal::new(ErrorCode::BadCredentials, "there is no account with this name and password")
}

fn wrong_password() -> Refusal {
    Refusal::new(ErrorCode::BadCredentials, "the password is wrong")
}

/// Too many passwords wait.
pub fn overloaded(error: Overloaded) -> Refusal {
    let seconds = u32::try_from(RETRY_AFTER_S).unwrap_or(1);
    Refusal::new(ErrorCode::Overloaded, error.to_string()).retry_after(seconds)
}
