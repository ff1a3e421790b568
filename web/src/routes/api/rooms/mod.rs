//! Rooms of members: made, found, entered, changed, left.

mod invites;
mod members;

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use starling_protocol::{ErrorCode, RoomName, Topic, limits::ROOM_NAME_CHARS_MAX};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Caller, Json, Limit, List, PageMark, Path, Query, messages::OfRoom};
use crate::{
    objects::{NotifyLevel, Room, RoomKind, Visibility},
    openapi::{
        refuses::{Forbidden, Invalid, NotFound, Refuses},
        tag,
    },
    problem::{self, Problem},
    routes::AppState,
    service::{Page, PageRequest, RoomChange},
};

/// All of them, with their members and invites.
pub fn routes() -> OpenApiRouter<Arc<AppState>> {
    OpenApiRouter::default()
        .routes(routes!(my_rooms, open_room))
        .routes(routes!(public_rooms))
        .routes(routes!(get_room, change_room, delete_room))
        .routes(routes!(join_room))
        .routes(routes!(leave_room))
        .routes(routes!(get_notify, set_notify))
        .merge(members::routes())
        .merge(invites::routes())
}

/// A list that knows nothing but pages.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Pages {
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
    /// The `next` of a page.
    #[param(inline)]
    cursor: Option<PageMark>,
}

fn part(limit: Limit, cursor: Option<PageMark>) -> Result<PageRequest, Problem> {
    Ok(PageRequest { from: cursor.map(|mark| mark.parse()).transpose()?, limit: limit.0 })
}

impl Pages {
    fn part(self) -> Result<PageRequest, Problem> {
        part(self.limit, self.cursor)
    }
}

impl<T> From<Page<T>> for List<T> {
    fn from(Page { items, next }: Page<T>) -> Self {
        Self { items, next: next.map(|mark| mark.to_string()) }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewRoom {
    /// Trimmed, and without control characters.
    #[schema(min_length = 1, max_length = 80)]
    name: String,
    /// Trimmed, and without control characters; may be empty.
    #[schema(max_length = 250)]
    topic: Option<String>,
    visibility: Visibility,
}

/// Make a room
///
/// Its maker owns it. When the answer arrives, the room is there on every reachable node. A user may be in 500 rooms.
#[utoipa::path(
    post, path = "/api/v1/rooms", tag = tag::ROOMS,
    responses((status = 201, description = "The room.", body = Room), Refuses<(Forbidden, Invalid)>),
    security(("bearer" = []), ("cookie" = [])),
)]
async fn open_room(
    State(web): State<Arc<AppState>>,
    Caller(by): Caller,
    Json(body): Json<NewRoom>,
) -> Result<(StatusCode, Json<Room>), Problem> {
    let mut invalid = problem::Invalid::default();
    let name = invalid.check("name", RoomName::parse(&body.name));
    let topic = invalid.check("topic", Topic::parse(&body.topic.unwrap_or_default()));
    let (Some(name), Some(topic)) = (name, topic) else { return Err(invalid.into()) };
    let room = crate::service::NewRoom { name, topic, visibility: body.visibility.into() };
    Ok((StatusCode::CREATED, Json(web.member_rooms.open(by.user, room).await?)))
}

/// The rooms that one is in
///
/// Direct rooms among them. Where something was said last, or which one has joined last, comes first; while one goes
/// from page to page, each room keeps its place.
#[utoipa::path(
    get, path = "/api/v1/rooms", tag = tag::ROOMS, params(Pages),
    responses((status = 200, description = "A page of them.", body = List<Room>)),
    security(("bearer" = []), ("cookie" = [])),
)]
async fn my_rooms(
    State(web): State<Arc<AppState>>,
    Caller(who): Caller,
    Query(pages): Query<Pages>,
) -> Result<Json<List<Room>>, Problem> {
    Ok(Json(web.member_rooms.mine(who.user, pages.part()?).await?.into()))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct PublicRooms {
    /// Only those whose names begin so, in any case of letters.
    #[param(max_length = 80)]
    q: Option<String>,
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
    /// The `next` of a page.
    #[param(inline)]
    cursor: Option<PageMark>,
}

/// The rooms that one may join
///
/// All public ones in the order of their names, but none in which one is already or from which one is banned; because
/// of these a page may be shorter than its limit.
#[utoipa::path(
    get, path = "/api/v1/rooms/public", tag = tag::ROOMS, params(PublicRooms),
    responses((status = 200, description = "A page of them.", body = List<Room>), Refuses<Invalid>),
    security(("bearer" = []), ("cookie" = [])),
)]
async fn public_rooms(
    State(web): State<Arc<AppState>>,
    Caller(who): Caller,
    Query(PublicRooms { q, limit, cursor }): Query<PublicRooms>,
) -> Result<Json<List<Room>>, Problem> {
    let q = q.unwrap_or_default();
    let fits = q.chars().nth(ROOM_NAME_CHARS_MAX).is_none();
    let mut invalid = problem::Invalid::default();
    let too_long = || format!("must be at most {ROOM_NAME_CHARS_MAX} characters");
    if invalid.check("q", fits.then_some(()).ok_or_else(too_long)).is_none() {
        return Err(invalid.into());
    }
    let beginning = q.trim_start().to_owned();
    Ok(Json(web.member_rooms.public(who.user, beginning, part(limit, cursor)?).await?.into()))
}

/// A room
///
/// One that the asker is in, or a public one; a quick room is shown to whoever knows its id. To others it is not there.
#[utoipa::path(
    get, path = "/api/v1/rooms/{id}", tag = tag::ROOMS, params(OfRoom),
    responses((status = 200, description = "The room.", body = Room), Refuses<NotFound>),
    security(("bearer" = []), ("cookie" = [])),
)]
async fn get_room(
    State(web): State<Arc<AppState>>,
    Caller(who): Caller,
    Path(of): Path<OfRoom>,
) -> Result<Json<Room>, Problem> {
    let room = web.member_rooms.room(who.user, of.room()?).await?;
    if room.kind == RoomKind::Quick && !web.settings.guests_enabled {
        return Err(Problem::new(ErrorCode::NotFound, "there is no such room"));
    }
    Ok(Json(room))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RoomPatch {
    /// Trimmed, and without control characters.
    #[schema(min_length = 1, max_length = 80)]
    name: Option<String>,
    /// Trimmed, and without control characters; may be empty.
    #[schema(max_length = 250)]
    topic: Option<String>,
    /// The owner's to decide.
    visibility: Option<Visibility>,
}

/// Change a room
///
/// Owners and moderators change its name and its topic, owners who may find it.
#[utoipa::path(
    patch, path = "/api/v1/rooms/{id}", tag = tag::ROOMS, params(OfRoom),
    responses(
        (status = 200, description = "As it is now.", body = Room),
        Refuses<(Forbidden, NotFound, Invalid)>,
    ),
    security(("bearer" = []), ("cookie" = [])),
)]
async fn change_room(
    State(web): State<Arc<AppState>>,
    Caller(by): Caller,
    Path(of): Path<OfRoom>,
    Json(body): Json<RoomPatch>,
) -> Result<Json<Room>, Problem> {
    let room = of.room()?;
    let mut invalid = problem::Invalid::default();
    let name = invalid.check("name", body.name.map(|name| RoomName::parse(&name)).transpose());
    let topic = invalid.check("topic", body.topic.map(|topic| Topic::parse(&topic)).transpose());
    let (Some(name), Some(topic)) = (name, topic) else { return Err(invalid.into()) };
    let change = RoomChange { name, topic, visibility: body.visibility.map(Into::into) };
    Ok(Json(web.member_rooms.change(by.user, room, change).await?))
}

/// Delete a room
///
/// With all that is in it, on every node, for good. Only owners may.
#[utoipa::path(
    delete, path = "/api/v1/rooms/{id}", tag = tag::ROOMS, params(OfRoom),
    responses((status = 204, description = "It is gone."), Refuses<(Forbidden, NotFound)>),
    security(("bearer" = []), ("cookie" = [])),
)]
async fn delete_room(
    State(web): State<Arc<AppState>>,
    Caller(by): Caller,
    Path(of): Path<OfRoom>,
) -> Result<StatusCode, Problem> {
    web.member_rooms.delete(by.user, of.room()?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Join a public room
///
/// Nothing changes for who is in it. Whoever is banned is refused; private rooms are entered by an invite, or by a
/// contact who adds one. A room may have 10,000 members, and a user be in 500 rooms.
#[utoipa::path(
    post, path = "/api/v1/rooms/{id}/join", tag = tag::ROOMS, params(OfRoom),
    responses((status = 200, description = "The room.", body = Room), Refuses<(Forbidden, NotFound)>),
    security(("bearer" = []), ("cookie" = [])),
)]
async fn join_room(
    State(web): State<Arc<AppState>>,
    Caller(who): Caller,
    Path(of): Path<OfRoom>,
) -> Result<Json<Room>, Problem> {
    Ok(Json(web.member_rooms.join(who.user, of.room()?).await?))
}

/// Leave a room
///
/// A room that is left without an owner belongs to its longest-standing moderator, else member; with its last member it
/// is deleted.
#[utoipa::path(
    post, path = "/api/v1/rooms/{id}/leave", tag = tag::ROOMS, params(OfRoom),
    responses((status = 204, description = "Left."), Refuses<(Forbidden, NotFound)>),
    security(("bearer" = []), ("cookie" = [])),
)]
async fn leave_room(
    State(web): State<Arc<AppState>>,
    Caller(who): Caller,
    Path(of): Path<OfRoom>,
) -> Result<StatusCode, Problem> {
    web.member_rooms.leave(who.user, of.room()?).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Notify {
    level: NotifyLevel,
}

/// Of what in a room one wants to be told
///
/// As it is in one's settings, until one says otherwise of this room.
#[utoipa::path(
    get, path = "/api/v1/rooms/{id}/notify", tag = tag::ROOMS, params(OfRoom),
    responses((status = 200, description = "The level.", body = Notify), Refuses<(Forbidden, NotFound)>),
    security(("bearer" = []), ("cookie" = [])),
)]
async fn get_notify(
    State(web): State<Arc<AppState>>,
    Caller(who): Caller,
    Path(of): Path<OfRoom>,
) -> Result<Json<Notify>, Problem> {
    let level = web.member_rooms.notify_level(who.user, of.room()?).await?.into();
    Ok(Json(Notify { level }))
}

/// Say of what in a room one wants to be told
#[utoipa::path(
    put, path = "/api/v1/rooms/{id}/notify", tag = tag::ROOMS, params(OfRoom),
    responses((status = 200, description = "The level.", body = Notify), Refuses<(Forbidden, NotFound)>),
    security(("bearer" = []), ("cookie" = [])),
)]
async fn set_notify(
    State(web): State<Arc<AppState>>,
    Caller(who): Caller,
    Path(of): Path<OfRoom>,
    Json(body): Json<Notify>,
) -> Result<Json<Notify>, Problem> {
    web.member_rooms.set_notify_level(who.user, of.room()?, body.level.into()).await?;
    Ok(Json(body))
}
