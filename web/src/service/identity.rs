//! Authentication: from credentials to an identity.

use async_trait::async_trait;
use starling_protocol::{Refusal, SessionId, UserId};

/// The credentials of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credentials<'a> {
    /// `Authorization: Bearer`: an access token, or a personal access token.
    Bearer(&'a str),
    /// The browser's session cookie.
    Cookie(&'a str),
}

/// A user in an active session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub user: UserId,
    /// The session.
    pub session: SessionId,
    /// Whether the user is an administrator.
    pub admin: bool,
    /// Whether the session is a personal access token, which may not do everything because it may leak.
    pub personal: bool,
}

/// Authentication. Credentials are valid on every node, whichever issued them.
#[async_trait]
pub trait Authentication: Send + Sync + 'static {
    /// Returns the identity for credentials. Errors: `Unauthenticated` if they are invalid or their session has ended,
    /// `TokenExpired`, `Unavailable` if this node cannot tell yet.
    async fn identify(&self, credentials: Credentials<'_>) -> Result<Identity, Refusal>;

    /// Returns whether a session is still active. Open sockets ask again whenever the account has changed.
    async fn is_alive(&self, identity: Identity) -> Result<bool, Refusal>;
}
