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
        errors::{ErrorResponses, Forbidden, Invalid, NotFound},
        tag,
    },
    problem::{self, Problem},
    routes::AppState,
    service::{Page, PageRequest, RoomChange},
};

/// All of them, with their members and invites.
pub fn routes() -> OpenApiRouter<Arc<AppState>> {
    OpenApiRouter::default()
        .routes(routes!(list_rooms, create_room))
        .routes(routes!(list_public_rooms))
        .routes(routes!(get_room, change_room, delete_room))
        .routes(routes!(join_room))
        .routes(routes!(leave_room))
        .routes(routes!(get_notify_level, set_notify_level))
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
    /// The name, trimmed and without control characters.
    #[schema(min_length = 1, max_length = 80)]
    name: String,
    /// The topic, trimmed and without control characters; may be empty.
    #[schema(max_length = 250)]
    topic: Option<String>,
    /// Who may find the room and join it.
    visibility: Visibility,
}

/// Create a room
///
/// You are its owner. When the answer arrives, the room exists on every reachable node. You may be in 500 rooms.
#[utoipa::path(
    post, path = "/api/v1/rooms", tag = tag::ROOMS,
    responses((status = 201, description = "The room.", body = Room), ErrorResponses<(Forbidden, Invalid)>),
)]
async fn create_room(
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

/// List your rooms
///
/// Direct rooms too. The room with the latest message, or that you joined last, comes first. The order stays the same from
/// page to page.
#[utoipa::path(
    get, path = "/api/v1/rooms", tag = tag::ROOMS, params(Pages),
    responses((status = 200, description = "A page of rooms.", body = List<Room>)),
)]
async fn list_rooms(
    State(web): State<Arc<AppState>>,
    Caller(who): Caller,
    Query(pages): Query<Pages>,
) -> Result<Json<List<Room>>, Problem> {
    Ok(Json(web.member_rooms.mine(who.user, pages.part()?).await?.into()))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct PublicRooms {
    /// The beginning of a name, in any case of letters.
    #[param(max_length = 80)]
    q: Option<String>,
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
    /// The `next` of a page.
    #[param(inline)]
    cursor: Option<PageMark>,
}

/// List the public rooms that you may join
///
/// By name, without those that you are in or banned from. A page may therefore be shorter than its limit.
#[utoipa::path(
    get, path = "/api/v1/rooms/public", tag = tag::ROOMS, params(PublicRooms),
    responses((status = 200, description = "A page of rooms.", body = List<Room>), ErrorResponses<Invalid>),
)]
async fn list_public_rooms(
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

/// Get a room
///
/// One of your rooms, a public room, or a quick room. The answer is 404 for any other.
#[utoipa::path(
    get, path = "/api/v1/rooms/{id}", tag = tag::ROOMS, params(OfRoom),
    responses((status = 200, description = "The room.", body = Room), ErrorResponses<NotFound>),
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
    /// The name, trimmed and without control characters.
    #[schema(min_length = 1, max_length = 80)]
    name: Option<String>,
    /// The topic, trimmed and without control characters; may be empty.
    #[schema(max_length = 250)]
    topic: Option<String>,
    /// Who may find the room and join it. Only owners may change it.
    visibility: Option<Visibility>,
}

/// Change a room
///
/// Owners and moderators may change its name and topic, owners its visibility.
#[utoipa::path(
    patch, path = "/api/v1/rooms/{id}", tag = tag::ROOMS, params(OfRoom),
    responses(
        (status = 200, description = "The room as it is now.", body = Room),
        ErrorResponses<(Forbidden, NotFound, Invalid)>,
    ),
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
/// With its messages, on every node, for good. Only owners may.
#[utoipa::path(
    delete, path = "/api/v1/rooms/{id}", tag = tag::ROOMS, params(OfRoom),
    responses((status = 204, description = "The room was deleted."), ErrorResponses<(Forbidden, NotFound)>),
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
/// Nothing changes if you are in it. You are refused if you are banned. To join a private room you need an invite, or a
/// contact who adds you. A room may have 10,000 members, and you may be in 500 rooms.
#[utoipa::path(
    post, path = "/api/v1/rooms/{id}/join", tag = tag::ROOMS, params(OfRoom),
    responses((status = 200, description = "The room.", body = Room), ErrorResponses<(Forbidden, NotFound)>),
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
/// A room without an owner then belongs to its longest-standing moderator, or else member. A room without members is
/// deleted.
#[utoipa::path(
    post, path = "/api/v1/rooms/{id}/leave", tag = tag::ROOMS, params(OfRoom),
    responses((status = 204, description = "You left the room."), ErrorResponses<(Forbidden, NotFound)>),
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
    /// What to notify about.
    level: NotifyLevel,
}

/// Get the notification level of a room
///
/// The level in your settings, unless you set one for this room.
#[utoipa::path(
    get, path = "/api/v1/rooms/{id}/notify", tag = tag::ROOMS, params(OfRoom),
    responses((status = 200, description = "The level.", body = Notify), ErrorResponses<(Forbidden, NotFound)>),
)]
async fn get_notify_level(
    State(web): State<Arc<AppState>>,
    Caller(who): Caller,
    Path(of): Path<OfRoom>,
) -> Result<Json<Notify>, Problem> {
    let level = web.member_rooms.notify_level(who.user, of.room()?).await?.into();
    Ok(Json(Notify { level }))
}

/// Set the notification level of a room
#[utoipa::path(
    put, path = "/api/v1/rooms/{id}/notify", tag = tag::ROOMS, params(OfRoom),
    responses((status = 200, description = "The level.", body = Notify), ErrorResponses<(Forbidden, NotFound)>),
)]
async fn set_notify_level(
    State(web): State<Arc<AppState>>,
    Caller(who): Caller,
    Path(of): Path<OfRoom>,
    Json(body): Json<Notify>,
) -> Result<Json<Notify>, Problem> {
    web.member_rooms.set_notify_level(who.user, of.room()?, body.level.into()).await?;
    Ok(Json(body))
}
