//! The reasons for the end of a session, and what the client is told.

use super::close::CloseReason;
use crate::{drain::Serving, service::Refusal};
use starling_protocol::texts;

/// The reason for the end of a session.
#[derive(Debug)]
pub enum End {
    /// The client closed the socket and waits for the close frame in reply (RFC 6455, section 5.5.1).
    Closed,
    /// The connection is gone, or the client no longer answers.
    Gone,
    /// This node no longer serves users: the client should resume elsewhere.
    Elsewhere(Serving),
    /// A later session of the same guest takes over.
    TakenOver,
    /// The login ended: a logout, its expiry or revocation, a new password, or a disabled or deleted account.
    LoggedOut,
    /// The session was too slow for its lane: the client should resume.
    Lagged,
    /// The client kept sending although it was refused.
    Flooding,
    /// The client sent a frame beyond the hard limit.
    TooBig,
    /// The client sent a frame that breaks the WebSocket protocol or isn't UTF-8.
    Malformed,
    /// A service that the session needs refused.
    Refused(Refusal),
}

impl End {
    /// The close code and its text; `None` if there is nobody to tell.
    pub fn close_reason(&self) -> Option<(CloseReason, &'static str)> {
        Some(match self {
            Self::Closed | Self::Gone => return None,
            Self::Elsewhere(serving) => (CloseReason::GoingAway, serving.close_reason()),
            Self::TakenOver => (CloseReason::SessionEnded, texts::close::TAKEN_OVER),
            Self::LoggedOut => (CloseReason::SessionEnded, texts::close::LOGGED_OUT),
            Self::Lagged => (CloseReason::TooSlow, texts::close::LAGGED),
            Self::Flooding => (CloseReason::Rate, texts::close::FLOODING),
            Self::TooBig => (CloseReason::TooBig, texts::close::TOO_BIG),
            Self::Malformed => (CloseReason::Policy, texts::close::MALFORMED),
            Self::Refused(_) => (CloseReason::GoingAway, texts::close::CANNOT_CONTINUE),
        })
    }
}

/// A session ends by an [`End`] alone.
pub enum Never {}
