//! The close codes of both sockets, with their meanings and what a client should do next. The AsyncAPI document lists them.

use axum::extract::ws::{CloseCode, close_code};

/// The reason for which the server closes a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    GoingAway,
    Policy,
    TooBig,
    SessionEnded,
    TooSlow,
    Rate,
}

impl CloseReason {
    pub const ALL: [Self; 6] =
        [Self::GoingAway, Self::Policy, Self::TooBig, Self::SessionEnded, Self::TooSlow, Self::Rate];

    pub fn code(self) -> CloseCode {
        match self {
            Self::GoingAway => close_code::AWAY,
            Self::Policy => close_code::POLICY,
            Self::TooBig => close_code::SIZE,
            Self::SessionEnded => 4001,
            Self::TooSlow => 4002,
            Self::Rate => 4003,
        }
    }

    /// Returns what happened and what to do, in sentences for the document.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::GoingAway => {
                "This node is stopping or cannot continue. Reconnect to another node now, with your last cursor."
            }
            Self::Policy => "You sent something that is not a valid WebSocket frame. Fix your program.",
            Self::TooBig => "You sent a frame over 128 KiB. Fix your program.",
            Self::SessionEnded => {
                "Your session ended: you logged out, it expired or was revoked, your password changed, your account \
                 was disabled or deleted, or (in a quick room) a newer connection took over your name. Don't reconnect \
                 with the same token."
            }
            Self::TooSlow => "You read too slowly. Reconnect with your last cursor.",
            Self::Rate => "You sent too many messages or other frames. Wait before you reconnect.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: the document lists every close code.
    #[test]
    fn all_lists_every_reason() {
        let position = |closing| match closing {
            CloseReason::GoingAway => 0,
            CloseReason::Policy => 1,
            CloseReason::TooBig => 2,
            CloseReason::SessionEnded => 3,
            CloseReason::TooSlow => 4,
            CloseReason::Rate => 5,
        };
        assert_eq!(CloseReason::ALL.map(position), [0, 1, 2, 3, 4, 5]);
        let codes = CloseReason::ALL.map(CloseReason::code);
        assert_eq!(codes, [1001, 1008, 1009, 4001, 4002, 4003]);
    }
}
