//! The stable `code` of every refusal, shared by HTTP problems and WebSocket `error` frames.
//! `web` renders them; programs match on them, so a spelling never changes.

use serde::{Serialize, Serializer};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Type, schema::Schema},
};

/// Why something was refused. The words are the public contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The request cannot be read: syntax, a missing or malformed parameter, an unknown field.
    BadRequest,
    /// Nobody has logged in, or the session has ended.
    Unauthenticated,
    /// The access token was good once: refresh it.
    TokenExpired,
    /// No account with this name and password; which of the two is not said.
    BadCredentials,
    /// The asker may know of the thing, but not do this to it.
    Forbidden,
    /// Only contacts may do this to each other.
    NotContacts,
    /// Accounts are not given to everybody here.
    RegistrationClosed,
    /// Guests are switched off here.
    GuestsDisabled,
    /// No such thing, or none that the asker may know of.
    NotFound,
    /// The name belongs to another account.
    UsernameTaken,
    /// The name is held by somebody else in this room, or by an account.
    NameInUse,
    /// The id names another message already.
    IdReused,
    /// What is to be made is there already.
    AlreadyExists,
    /// The upload goes on at another offset.
    OffsetMismatch,
    /// The address does not take this method; `Allow` names those that it takes.
    MethodNotAllowed,
    /// More bytes than the limit.
    TooLarge,
    /// The content is of a type that is not taken here.
    UnsupportedMediaType,
    /// Readable, but a value is out of its limits.
    Invalid,
    /// Somebody else is at it right now.
    Locked,
    /// Too often: try again later, as `Retry-After` says.
    RateLimited,
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
    /// All of them, by status.
    pub const ALL: [Self; 24] = [
        Self::BadRequest,
        Self::Unauthenticated,
        Self::TokenExpired,
        Self::BadCredentials,
        Self::Forbidden,
        Self::NotContacts,
        Self::RegistrationClosed,
        Self::GuestsDisabled,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::UsernameTaken,
        Self::NameInUse,
        Self::IdReused,
        Self::AlreadyExists,
        Self::OffsetMismatch,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::Invalid,
        Self::Locked,
        Self::RateLimited,
        Self::Overloaded,
        Self::Draining,
        Self::Unavailable,
        Self::StorageFull,
    ];

    /// The word that clients see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::Unauthenticated => "unauthenticated",
            Self::TokenExpired => "token_expired",
            Self::BadCredentials => "bad_credentials",
            Self::Forbidden => "forbidden",
            Self::NotContacts => "not_contacts",
            Self::RegistrationClosed => "registration_closed",
            Self::GuestsDisabled => "guests_disabled",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::UsernameTaken => "username_taken",
            Self::NameInUse => "name_in_use",
            Self::IdReused => "id_reused",
            Self::AlreadyExists => "already_exists",
            Self::OffsetMismatch => "offset_mismatch",
            Self::TooLarge => "too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::Invalid => "invalid",
            Self::Locked => "locked",
            Self::RateLimited => "rate_limited",
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
            Self::Unauthenticated | Self::TokenExpired | Self::BadCredentials => 401,
            Self::Forbidden | Self::NotContacts | Self::RegistrationClosed | Self::GuestsDisabled => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::UsernameTaken
            | Self::NameInUse
            | Self::IdReused
            | Self::AlreadyExists
            | Self::OffsetMismatch => 409,
            Self::TooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::Invalid => 422,
            Self::Locked => 423,
            Self::RateLimited => 429,
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

/// One of the words of [`ErrorCode::ALL`].
impl PartialSchema for ErrorCode {
    fn schema() -> RefOr<Schema> {
        let words = Self::ALL.map(Self::as_str);
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).into()
    }
}

impl ToSchema for ErrorCode {}
