//! Quick rooms: the three endpoints of the original platform, and the list of earlier messages.

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
    frame::client::MessageObject, merge::guest_name, texts,
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    api::{Json, Limit, List, Query, cursor, object, refuse_body},
    socket::{Upgrade, bad_request, parse_pos},
};
use crate::{
    credentials::CredentialReader,
    guard::{ClientAddress, Guard, Quota},
    openapi::{
        CursorHeader,
        errors::{
            BadRequest, Draining, ErrorResponses, Forbidden, GuestsDisabled, Invalid, NameInUse, NotFound,
            StorageFull, TokenExpired, TooLarge, Unauthenticated,
        },
        tag,
    },
    problem::{self, Problem},
    service::{Cursors, Identity, QuickRooms, Refusal},
    session::{self, Participant, ResumePoint, SessionDeps},
    state::{AppState, WebSettings},
};

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(create_quick_room))
        .routes(routes!(check_quick_room))
        .routes(routes!(list_quick_messages))
        .routes(routes!(open_quick_socket))
}

fn no_such_room() -> Refusal {
    Refusal::new(ErrorCode::NotFound, texts::rooms::NO_SUCH_ROOM)
}

fn check_quick_rooms_enabled(settings: &WebSettings) -> Result<(), Refusal> {
    if settings.quick_rooms_enabled {
        return Ok(());
    }
    Err(Refusal::new(ErrorCode::GuestsDisabled, texts::rooms::QUICK_ROOMS_OFF))
}

fn room_parameter(text: &str) -> Result<Option<RoomId>, Refusal> {
    RoomId::parse(text).map_err(|error| bad_request(format!("roomID: {error}")))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateRoom {
    /// The name of the room, normalised like the names of guests.
    #[schema(min_length = 1, max_length = 80)]
    name: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct CreatedRoom {
    /// The id of the room. Everybody who knows it can join.
    #[serde(rename = "roomID")]
    #[schema(format = "id")]
    room: String,
}

/// Create a quick room
///
/// The body may be empty. The response waits until every reachable node has the room, for 250 ms at most.
#[utoipa::path(
    post, path = "/create-room", tag = tag::QUICK,
    request_body = Option<CreateRoom>,
    responses(
        (status = 201, description = "The room was created.", body = CreatedRoom, links(
            ("exists" = (operation_id = "checkQuickRoom", parameters(("roomID" = "$response.body#/roomID")))),
            ("messages" = (operation_id = "listQuickMessages", parameters(("roomID" = "$response.body#/roomID")))),
            ("talk" = (operation_id = "openQuickSocket", parameters(("roomID" = "$response.body#/roomID")))),
        )),
        ErrorResponses<(BadRequest, GuestsDisabled, TooLarge, Invalid)>,
    ),
    security(()),
)]
async fn create_quick_room(
    State(settings): State<Arc<WebSettings>>,
    State(quick_rooms): State<Arc<dyn QuickRooms>>,
    State(guard): State<Arc<Guard>>,
    Extension(client): Extension<ClientAddress>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<CreatedRoom>), Problem> {
    check_quick_rooms_enabled(&settings)?;
    let body = body.map_err(|rejection| refuse_body(&rejection))?;
    let request = match body.trim_ascii() {
        b"" | b"null" => None,
        body => Some(object::<CreateRoom>(body)?),
    };
    let name = request.and_then(|request| request.name).map(|name| RoomName::parse(&name)).transpose();
    let mut invalid = problem::Invalid::default();
    let Some(name) = invalid.check("name", name) else { return Err(invalid.into()) };
    guard.rates.check(Quota::RoomsPerAddress, &client.network())?;
    let room = quick_rooms.create(name).await?;
    Ok((StatusCode::CREATED, Json(CreatedRoom { room: room.to_string() })))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct RoomExistsQuery {
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
/// Returns false only after asking the reachable nodes.
#[utoipa::path(
    get, path = "/room-exists", tag = tag::QUICK, params(RoomExistsQuery),
    responses(
        (status = 200, description = "Whether the room exists.", body = Exists),
        ErrorResponses<(BadRequest, GuestsDisabled)>,
    ),
    security(()),
)]
async fn check_quick_room(
    State(settings): State<Arc<WebSettings>>,
    State(quick_rooms): State<Arc<dyn QuickRooms>>,
    Query(query): Query<RoomExistsQuery>,
) -> Result<Json<Exists>, Problem> {
    check_quick_rooms_enabled(&settings)?;
    let exists = match room_parameter(&query.room)? {
        None => false,
        Some(room) => match quick_rooms.find(room).await {
            Ok(_) => true,
            Err(refusal) if refusal.code == ErrorCode::NotFound => false,
            Err(refusal) => return Err(refusal.into()),
        },
    };
    Ok(Json(Exists { exists }))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct RoomMessagesQuery {
    /// The room's id.
    #[serde(rename = "roomID")]
    #[param(format = "id", min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._~-]+$")]
    room: String,
    /// The `pos` of a message: returns the messages before it.
    #[param(max_length = 64, pattern = "^[A-Za-z0-9_-]+$")]
    before: Option<String>,
    /// The `next` of a page. Means the same as `before`, which takes precedence.
    #[param(max_length = 64, pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
    /// The most messages on a page.
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
}

/// A message of a quick room, under its name in the document.
type QuickMessage = MessageObject<'static>;

/// List the messages of a quick room
///
/// Returns the newest messages first.
#[utoipa::path(
    get, path = "/room-messages", tag = tag::QUICK,
    params(RoomMessagesQuery, CursorHeader),
    responses(
        (status = 200, description = "A page of messages.", body = List<QuickMessage>),
        ErrorResponses<(BadRequest, GuestsDisabled, NotFound)>,
    ),
    security(()),
)]
async fn list_quick_messages(
    State(settings): State<Arc<WebSettings>>,
    State(quick_rooms): State<Arc<dyn QuickRooms>>,
    State(cursors): State<Arc<dyn Cursors>>,
    headers: HeaderMap,
    Query(query): Query<RoomMessagesQuery>,
) -> Result<Response, Problem> {
    check_quick_rooms_enabled(&settings)?;
    let room = room_parameter(&query.room)?.ok_or_else(no_such_room)?;
    // Every list accepts the `next` of a page as `cursor`. In this list it is a position, like `before`.
    let before = query.before.map(|before| parse_pos("before", &before)).transpose()?;
    let cursor = query.cursor.map(|cursor| parse_pos("cursor", &cursor)).transpose()?;
    cursor::wait(&*cursors, &headers).await?;
    quick_rooms.find(room).await?;
    let page = quick_rooms.history(room, before.or(cursor), query.limit.0, None).await?;
    let items = page.messages.iter().map(|message| MessageObject::new(room, message, false)).collect();
    let next = page.messages.last().filter(|_| page.more).map(|message| message.pos.to_string());
    Ok(Json(List { items, next }).into_response())
}

#[derive(Deserialize, IntoParams)]
struct WsQuery {
    /// The room's id.
    #[serde(rename = "roomID")]
    #[param(format = "id", min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._~-]+$")]
    room: String,
    /// Your name as a guest. The server stores it in NFKC, trimmed, with runs of blanks as one. It must not contain `~`,
    /// control characters or invisible characters, and must not look like the name of an account or of somebody in the room.
    /// If you are logged in, leave it out to join under your username; credentials are ignored if you give a name.
    #[param(min_length = 1, max_length = 32)]
    username: Option<String>,
    /// The last cursor that you received. The server sends what you missed, and you keep your name even if your old session
    /// still has it.
    cursor: Option<String>,
    /// The `pos` of the last message that you have shown or got an ack for: your messages sort after it.
    #[param(max_length = 64, pattern = "^[A-Za-z0-9_-]+$")]
    after: Option<String>,
}

/// Open the WebSocket of a room
///
/// The AsyncAPI document, `/api/asyncapi.json`, describes its frames, its close codes and how to resume.
#[utoipa::path(
    get, path = "/ws", tag = tag::QUICK, params(WsQuery),
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
    State(settings): State<Arc<WebSettings>>,
    State(credentials): State<CredentialReader>,
    State(deps): State<SessionDeps>,
    headers: HeaderMap,
    Query(query): Query<WsQuery>,
    upgrade: Upgrade,
) -> Result<Response, Problem> {
    check_quick_rooms_enabled(&settings)?;
    deps.guard.origins.check(&headers)?;
    let room = room_parameter(&query.room)?;
    let resume_point = match query.cursor {
        None => ResumePoint::Nothing,
        Some(text) => match deps.cursors.open(&text).await {
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
    let joiner = joiner(&deps, &credentials, &headers, username).await?;
    let last_seen_pos = query.after.map(|after| parse_pos("after", &after)).transpose()?;
    let room = room.ok_or_else(no_such_room)?;
    match deps.quick_rooms.find(room).await {
        // The cursor proves that the room exists, so this node does not know it yet.
        Err(refusal)
            if refusal.code == ErrorCode::NotFound && matches!(resume_point, ResumePoint::Cursor(..)) =>
        {
            return Err(Problem::new(ErrorCode::Unavailable, texts::node::ROOM_UNKNOWN_YET));
        }
        found => found?,
    };
    let (id, name, sender, identity) = match joiner {
        Joiner::User(identity, name) => {
            (GuestId(identity.user.0), name, Sender::User(identity.user), Some(identity))
        }
        Joiner::Guest(name) => {
            let id = match &resume_point {
                ResumePoint::Cursor(Cursor { owner: CursorOwner::Guest { id, .. }, .. }, _) => *id,
                _ => GuestId(Uuid::new_v4().into_bytes()),
            };
            (id, name.clone(), Sender::Guest { id, name }, None)
        }
    };
    let name_in_use = || Problem::new(ErrorCode::NameInUse, texts::rooms::name_in_use(&name));
    // For real sockets `enter` checks the name; this answers `probe.js`.
    if !upgrade.is_asked_for() && !deps.presence.is_free(room, id, &name) {
        return Err(name_in_use());
    }
    let admitted = match upgrade.admit(&deps) {
        Ok(admitted) => admitted,
        Err(response) => return Ok(*response),
    };
    let lease = deps.presence.enter(room, id, name.clone(), identity.is_some());
    let lease = lease.map_err(|_| name_in_use())?;
    let client = admitted.client();
    let participant =
        Participant { room, id, name, sender, identity, client, lease, resume_point, last_seen_pos };
    let (deps, participant) = (Box::new(deps), Box::new(participant));
    Ok(admitted.run(&[], async move |socket| session::quick::run(deps, participant, socket).await))
}

/// The person who joins a quick room.
enum Joiner {
    /// A guest, or a user who joins as one.
    Guest(GuestName),
    /// A user who joins under their username.
    User(Identity, GuestName),
}

async fn joiner(
    deps: &SessionDeps,
    credentials: &CredentialReader,
    headers: &HeaderMap,
    username: Option<&str>,
) -> Result<Joiner, Refusal> {
    if let Some(username) = username {
        let name = GuestName::parse(username).map_err(|error| bad_request(format!("username {error}")))?;
        if deps.quick_rooms.is_account_name(&name).await? {
            return Err(Refusal::new(ErrorCode::NameInUse, texts::rooms::name_of_account(&name)));
        }
        return Ok(Joiner::Guest(name));
    }
    let identity = credentials.identity(&Method::GET, headers).await?;
    let identity = identity.ok_or_else(|| bad_request(texts::request::USERNAME_MISSING))?;
    let user = deps.live.user_context(identity.user).await?.user;
    if user.username.is_empty() {
        return Err(Refusal::new(ErrorCode::Unauthenticated, texts::accounts::DELETED));
    }
    Ok(Joiner::User(identity, GuestName::from_username(&user.username)))
}
