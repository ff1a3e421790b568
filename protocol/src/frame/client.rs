//! The JSON frames of `/ws`, the socket of quick rooms, as the API defines them. `web` sends and reads them.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;
use time::{
    OffsetDateTime,
    format_description::{BorrowedFormatItem, well_known::Rfc3339},
    macros::format_description,
};

use utoipa::{
    PartialSchema as _, ToSchema,
    openapi::{ObjectBuilder, RefOr, Type, schema::Schema},
};

use crate::{
    ErrorCode, Hlc, MessageId, MessagePosted, MessageText, Pos, RoomId, limits::ID_CHARS_MAX,
    text::TextError, texts,
};

/// RFC 3339 in UTC with milliseconds.
const TIME_FORMAT: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// Formats the time of a stamp for clients.
pub fn format_time(hlc: Hlc) -> String {
    let nanos = i128::from(hlc.unix_ms()) * 1_000_000;
    OffsetDateTime::from_unix_timestamp_nanos(nanos)
        .ok()
        .and_then(|time| time.format(TIME_FORMAT).ok())
        // 48 bits of milliseconds reach the year 10889, beyond the range of RFC 3339.
        .unwrap_or_else(|| "9999-12-31T23:59:59.999Z".to_owned())
}

/// Parses an RFC 3339 time and returns Unix milliseconds; `None` if it is malformed or before 1970.
pub fn parse_time(text: &str) -> Option<u64> {
    let nanos = OffsetDateTime::parse(text, &Rfc3339).ok()?.unix_timestamp_nanos();
    u64::try_from(nanos / 1_000_000).ok()
}

/// A message as clients see it: the event that posted it, and its listed id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedMessage {
    /// The id that clients see: the sender's own, unless another sender used it earlier.
    pub listed_id: MessageId,
    /// The position in its room.
    pub pos: Pos,
    /// The shown name of the sender; `posted` has the name that they typed.
    pub shown: String,
    /// The post.
    pub posted: MessagePosted,
}

impl ListedMessage {
    /// Returns the time at which it was sent: when it was stamped, or as the import says.
    pub fn sent_at(&self) -> Hlc {
        self.posted.imported_ms().map_or(self.pos.hlc, Hlc::from_unix_ms)
    }
}

/// A message of a quick room.
#[derive(Serialize, ToSchema)]
#[schema(as = QuickMessage)]
pub struct MessageObject<'a> {
    /// Always `message`.
    #[serde(rename = "type")]
    #[schema(schema_with = message_kind)]
    kind: &'static str,
    /// The message's id, which its sender may have chosen.
    #[schema(value_type = String, format = "uuid")]
    id: MessageId,
    /// The room's id.
    #[serde(rename = "roomID")]
    #[schema(format = "id")]
    room: String,
    /// The sender's name.
    username: &'a str,
    /// Whether the sender is a person without an account.
    guest: bool,
    /// The text: 1 to 8,000 characters.
    #[schema(min_length = 1, max_length = 8000)]
    body: &'a str,
    /// The time at which the message was stamped, or was sent before an import.
    #[schema(format = DateTime)]
    at: String,
    /// The message's position: the messages of a room sort by it as text.
    #[schema(max_length = 64, pattern = "^[A-Za-z0-9_-]+$")]
    pos: String,
    /// Whether the message is from before the client's first connection. Left out if it is not.
    #[serde(skip_serializing_if = "is_false")]
    #[schema(required = false)]
    history: bool,
}

fn message_kind() -> Schema {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["message"])).into()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

impl<'a> MessageObject<'a> {
    /// Renders a message. `history` marks messages from before the client's first connection.
    pub fn new(room: RoomId, message: &'a ListedMessage, history: bool) -> Self {
        Self {
            kind: "message",
            id: message.listed_id,
            room: room.to_string(),
            username: &message.shown,
            guest: message.posted.sender.is_guest(),
            body: message.posted.body(),
            at: format_time(message.sent_at()),
            pos: message.pos.to_string(),
            history,
        }
    }

    /// Returns the JSON text of the frame.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings and booleans always encode")
    }
}

/// The frames of `/ws` besides messages. The live socket sends some of them too ([`ServerFrame::LIVE_KINDS`]).
#[derive(Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerFrame<'a> {
    /// The first frame of every connection. On a first connection its cursor covers nothing; once the history has
    /// arrived, a `cursor` frame brings one that covers it. On a resume it is the one that you sent.
    Welcome {
        /// The room's id.
        #[serde(rename = "roomID")]
        #[schema(format = "id")]
        room: String,
        /// The name under which you appear.
        username: &'a str,
        /// The name of the node that serves you.
        node: String,
        /// The cursor to reconnect with until a `cursor` frame brings the next one.
        cursor: &'a str,
        /// The names of the people in the room, 10,000 at most.
        users: Vec<String>,
        /// Addresses where programs may reconnect.
        public_urls: Vec<String>,
    },
    /// Somebody joined the room.
    Joined {
        /// The person's name.
        username: &'a str,
        /// Whether the person has no account.
        guest: bool,
        /// The time at which they joined.
        #[schema(format = DateTime)]
        at: String,
    },
    /// Somebody left the room.
    Left {
        /// The person's name.
        username: &'a str,
        /// Whether the person has no account.
        guest: bool,
        /// The time at which they left.
        #[schema(format = DateTime)]
        at: String,
    },
    /// Your post is durable. A later ack for the same id may raise `copies`. Your own message may arrive before its ack.
    Ack {
        /// The id as you gave it, or else the one that the server gave.
        #[schema(max_length = 64, format = "id")]
        id: &'a str,
        /// The time at which the message was stamped, or was sent before an import.
        #[schema(format = DateTime)]
        at: String,
        /// The message's position in its room.
        #[schema(max_length = 64, pattern = "^[A-Za-z0-9_-]+$")]
        pos: String,
        /// The number of nodes that have the message on disk.
        copies: usize,
    },
    /// Everything up to here has arrived: reconnect with this cursor from now on.
    Cursor {
        /// The cursor, an opaque text.
        cursor: &'a str,
    },
    /// The server refused a frame. The connection stays open.
    Error {
        /// The stable code.
        code: ErrorCode,
        /// The problem, and how to solve it.
        detail: &'a str,
        /// The id in the frame that this answers, as it was given. Left out if there was none.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(max_length = 64, format = "id", nullable = false)]
        id: Option<String>,
    },
    /// The server could not continue from your cursor: drop what you show and load it again.
    Resync {
        /// The cursor to reconnect with meanwhile.
        cursor: &'a str,
    },
}

impl ServerFrame<'_> {
    /// The kinds that `/api/v1/live` sends too.
    pub const LIVE_KINDS: [&'static str; 4] = ["ack", "cursor", "error", "resync"];

    /// Returns the JSON text of the frame.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings and numbers always encode")
    }
}

/// A message id as the client wrote it. Answers repeat it in the same spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenId {
    /// The id.
    pub id: MessageId,
    /// The client's spelling.
    pub text: Box<str>,
}

impl GivenId {
    /// Parses a UUID in any of its text forms.
    pub fn parse(text: &str) -> Option<Self> {
        MessageId::try_parse(text).ok().map(|id| Self { id, text: text.into() })
    }

    /// Returns the id as the client wrote it.
    pub fn to_text(&self) -> String {
        self.text.as_ref().into()
    }
}

/// Returns the `id` that an `error` frame repeats. Values that are no text or too long are not repeated.
pub fn echo_id(id: Option<Value>) -> Option<String> {
    match id {
        Some(Value::String(id)) => Some(id).filter(|id| id.chars().nth(ID_CHARS_MAX).is_none()),
        _ => None,
    }
}

/// A post from a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientPost {
    /// The id, if the client gave one.
    pub id: Option<GivenId>,
    /// The body.
    pub text: MessageText,
}

/// The reason why a client's frame was refused. The text is shown to the user.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ClientFrameError {
    /// The JSON object has no string `body`, or has a field twice.
    #[error("a JSON object needs a string \"body\", and may have each field only once")]
    NoBody {
        /// The id in the frame.
        id: Option<String>,
    },
    /// The body is empty or too long.
    #[error("{}", texts::request::bad_body(.reason))]
    Body {
        /// The id in the frame.
        id: Option<String>,
        /// The error in the body.
        reason: TextError,
    },
    /// The `id` is not a UUID.
    #[error("the id must be a UUID")]
    Id {
        /// The id in the frame.
        id: Option<String>,
    },
    /// The frame is binary.
    #[error("frames must be text")]
    Binary,
}

impl ClientFrameError {
    /// Returns the code for the `error` frame.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NoBody { .. } | Self::Binary => ErrorCode::BadRequest,
            Self::Body { .. } | Self::Id { .. } => ErrorCode::Invalid,
        }
    }

    /// Returns the id for the `error` frame.
    pub fn id(&self) -> Option<String> {
        match self {
            Self::NoBody { id } | Self::Body { id, .. } | Self::Id { id } => id.clone(),
            Self::Binary => None,
        }
    }
}

/// A post. Unknown fields are ignored. Any text that is not a JSON object is a post too: the text is the body.
#[derive(Deserialize, ToSchema)]
#[schema(as = QuickPost)]
struct RawPost {
    /// The text.
    #[schema(value_type = String, required = true, min_length = 1, max_length = 8000)]
    body: Option<Value>,
    /// Your own id for the message. Send the post again with the same id after a reconnect: it is posted once.
    #[schema(value_type = Option<String>, format = "uuid")]
    id: Option<Value>,
}

/// The schema of the JSON object that [`parse_post`] reads.
pub fn post_schema() -> RefOr<Schema> {
    RawPost::schema()
}

/// Reads a text frame: a JSON object with a `body`, or else any text, which is the body itself.
pub fn parse_post(text: &str) -> Result<ClientPost, ClientFrameError> {
    let parse = |text: &str, id: Option<GivenId>| match MessageText::parse(text) {
        Ok(text) => Ok(ClientPost { id, text }),
        Err(reason) => Err(ClientFrameError::Body { id: id.map(|id| id.to_text()), reason }),
    };
    // serde would also read an array as a struct. Here only an object is one.
    let is_object = text.trim_start().starts_with('{');
    let Some(raw) = is_object.then(|| serde_json::from_str::<RawPost>(text).ok()).flatten() else {
        // An object with a duplicate key is refused by serde, but it is still an object.
        let refused = is_object && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
        return if refused { Err(ClientFrameError::NoBody { id: None }) } else { parse(text, None) };
    };
    let id = match raw.id {
        None | Some(Value::Null) => None,
        Some(raw) => match raw.as_str().and_then(GivenId::parse) {
            Some(id) => Some(id),
            None => return Err(ClientFrameError::Id { id: echo_id(Some(raw)) }),
        },
    };
    match raw.body {
        Some(Value::String(body)) => parse(&body, id),
        _ => Err(ClientFrameError::NoBody { id: id.map(|id| id.to_text()) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::MESSAGE_CHARS_MAX;

    #[test]
    fn times_are_rfc_3339_in_utc_with_milliseconds() {
        assert_eq!(format_time(Hlc::from_unix_ms(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(format_time(Hlc::from_unix_ms(1_700_000_000_123)), "2023-11-14T22:13:20.123Z");
        assert_eq!(format_time(Hlc(u64::MAX)), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn posts_are_objects_or_plain_text() {
        let id = MessageId::from_u128(0x1234);
        let check = |frame: &str, expected: Result<(Option<MessageId>, &str), ClientFrameError>| {
            let parsed = parse_post(frame);
            let given = |post: &ClientPost| post.id.as_ref().map(|given| given.id);
            let parsed = parsed.as_ref().map(|post| (given(post), post.text.as_str())).map_err(Clone::clone);
            assert_eq!(parsed, expected, "{frame}");
        };
        check(r#"{"body":"hi"}"#, Ok((None, "hi")));
        check(&format!(r#" {{"body":"hi","id":"{id}","more":[1]}}"#), Ok((Some(id), "hi")));
        check(r#"{"body":"hi","id":null}"#, Ok((None, "hi")));
        check("hi", Ok((None, "hi")));
        check(r#""hi""#, Ok((None, r#""hi""#)));
        check(r#"["hi"]"#, Ok((None, r#"["hi"]"#)));
        check(r#"{"body":"#, Ok((None, r#"{"body":"#)));
        let no_body = |id| Err(ClientFrameError::NoBody { id });
        check("{}", no_body(None));
        check(&format!(r#"{{"body":1,"id":"{id}"}}"#), no_body(Some(id.to_string())));
        check(r#"{"body":"a","body":"b"}"#, no_body(None));
        // A malformed id is repeated, unless it is no text or too long.
        let bad_id = |id: Option<String>| Err(ClientFrameError::Id { id });
        check(r#"{"body":"a","id":"x"}"#, bad_id(Some("x".into())));
        check(r#"{"body":"a","id":7}"#, bad_id(None));
        check(r#"{"body":"a","id":[7]}"#, bad_id(None));
        let most = "x".repeat(ID_CHARS_MAX);
        check(&format!(r#"{{"body":"a","id":"{most}"}}"#), bad_id(Some(most.clone())));
        check(&format!(r#"{{"body":"a","id":"{most}x"}}"#), bad_id(None));
        let upper = r#"{"body":"a","id":"ABCDEF00-0000-0000-0000-000000001234"}"#;
        let given = parse_post(upper).unwrap().id.unwrap();
        assert_eq!(&*given.text, "ABCDEF00-0000-0000-0000-000000001234");
        let empty = ClientFrameError::Body { id: None, reason: TextError::Empty };
        check("", Err(empty.clone()));
        check(r#"{"body":""}"#, Err(empty));
        let long = "x".repeat(MESSAGE_CHARS_MAX + 1);
        let too_long = ClientFrameError::Body { id: None, reason: TextError::TooLong(MESSAGE_CHARS_MAX) };
        check(&long, Err(too_long));
        check(&long[1..], Ok((None, &long[1..])));
    }
}
