//! The stable `code` of every refusal, shared by HTTP problems and WebSocket `error` frames.
//! `web` renders them; programs match on them, so a spelling never changes.

use serde::{Serialize, Serializer};

/// Why something was refused. The words are the public contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The request cannot be read: syntax, a missing or malformed parameter, an unknown field.
    BadRequest,
    /// Guests are switched off here.
    GuestsDisabled,
    /// No such thing, or none that the asker may know of.
    NotFound,
    /// The name is held by somebody else in this room.
    NameInUse,
    /// The id names another message already.
    IdReused,
    /// More bytes than the limit.
    TooLarge,
    /// Readable, but a value is out of its limits.
    Invalid,
    /// A queue is full; try again shortly.
    Overloaded,
    /// The node is stopping; another one serves.
    Draining,
    /// The node cannot answer now.
    Unavailable,
    /// The disk is full up to what is kept for replication.
    StorageFull,
}

impl ErrorCode {
    /// The word that clients see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::GuestsDisabled => "guests_disabled",
            Self::NotFound => "not_found",
            Self::NameInUse => "name_in_use",
            Self::IdReused => "id_reused",
            Self::TooLarge => "too_large",
            Self::Invalid => "invalid",
            Self::Overloaded => "overloaded",
            Self::Draining => "draining",
            Self::Unavailable => "unavailable",
            Self::StorageFull => "storage_full",
        }
    }

    /// The HTTP status that goes with it.
    pub fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::GuestsDisabled => 403,
            Self::NotFound => 404,
            Self::NameInUse | Self::IdReused => 409,
            Self::TooLarge => 413,
            Self::Invalid => 422,
            Self::Overloaded | Self::Draining | Self::Unavailable => 503,
            Self::StorageFull => 507,
        }
    }
}

impl Serialize for ErrorCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
