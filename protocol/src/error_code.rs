//! The stable `code` of every refusal, in HTTP problems and in WebSocket `error` frames. Programs match on it, so a
//! spelling never changes.

use serde::{Serialize, Serializer};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Type, schema::Schema},
};

/// The reason for a refusal. The spellings are part of the public API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The request can't be parsed: bad syntax, a missing or malformed parameter, an unknown field.
    BadRequest,
    /// There is no valid session.
    Unauthenticated,
    /// The access token has expired: refresh it.
    TokenExpired,
    /// No account has this name and password. The answer doesn't say which of the two is wrong.
    BadCredentials,
    /// The user may see this, but may not change it in this way.
    Forbidden,
    /// Only contacts may do this.
    NotContacts,
    /// Registration is not open on this server.
    RegistrationClosed,
    /// This server doesn't allow guests.
    GuestsDisabled,
    /// It doesn't exist, or the user may not know that it does.
    NotFound,
    /// The name belongs to another account.
    UsernameTaken,
    /// Somebody else in this room, or an account, has the name.
    NameInUse,
    /// The id already belongs to another message.
    IdReused,
    /// It exists already.
    AlreadyExists,
    /// The upload must continue at another offset.
    OffsetMismatch,
    /// The address doesn't support this method. `Allow` lists those that it does.
    MethodNotAllowed,
    /// The request has more bytes than its limit.
    TooLarge,
    /// The content has a type that this address doesn't accept.
    UnsupportedMediaType,
    /// The request can be parsed, but a value is outside its limits.
    Invalid,
    /// Somebody else is changing this right now.
    Locked,
    /// There were too many requests: try again after the time in `Retry-After`.
    RateLimited,
    /// A queue is full: try again soon.
    Overloaded,
    /// The node is shutting down: use another one.
    Draining,
    /// The node can't answer now.
    Unavailable,
    /// The disk is full, except for the space reserved for replication.
    StorageFull,
}

impl ErrorCode {
    /// All codes, in the order of their HTTP statuses.
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

    /// Returns the code as clients see it.
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

    /// Returns the HTTP status.
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
