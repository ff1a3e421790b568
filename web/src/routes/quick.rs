//! Quick rooms: the three endpoints of the original platform, and their history.

use std::sync::Arc;

use axum::{
    Extension,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::{HeaderMap, Method, StatusCode},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use starling_protocol::{
    Cursor, CursorOwner, ErrorCode, GuestId, GuestName, RoomId, RoomName, Sender, cursor::CursorError,
    frame::client::MessageObject, merge::guest_name,
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    AppState,
    api::{Json, Limit, List, Query, caller, cursor, object, refuse_body},
    socket::{Upgrade, bad_request, parse_pos},
};
use crate::{
    guard::{ClientAddress, Quota},
    openapi::{
        CursorHeader,
        errors::{
            BadRequest, Draining, ErrorResponses, Forbidden, GuestsDisabled, Invalid, NameInUse, NotFound,
            StorageFull, TokenExpired, TooLarge, Unauthenticated,
        },
        tag,
    },
    problem::{self, Problem},
    service::{Identity, Refusal},
    session::{self, Participant, ResumePoint},
};

/// All of them.
pub fn routes() -> OpenApiRouter<Arc<AppState>> {
    OpenApiRouter::default()
        .routes(routes!(create_quick_room))
        .routes(routes!(check_quick_room))
        .routes(routes!(list_quick_messages))
        .routes(routes!(open_quick_socket))
}

fn no_such_room() -> Refusal {
    Refusal::new(ErrorCode::NotFound, "there is no such room")
}

fn guests_allowed(web: &AppState) -> Result<(), Refusal> {
    if web.settings.guests_enabled {
        return Ok(());
    }
    Err(Refusal::new(ErrorCode::GuestsDisabled, "rooms without an account are switched off here"))
}

fn room_parameter(text: &str) -> Result<Option<RoomId>, Refusal> {
    RoomId::parse(text).map_err(|error| bad_request(format!("roomID: {error}")))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateRoom {
    /// The name above the room; kept as guests' names are.
    #[schema(min_length = 1, max_length = 80)]
    name: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct RoomMade {
    /// The room's id. Everybody who knows it may join.
    #[serde(rename = "roomID")]
    #[schema(format = "id")]
    room: String,
}

/// Create a quick room
///
/// The body may be empty. When the answer arrives, the room exists on every reachable node.
#[utoipa::path(
    post, path = "/create-room", tag = tag::QUICK,
    request_body = Option<CreateRoom>,
    responses(
        (status = 201, description = "The room was created.", body = RoomMade, links(
            ("exists" = (operation_id = "checkQuickRoom", parameters(("roomID" = "$response.body#/roomID")))),
            ("messages" = (operation_id = "listQuickMessages", parameters(("roomID" = "$response.body#/roomID")))),
            ("talk" = (operation_id = "openQuickSocket", parameters(("roomID" = "$response.body#/roomID")))),
        )),
        ErrorResponses<(BadRequest, GuestsDisabled, TooLarge, Invalid)>,
    ),
    security(()),
)]
async fn create_quick_room(
    State(web): State<Arc<AppState>>,
    Extension(client): Extension<ClientAddress>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<RoomMade>), Problem> {
    guests_allowed(&web)?;
    let body = body.map_err(|rejection| refuse_body(&rejection))?;
    let request = match body.trim_ascii() {
        b"" | b"null" => None,
        body => Some(object::<CreateRoom>(body)?),
    };
    let name = request.and_then(|request| request.name).map(|name| RoomName::parse(&name)).transpose();
    let mut invalid = problem::Invalid::default();
    let Some(name) = invalid.check("name", name) else { return Err(invalid.into()) };
    web.guard.rates.check(Quota::RoomsPerAddress, &client.network())?;
    let room = web.rooms.create(name).await?;
    Ok((StatusCode::CREATED, Json(RoomMade { room: room.to_string() })))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct RoomExists {
    /// The room's id.
    #[serde(rename = "roomID")]
    #[param(format = "id", min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._~-]+$")]
    room: String,
}

#[derive(Serialize, ToSchema)]
struct Exists {
    /// Whether the room exists.
    exists: bool,
}

/// Check whether a quick room exists
///
/// The node asks all reachable nodes before it answers no.
#[utoipa::path(
    get, path = "/room-exists", tag = tag::QUICK, params(RoomExists),
    responses(
        (status = 200, description = "Whether it exists.", body = Exists),
        ErrorResponses<(BadRequest, GuestsDisabled)>,
    ),
    security(()),
)]
async fn check_quick_room(
    State(web): State<Arc<AppState>>,
    Query(query): Query<RoomExists>,
) -> Result<Json<Exists>, Problem> {
    guests_allowed(&web)?;
    let exists = match room_parameter(&query.room)? {
        None => false,
        Some(room) => match web.rooms.find(room).await {
            Ok(_) => true,
            Err(refusal) if refusal.code == ErrorCode::NotFound => false,
            Err(refusal) => return Err(refusal.into()),
        },
    };
    Ok(Json(Exists { exists }))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct RoomMessages {
    /// The room's id.
    #[serde(rename = "roomID")]
    #[param(format = "id", min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._~-]+$")]
    room: String,
    /// The `pos` of a message: list those before it.
    #[param(max_length = 64, pattern = "^[A-Za-z0-9_-]+$")]
    before: Option<String>,
    /// The `next` of a page; the same as `before`, which wins.
    #[param(max_length = 64, pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
    /// The most messages on a page.
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
}

/// What [`List`] lists here, under the name that the document has for it.
type QuickMessage = MessageObject<'static>;

/// List the messages of a quick room
///
/// Newest first.
#[utoipa::path(
    get, path = "/room-messages", tag = tag::QUICK,
    params(RoomMessages, CursorHeader),
    responses(
        (status = 200, description = "A page of messages.", body = List<QuickMessage>),
        ErrorResponses<(BadRequest, GuestsDisabled, NotFound)>,
    ),
    security(()),
)]
async fn list_quick_messages(
    State(web): State<Arc<AppState>>,
    headers: HeaderMap,
    Query(query): Query<RoomMessages>,
) -> Result<Response, Problem> {
    guests_allowed(&web)?;
    let room = room_parameter(&query.room)?.ok_or_else(no_such_room)?;
    // `cursor` is the page mark that every list takes; here it is a place, as `before` is.
    let before = query.before.or(query.cursor).map(|before| parse_pos("before", &before)).transpose()?;
    cursor::wait(&web, &headers).await?;
    web.rooms.find(room).await?;
    let page = web.rooms.history(room, before, query.limit.0, None).await?;
    let items = page.messages.iter().map(|message| MessageObject::new(room, message, false)).collect();
    let next = page.messages.last().filter(|_| page.more).map(|message| message.pos.to_string());
    Ok(Json(List { items, next }).into_response())
}

#[derive(Deserialize, IntoParams)]
struct Ws {
    /// The room's id.
    #[serde(rename = "roomID")]
    #[param(format = "id", min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._~-]+$")]
    room: String,
    /// Your name as a guest, kept in NFKC, trimmed, with runs of blanks as one; without `~`, controls and invisible
    /// characters. It must not look like the name of an account or of somebody in the room. If you are logged in, leave it
    /// out to appear under your own name; with it, your credentials are ignored.
    #[param(min_length = 1, max_length = 32)]
    username: Option<String>,
    /// The last cursor received: the server sends what you missed, and gives you the name of your dead session.
    cursor: Option<String>,
    /// The `pos` of the last message that you have shown or that was acked: the server stamps your posts above it.
    #[param(max_length = 64, pattern = "^[A-Za-z0-9_-]+$")]
    after: Option<String>,
}

/// Open the WebSocket of a room
///
/// Its frames, its close codes and how to resume are in the AsyncAPI document, `/api/asyncapi.json`.
#[utoipa::path(
    get, path = "/ws", tag = tag::QUICK, params(Ws),
    responses(
        (status = 101, description = "The connection is a WebSocket now."),
        ErrorResponses<(
            BadRequest, Unauthenticated, TokenExpired, Forbidden, GuestsDisabled, NotFound, NameInUse, Draining,
            StorageFull,
        )>,
    ),
    security((), ("bearer" = [])),
)]
async fn open_quick_socket(
    State(web): State<Arc<AppState>>,
    headers: HeaderMap,
    Query(query): Query<Ws>,
    upgrade: Upgrade,
) -> Result<Response, Problem> {
    guests_allowed(&web)?;
    web.guard.origins.check(&headers)?;
    let room = room_parameter(&query.room)?;
    let resume_point = match query.cursor {
        None => ResumePoint::Nothing,
        Some(text) => match web.rooms.open(&text) {
            Ok(cursor) => match cursor.owner {
                CursorOwner::Guest { room: of, .. } if Some(of) == room => ResumePoint::Cursor(cursor, text),
                _ => ResumePoint::Unreadable(CursorError::Unreadable),
            },
            Err(error) => ResumePoint::Unreadable(error),
        },
    };
    let username = query.username.as_deref().map(|username| match &resume_point {
        ResumePoint::Cursor(Cursor { owner: CursorOwner::Guest { id, .. }, .. }, _) => {
            guest_name::strip_suffix(username.trim(), *id)
        }
        _ => username,
    });
    let somebody = somebody(&web, &headers, username).await?;
    let after = query.after.map(|after| parse_pos("after", &after)).transpose()?;
    let room = room.ok_or_else(no_such_room)?;
    match web.rooms.find(room).await {
        // His cursor proves that there is one: this node has not heard of it yet.
        Err(refusal)
            if refusal.code == ErrorCode::NotFound && matches!(resume_point, ResumePoint::Cursor(..)) =>
        {
            return Err(Problem::new(
                ErrorCode::Unavailable,
                "this node has yet to hear of the room; use another",
            ));
        }
        found => found?,
    };
    let (guest, name, sender, identity) = match somebody {
        Joiner::User(identity, name) => {
            (GuestId(identity.user.0), name, Sender::User(identity.user), Some(identity))
        }
        Joiner::Guest(name) => {
            let guest = match &resume_point {
                ResumePoint::Cursor(Cursor { owner: CursorOwner::Guest { id, .. }, .. }, _) => *id,
                _ => GuestId(Uuid::new_v4().into_bytes()),
            };
            (guest, name.clone(), Sender::Guest { id: guest, name }, None)
        }
    };
    let name_in_use = || {
        Problem::new(
            ErrorCode::NameInUse,
            format!("somebody in this room is called {name}, or looks like it"),
        )
    };
    if !upgrade.is_asked_for() && !web.presence.is_free(room, guest, &name) {
        return Err(name_in_use());
    }
    let admitted = match upgrade.admit(&web) {
        Ok(admitted) => admitted,
        Err(response) => return Ok(*response),
    };
    let lease = web.presence.enter(room, guest, name.clone(), identity.is_some());
    let lease = lease.map_err(|_| name_in_use())?;
    let client = admitted.client();
    let participant = Participant { room, guest, name, sender, identity, client, lease, resume_point, after };
    Ok(admitted.run(&[], async move |socket| session::run(web, participant, socket).await))
}

/// Who comes into a quick room.
enum Joiner {
    /// A guest, or a user who joins as one.
    Guest(GuestName),
    /// A user under their own name.
    User(Identity, GuestName),
}

async fn somebody(web: &AppState, headers: &HeaderMap, username: Option<&str>) -> Result<Joiner, Refusal> {
    if let Some(username) = username {
        let name = GuestName::parse(username).map_err(|error| bad_request(format!("username {error}")))?;
        if web.rooms.is_account_name(&name).await? {
            let detail = format!(
                "{name} is the name of an account, or looks like one; log in to it, or choose another name"
            );
            return Err(Refusal::new(ErrorCode::NameInUse, detail));
        }
        return Ok(Joiner::Guest(name));
    }
    let identity = caller::identity(web, &Method::GET, headers).await?;
    let identity = identity.ok_or_else(|| bad_request("say your name (username), or log in"))?;
    let user = web.live.around(identity.user).await?.user;
    if user.username.is_empty() {
        return Err(Refusal::new(ErrorCode::Unavailable, "the account is gone"));
    }
    Ok(Joiner::User(identity, GuestName::from_username(&user.username)))
}
