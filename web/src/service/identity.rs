//! Who asks: what a client shows of itself, and whom that makes it.

use async_trait::async_trait;
use starling_protocol::{SessionId, UserId};

use super::Refusal;

/// What a client shows to prove who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credentials<'a> {
    /// `Authorization: Bearer`: an access token, or a personal access token.
    Bearer(&'a str),
    /// The browser's session cookie.
    Cookie(&'a str),
}

/// Somebody with an account, in a session that lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Who.
    pub user: UserId,
    /// In which session.
    pub session: SessionId,
    /// Whether he administers the service.
    pub admin: bool,
    /// Whether a personal access token asks: what it may do is worth less than his account, for it may leak.
    pub personal: bool,
}

/// Recognises users. Every node recognises what any node gave out.
#[async_trait]
pub trait Authentication: Send + Sync + 'static {
    /// Whose credentials these are. `Unauthenticated` if they are no good or their session has ended, `TokenExpired` if
    /// they were good once, `Unavailable` if this node cannot know yet.
    async fn identify(&self, credentials: Credentials<'_>) -> Result<Identity, Refusal>;

    /// Whether a session of a user still lives. Asked again whenever something of his account has changed.
    async fn is_alive(&self, identity: Identity) -> Result<bool, Refusal>;
}
