//! The requests of clients of the live socket, `GET /api/v1/live`. The frames that they receive hold the contract's
//! objects, so `web` writes them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{
    PartialSchema as _, ToSchema,
    openapi::{RefOr, schema::Schema},
};

use super::client::{GivenId, echo_id};
use crate::{ErrorCode, MessageId, MessageText, RoomId, texts};

/// A change to a room, as one member sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RoomChange {
    /// You are a member now: load its messages by pages.
    Joined,
    /// The room changed, or your role in it.
    Updated,
    /// You are no longer a member, or the room was deleted.
    Removed,
}

/// A request from a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LiveRequest {
    /// Post a message.
    Send {
        /// The new message's id.
        id: GivenId,
        /// The room.
        room: RoomId,
        /// The text.
        text: MessageText,
        /// The message that it replies to.
        reply_to: Option<MessageId>,
    },
    /// Show the other members that the user is typing.
    Typing {
        /// The room.
        room: RoomId,
    },
    /// Mark a room as read.
    Read {
        /// The room.
        room: RoomId,
        /// The last message that was read.
        message: MessageId,
    },
    /// Answer with a `pong`.
    Ping,
}

/// The reason why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveRequestError {
    /// The stable code.
    pub code: ErrorCode,
    /// An explanation for people.
    pub detail: Cow<'static, str>,
    /// The id in the frame, as the client wrote it.
    pub id: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Raw {
    /// Posts a message. An `ack` or an `error` with the same id answers.
    Send {
        /// Your own id for the message. Send it again with the same id after a reconnect: it is posted once.
        #[schema(format = "uuid")]
        id: String,
        /// The room's id.
        #[schema(max_length = 64, format = "id")]
        room_id: String,
        /// The text, in Markdown.
        #[schema(min_length = 1, max_length = 8000)]
        body: String,
        /// The id of the message in this room that you are replying to.
        #[schema(format = "uuid")]
        reply_to: Option<String>,
        /// Files cannot be attached yet.
        #[schema(max_items = 0)]
        file_ids: Option<Vec<String>>,
    },
    /// Says that you are typing. It expires after 5 s: send it again while you keep typing.
    Typing {
        /// The room's id.
        #[schema(max_length = 64, format = "id")]
        room_id: String,
    },
    /// Marks a room as read up to a message.
    Read {
        /// The room's id.
        #[schema(max_length = 64, format = "id")]
        room_id: String,
        /// The id of the last message that you have read.
        #[schema(format = "uuid")]
        message_id: String,
    },
    /// Asks for a `pong`.
    Ping {},
}

/// The schema of the frames that [`parse`] reads: one object for each kind.
pub fn request_schema() -> RefOr<Schema> {
    Raw::schema()
}

#[derive(Deserialize)]
struct OnlyId {
    id: Option<Value>,
}

fn refused(code: ErrorCode, detail: impl Into<Cow<'static, str>>) -> LiveRequestError {
    LiveRequestError { code, detail: detail.into(), id: None }
}

fn room(text: &str) -> Result<RoomId, LiveRequestError> {
    let room = RoomId::parse(text).ok().flatten();
    room.ok_or_else(|| refused(ErrorCode::NotFound, texts::rooms::NO_SUCH_ROOM))
}

fn message(text: &str) -> Result<MessageId, LiveRequestError> {
    MessageId::try_parse(text).map_err(|_| refused(ErrorCode::NotFound, texts::rooms::NO_SUCH_MESSAGE))
}

/// Parses a text frame.
pub fn parse(text: &str) -> Result<LiveRequest, LiveRequestError> {
    let raw = serde_json::from_str::<Raw>(text).map_err(|error| {
        let id = serde_json::from_str::<OnlyId>(text).ok().and_then(|frame| echo_id(frame.id));
        LiveRequestError { id, ..refused(ErrorCode::BadRequest, texts::request::bad_frame(error)) }
    })?;
    match raw {
        Raw::Send { id, room_id, body, reply_to, file_ids } => {
            let Some(given) = GivenId::parse(&id) else {
                let id = echo_id(Some(Value::String(id)));
                return Err(LiveRequestError {
                    id,
                    ..refused(ErrorCode::Invalid, texts::request::ID_MUST_BE_UUID)
                });
            };
            let request = || {
                let room = room(&room_id)?;
                let text = MessageText::parse(&body)
                    .map_err(|error| refused(ErrorCode::Invalid, texts::request::bad_body(error)))?;
                let reply_to = reply_to.as_deref().map(message).transpose()?;
                if file_ids.is_some_and(|files| !files.is_empty()) {
                    return Err(refused(ErrorCode::NotFound, texts::rooms::NO_SUCH_FILE));
                }
                Ok(LiveRequest::Send { id: given.clone(), room, text, reply_to })
            };
            request().map_err(|error| LiveRequestError { id: Some(given.to_text()), ..error })
        }
        Raw::Typing { room_id } => Ok(LiveRequest::Typing { room: room(&room_id)? }),
        Raw::Read { room_id, message_id } => {
            Ok(LiveRequest::Read { room: room(&room_id)?, message: message(&message_id)? })
        }
        Raw::Ping {} => Ok(LiveRequest::Ping),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "00000000-0000-0000-0000-000000001234";

    #[test]
    fn requests_are_parsed_and_other_frames_are_refused() {
        let (message, room) = (MessageId::from_u128(0x1234), RoomId([7; 10]));
        let id = GivenId { id: message, text: ID.into() };
        let text = MessageText::parse("hi").unwrap();
        let send = LiveRequest::Send { id, room, text, reply_to: None };
        let frame = |rest: &str| format!(r#"{{"type":"send","id":"{ID}","room_id":"{room}"{rest}}}"#);
        assert_eq!(parse(&frame(r#","body":"hi""#)), Ok(send.clone()));
        assert_eq!(parse(&frame(r#","body":"hi","reply_to":null,"file_ids":[]"#)), Ok(send));
        assert_eq!(parse(r#"{"type":"ping"}"#), Ok(LiveRequest::Ping));
        assert_eq!(
            parse(&format!(r#"{{"type":"typing","room_id":"{room}"}}"#)),
            Ok(LiveRequest::Typing { room })
        );
        let read = format!(r#"{{"type":"read","room_id":"{room}","message_id":"{ID}"}}"#);
        assert_eq!(parse(&read), Ok(LiveRequest::Read { room, message }));
        for (frame, code, has_id) in [
            (frame(""), ErrorCode::BadRequest, true),
            (frame(r#","body":"hi","more":1"#), ErrorCode::BadRequest, true),
            (frame(r#","body":"""#), ErrorCode::Invalid, true),
            (frame(r#","body":"hi","reply_to":"x""#), ErrorCode::NotFound, true),
            (frame(r#","body":"hi","file_ids":["x"]"#), ErrorCode::NotFound, true),
            (frame(r#","body":"hi""#).replace(ID, "x"), ErrorCode::Invalid, true),
            (frame(r#","body":"hi","more":1"#).replace(ID, "x"), ErrorCode::BadRequest, true),
            (frame(r#","body":"hi""#).replace(ID, &"x".repeat(65)), ErrorCode::Invalid, false),
            (frame(r#","body":"hi""#).replace(&room.to_string(), "x y"), ErrorCode::NotFound, true),
            (r#"{"type":"ping","more":1}"#.into(), ErrorCode::BadRequest, false),
            (r#"{"type":"dance"}"#.into(), ErrorCode::BadRequest, false),
            ("hi".into(), ErrorCode::BadRequest, false),
        ] {
            let refused = parse(&frame).unwrap_err();
            assert_eq!((refused.code, refused.id.is_some()), (code, has_id), "{frame}: {}", refused.detail);
        }
    }
}
