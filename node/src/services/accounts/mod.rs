//! Accounts: who somebody is, and what he may change of himself. Login on one node is good on all: sessions are events,
//! and access tokens are verified by keys that all nodes derive.

#[allow(dead_code, reason = "registration asks it")]
mod admission;
mod identify;

use crate::{auth::AccessTokens, services::Base};

/// Implements what `web` asks of accounts.
pub struct AccountsService {
    base: Base,
    tokens: AccessTokens,
}

/// Who issues access tokens: the service, whichever node.
const ISSUER: &str = "starling";

impl AccountsService {
    /// All nodes of a cluster have the same token secret.
    pub fn new(base: Base, token_secret: &[u8; 32]) -> Self {
        Self { base, tokens: AccessTokens::new(ISSUER, token_secret, &[]) }
    }
}
