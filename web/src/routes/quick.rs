//! Quick rooms: the three endpoints of the original platform, and their history.

use std::sync::Arc;

use axum::{
    Extension, Json,
    body::Bytes,
    extract::{
        Query, State, WebSocketUpgrade,
        rejection::{BytesRejection, QueryRejection},
        ws::rejection::WebSocketUpgradeRejection,
    },
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;
use starling_protocol::{
    ErrorCode, GuestId, GuestName, Pos, RoomId, RoomName, cursor::CursorError, frame::client::MessageObject,
    limits::CLIENT_FRAME_BYTES_MAX,
};
use uuid::Uuid;

use super::Web;
use crate::{
    guard::{ClientAddress, Quota},
    problem,
    server::{ClosedEarly, ConnectionPermit},
    service::Refusal,
    session::{self, Brought, Seat},
};

/// Messages on a page of history, unless asked otherwise; and at most.
const PAGE_MESSAGES: usize = 50;
const PAGE_MESSAGES_MAX: usize = 200;
/// Read buffer of a WebSocket: 128 KiB by default, which is what idle sessions would cost.
const READ_BUFFER_BYTES: usize = 1024;
/// Frames gather up to here before they are written without a flush.
const WRITE_BUFFER_BYTES: usize = 16 * 1024;
/// The most that may wait in one session's write buffer: a flush's worth and the largest frame, a welcome to a room
/// of thousands. It is only as large as what it holds.
const WRITE_BUFFER_BYTES_MAX: usize = 4 * 1024 * 1024;

fn bad_request(detail: impl Into<String>) -> Refusal {
    Refusal::new(ErrorCode::BadRequest, detail.into())
}

fn no_such_room() -> Refusal {
    Refusal::new(ErrorCode::NotFound, "there is no such room")
}

fn guests_allowed(web: &Web) -> Result<(), Refusal> {
    if web.settings.guests_enabled {
        return Ok(());
    }
    Err(Refusal::new(ErrorCode::GuestsDisabled, "rooms without an account are switched off here"))
}

/// A parameter that must be there.
fn required<'a>(name: &str, value: Option<&'a String>) -> Result<&'a str, Refusal> {
    value.map(String::as_str).ok_or_else(|| bad_request(format!("the parameter {name} is missing")))
}

fn room_parameter(value: Option<&String>) -> Result<Option<RoomId>, Refusal> {
    RoomId::parse(required("roomID", value)?).map_err(|error| bad_request(format!("roomID: {error}")))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateRoom {
    name: Option<String>,
}

/// `POST /create-room`: body empty, or `{"name": "…"}`.
pub async fn create_room(
    State(web): State<Arc<Web>>,
    Extension(client): Extension<ClientAddress>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Response> {
    guests_allowed(&web).map_err(IntoResponse::into_response)?;
    let body = body.map_err(|rejection| refuse_body(&rejection).into_response())?;
    let name = if body.trim_ascii().is_empty() {
        None
    } else {
        let request: CreateRoom = serde_json::from_slice(&body)
            .map_err(|error| bad_request(format!("the body: {error}")).into_response())?;
        request.name
    };
    let name = name
        .map(|name| RoomName::parse(&name))
        .transpose()
        .map_err(|error| problem::invalid("name", &error.to_string()))?;
    let counted = web.guard.rates.check(Quota::RoomsPerAddress, &client.network());
    counted.map_err(IntoResponse::into_response)?;
    let room = web.rooms.create(name).await.map_err(IntoResponse::into_response)?;
    Ok((StatusCode::CREATED, Json(json!({ "roomID": room.to_string() }))).into_response())
}

fn refuse_body(rejection: &BytesRejection) -> Refusal {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::new(ErrorCode::TooLarge, "the body may have 64 KiB"),
        _ => bad_request("the body did not arrive whole"),
    }
}

#[derive(Deserialize)]
pub struct RoomExists {
    #[serde(rename = "roomID")]
    room: Option<String>,
}

/// `GET /room-exists?roomID=ID`
pub async fn room_exists(
    State(web): State<Arc<Web>>,
    query: Result<Query<RoomExists>, QueryRejection>,
) -> Result<Response, Refusal> {
    guests_allowed(&web)?;
    let Query(query) = query.map_err(|error| bad_request(error.body_text()))?;
    let exists = match room_parameter(query.room.as_ref())? {
        None => false,
        Some(room) => match web.rooms.find(room).await {
            Ok(_) => true,
            Err(refusal) if refusal.code == ErrorCode::NotFound => false,
            Err(refusal) => return Err(refusal),
        },
    };
    Ok(Json(json!({ "exists": exists })).into_response())
}

#[derive(Deserialize)]
pub struct RoomMessages {
    #[serde(rename = "roomID")]
    room: Option<String>,
    before: Option<String>,
    cursor: Option<String>,
    limit: Option<usize>,
}

/// `GET /room-messages?roomID=ID&before=POS&limit=`: newest first. `next` is the `before` of the next page.
pub async fn room_messages(
    State(web): State<Arc<Web>>,
    headers: HeaderMap,
    query: Result<Query<RoomMessages>, QueryRejection>,
) -> Result<Response, Refusal> {
    guests_allowed(&web)?;
    let Query(query) = query.map_err(|error| bad_request(error.body_text()))?;
    let room = room_parameter(query.room.as_ref())?.ok_or_else(no_such_room)?;
    // `cursor` is the page mark that every list takes; here it is a place, as `before` is.
    let before = query.before.or(query.cursor).map(|before| parse_pos("before", &before)).transpose()?;
    let limit = query.limit.unwrap_or(PAGE_MESSAGES);
    if !(1..=PAGE_MESSAGES_MAX).contains(&limit) {
        return Err(bad_request(format!("limit must be 1 to {PAGE_MESSAGES_MAX}")));
    }
    if let Some(Ok(cursor)) = headers.get("x-starling-cursor").map(|text| text.to_str()) {
        // As a resume does: what the client has seen is waited for, and if it cannot be had it is not there.
        if let Ok(cursor) = web.rooms.open(cursor) {
            web.rooms.catch_up(&cursor.vector).await;
        }
    }
    web.rooms.find(room).await?;
    let page = web.rooms.history(room, before, limit, None).await?;
    let items: Vec<_> =
        page.messages.iter().map(|message| MessageObject::new(room, message, false)).collect();
    let next = page.messages.last().filter(|_| page.more).map(|message| message.pos.to_string());
    Ok(Json(json!({ "items": items, "next": next })).into_response())
}

fn parse_pos(name: &str, text: &str) -> Result<Pos, Refusal> {
    Pos::parse(text).map_err(|_| bad_request(format!("{name} is not the pos of a message")))
}

#[derive(Deserialize)]
pub struct Ws {
    #[serde(rename = "roomID")]
    room: Option<String>,
    username: Option<String>,
    cursor: Option<String>,
    after: Option<String>,
}

/// `GET /ws?roomID=ID&username=NAME[&cursor=…][&after=POS]`: everything is checked before the upgrade.
pub async fn ws(
    State(web): State<Arc<Web>>,
    headers: HeaderMap,
    query: Result<Query<Ws>, QueryRejection>,
    Extension(permit): Extension<ConnectionPermit>,
    Extension(ClosedEarly(closed_early)): Extension<ClosedEarly>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Refusal> {
    guests_allowed(&web)?;
    web.guard.origins.check(&headers)?;
    let Query(query) = query.map_err(|error| bad_request(error.body_text()))?;
    let room = room_parameter(query.room.as_ref())?;
    let name = GuestName::parse(required("username", query.username.as_ref())?)
        .map_err(|error| bad_request(format!("username {error}")))?;
    let after = query.after.map(|after| parse_pos("after", &after)).transpose()?;
    let room = room.ok_or_else(no_such_room)?;
    let brought = match query.cursor {
        None => Brought::Nothing,
        Some(text) => match web.rooms.open(&text) {
            Ok(cursor) if cursor.room == room => Brought::Cursor(cursor, text),
            Ok(_) => Brought::Unreadable(CursorError::Unreadable),
            Err(error) => Brought::Unreadable(error),
        },
    };
    match web.rooms.find(room).await {
        // His cursor proves that there is one: this node has not heard of it yet.
        Err(refusal) if refusal.code == ErrorCode::NotFound && matches!(brought, Brought::Cursor(..)) => {
            return Err(Refusal::new(
                ErrorCode::Unavailable,
                "this node has yet to hear of the room; use another",
            ));
        }
        found => found?,
    };
    let guest = match &brought {
        Brought::Cursor(cursor, _) => cursor.guest,
        Brought::Nothing | Brought::Unreadable(_) => GuestId(Uuid::new_v4().into_bytes()),
    };
    let name_in_use =
        || Refusal::new(ErrorCode::NameInUse, format!("somebody in this room is called {name} already"));
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(_) if !web.presence.is_free(room, guest, &name) => return Err(name_in_use()),
        Err(_) => {
            // RFC 6455, section 4.4. The page learns from this header that nothing else is wrong.
            let version = [(header::SEC_WEBSOCKET_VERSION, "13")];
            let refusal = bad_request("this is the address of a WebSocket: ask for an upgrade");
            return Ok((version, refusal).into_response());
        }
    };
    if let Some(refusal) = web.drain.serving().refusal() {
        return Err(refusal);
    }
    if closed_early {
        // Nobody reads this. A session would take the place of the one that its guest has meanwhile elsewhere.
        return Err(bad_request("a WebSocket wants both halves of its connection"));
    }
    let lease = web.presence.enter(room, guest, name.clone()).map_err(|_| name_in_use())?;
    let seat = Seat { room, guest, name, lease, brought, after };
    Ok(upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
        .max_message_size(CLIENT_FRAME_BYTES_MAX)
        .max_frame_size(CLIENT_FRAME_BYTES_MAX)
        .on_upgrade(async move |socket| {
            session::run(web, seat, socket).await;
            drop(permit);
        }))
}
