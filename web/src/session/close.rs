//! The close codes of both sockets: what they mean, and what a client does next. The AsyncAPI document lists them.

use axum::extract::ws::{CloseCode, close_code};

/// Why the server closes a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    GoingAway,
    Policy,
    TooBig,
    SessionEnded,
    TooSlow,
    Rate,
}

impl Closing {
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

    /// What happened and what to do, as a sentence of the document.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::GoingAway => {
                "This node stops or cannot go on. Reconnect now with your last cursor, to another node."
            }
            Self::Policy => "You sent something that is no valid WebSocket frame. Fix the program.",
            Self::TooBig => "You sent a frame over 128 KiB. Fix the program.",
            Self::SessionEnded => {
                "Your session ended: you logged out, your password changed, your account was disabled, or (in a quick \
                 room) a later connection took over your name. Don't reconnect with the same token."
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
            Closing::GoingAway => 0,
            Closing::Policy => 1,
            Closing::TooBig => 2,
            Closing::SessionEnded => 3,
            Closing::TooSlow => 4,
            Closing::Rate => 5,
        };
        assert_eq!(Closing::ALL.map(position), [0, 1, 2, 3, 4, 5]);
        let codes = Closing::ALL.map(Closing::code);
        assert_eq!(codes, [1001, 1008, 1009, 4001, 4002, 4003]);
    }
}
