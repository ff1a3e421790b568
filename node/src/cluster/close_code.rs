//! The reasons for closing a link, with their numbers on the wire.

use quinn::{ConnectionError, VarInt};

/// The reason for closing a link; the numbers are part of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseCode {
    /// The node is stopping.
    Stopping = 0,
    /// Another link between this pair stays.
    Duplicate = 1,
    /// The receiver has the identity of a running process: it is the copy.
    NodeIdInUse = 2,
    /// A frame breaks the protocol.
    Protocol = 3,
    /// A node has dialled itself.
    Myself = 4,
    /// The sender is the copy: it has the receiver's identity and is the younger process.
    Copy = 5,
    /// The link was silent for too long.
    Silent = 6,
    /// The two nodes have no wire version in common. The reason names those of the sender.
    NoCommonVersion = 7,
    /// The sender has forgotten the receiver: it is no member any more, and joins again under a new id.
    Forgotten = 8,
    /// The link was made under a cluster secret that is no longer accepted.
    OldSecret = 9,
}

impl CloseCode {
    pub(super) fn of(error: &ConnectionError) -> Option<Self> {
        let ConnectionError::ApplicationClosed(close) = error else { return None };
        let all = [
            Self::Stopping,
            Self::Duplicate,
            Self::NodeIdInUse,
            Self::Protocol,
            Self::Myself,
            Self::Copy,
            Self::Silent,
            Self::NoCommonVersion,
            Self::Forgotten,
            Self::OldSecret,
        ];
        all.into_iter().find(|code| code.number() == close.error_code)
    }

    pub(super) fn number(self) -> VarInt {
        VarInt::from_u32(self as u32)
    }
}
