//! Member rooms: create, find, join, change, leave and delete.

mod invites;
mod members;

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use starling_protocol::{ErrorCode, RoomName, Topic, limits::ROOM_NAME_CHARS_MAX, text::TextError, texts};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    caller::Caller,
    extract::{Json, Path, Query},
    list::{Limit, List, PageParam, PageQuery, page_request},
    messages::RoomPath,
};
use crate::{
    objects::{NotifyLevel, Room, RoomKind, Visibility},
    openapi::{
        errors::{ErrorResponses, Forbidden, Invalid, NotFound},
        tag,
    },
    problem::{self, Problem},
    service::{MemberRooms, RoomUpdate},
    state::{AppState, WebSettings},
};

/// The routes, with those of members and invites.
pub fn routes() -> OpenApiRouter<AppState> {
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

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewRoom {
    /// The name, trimmed and without control characters.
    #[schema(min_length = 1, max_length = 80)]
    name: String,
    /// The topic, trimmed, without control characters and invisible characters; may be empty.
    #[schema(max_length = 250)]
    topic: Option<String>,
    /// The people who may find the room and join it.
    visibility: Visibility,
}

/// Create a room
///
/// You become its owner. The response waits until every reachable node has the room, for 250 ms at most. You may be
/// in 500 rooms.
#[utoipa::path(
    post, path = "/api/v1/rooms", tag = tag::ROOMS,
    responses((status = 201, description = "The room.", body = Room), ErrorResponses<(Forbidden, Invalid)>),
)]
async fn create_room(
    State(member_rooms): State<Arc<dyn MemberRooms>>,
    Caller(by): Caller,
    Json(body): Json<NewRoom>,
) -> Result<(StatusCode, Json<Room>), Problem> {
    let mut invalid = problem::Invalid::default();
    let name = invalid.check("name", RoomName::parse(&body.name));
    let topic = invalid.check("topic", Topic::parse(&body.topic.unwrap_or_default()));
    let (Some(name), Some(topic)) = (name, topic) else { return Err(invalid.into()) };
    let room = crate::service::NewRoom { name, topic, visibility: body.visibility.into() };
    Ok((StatusCode::CREATED, Json(member_rooms.create(by.user, room).await?)))
}

/// List your rooms
///
/// Includes direct rooms. The room with the latest activity comes first: a message, or your joining. The order stays the same
/// from page to page.
#[utoipa::path(
    get, path = "/api/v1/rooms", tag = tag::ROOMS, params(PageQuery),
    responses((status = 200, description = "A page of rooms.", body = List<Room>)),
)]
async fn list_rooms(
    State(member_rooms): State<Arc<dyn MemberRooms>>,
    Caller(who): Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<List<Room>>, Problem> {
    Ok(Json(member_rooms.rooms_of(who.user, page.request()?).await?.into()))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct PublicRoomsQuery {
    /// The beginning of a name, in any case of letters.
    #[param(max_length = 80)]
    q: Option<String>,
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
    /// The `next` of a page.
    #[param(inline)]
    cursor: Option<PageParam>,
}

/// List the public rooms that you may join
///
/// Sorted by name. Rooms that you are in or banned from are left out, so a page may be shorter than its limit.
#[utoipa::path(
    get, path = "/api/v1/rooms/public", tag = tag::ROOMS, params(PublicRoomsQuery),
    responses((status = 200, description = "A page of rooms.", body = List<Room>), ErrorResponses<Invalid>),
)]
async fn list_public_rooms(
    State(member_rooms): State<Arc<dyn MemberRooms>>,
    Caller(who): Caller,
    Query(PublicRoomsQuery { q, limit, cursor }): Query<PublicRoomsQuery>,
) -> Result<Json<List<Room>>, Problem> {
    let q = q.unwrap_or_default();
    let fits = q.chars().nth(ROOM_NAME_CHARS_MAX).is_none();
    let mut invalid = problem::Invalid::default();
    let too_long = TextError::TooLong(ROOM_NAME_CHARS_MAX);
    if invalid.check("q", fits.then_some(()).ok_or(too_long)).is_none() {
        return Err(invalid.into());
    }
    let prefix = q.trim_start().to_owned();
    Ok(Json(member_rooms.search_public(who.user, prefix, page_request(limit, cursor)?).await?.into()))
}

/// Get a room
///
/// Returns one of your rooms, a public room, or a quick room; 404 for any other.
#[utoipa::path(
    get, path = "/api/v1/rooms/{id}", tag = tag::ROOMS, params(RoomPath),
    responses((status = 200, description = "The room.", body = Room), ErrorResponses<NotFound>),
)]
async fn get_room(
    State(member_rooms): State<Arc<dyn MemberRooms>>,
    State(settings): State<Arc<WebSettings>>,
    Caller(who): Caller,
    Path(path): Path<RoomPath>,
) -> Result<Json<Room>, Problem> {
    let room = member_rooms.room(who.user, path.room()?).await?;
    if room.kind == RoomKind::Quick && !settings.quick_rooms_enabled {
        return Err(Problem::new(ErrorCode::NotFound, texts::rooms::NO_SUCH_ROOM));
    }
    Ok(Json(room))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RoomPatch {
    /// The name, trimmed and without control characters.
    #[schema(min_length = 1, max_length = 80)]
    name: Option<String>,
    /// The topic, trimmed, without control characters and invisible characters; may be empty.
    #[schema(max_length = 250)]
    topic: Option<String>,
    /// The people who may find the room and join it. Only owners may change this.
    visibility: Option<Visibility>,
}

/// Change a room
///
/// Owners and moderators may change the name and the topic, owners also the visibility.
#[utoipa::path(
    patch, path = "/api/v1/rooms/{id}", tag = tag::ROOMS, params(RoomPath),
    responses(
        (status = 200, description = "The room as it is now.", body = Room),
        ErrorResponses<(Forbidden, NotFound, Invalid)>,
    ),
)]
async fn change_room(
    State(member_rooms): State<Arc<dyn MemberRooms>>,
    Caller(by): Caller,
    Path(path): Path<RoomPath>,
    Json(body): Json<RoomPatch>,
) -> Result<Json<Room>, Problem> {
    let room = path.room()?;
    let mut invalid = problem::Invalid::default();
    let name = invalid.check("name", body.name.map(|name| RoomName::parse(&name)).transpose());
    let topic = invalid.check("topic", body.topic.map(|topic| Topic::parse(&topic)).transpose());
    let (Some(name), Some(topic)) = (name, topic) else { return Err(invalid.into()) };
    let change = RoomUpdate { name, topic, visibility: body.visibility.map(Into::into) };
    Ok(Json(member_rooms.change(by.user, room, change).await?))
}

/// Delete a room
///
/// Deletes the room and its messages on every node, for good. Only owners may do this.
#[utoipa::path(
    delete, path = "/api/v1/rooms/{id}", tag = tag::ROOMS, params(RoomPath),
    responses((status = 204, description = "The room was deleted."), ErrorResponses<(Forbidden, NotFound)>),
)]
async fn delete_room(
    State(member_rooms): State<Arc<dyn MemberRooms>>,
    Caller(by): Caller,
    Path(path): Path<RoomPath>,
) -> Result<StatusCode, Problem> {
    member_rooms.delete(by.user, path.room()?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Join a public room
///
/// Nothing changes if you are already in it. You can't join a room that you are banned from. To join a private room you need
/// an invite, or a contact who adds you. A room may have 10,000 members, and you may be in 500 rooms.
#[utoipa::path(
    post, path = "/api/v1/rooms/{id}/join", tag = tag::ROOMS, params(RoomPath),
    responses((status = 200, description = "The room.", body = Room), ErrorResponses<(Forbidden, NotFound)>),
)]
async fn join_room(
    State(member_rooms): State<Arc<dyn MemberRooms>>,
    Caller(who): Caller,
    Path(path): Path<RoomPath>,
) -> Result<Json<Room>, Problem> {
    Ok(Json(member_rooms.join(who.user, path.room()?).await?))
}

/// Leave a room
///
/// If no owner is left, the longest-standing moderator, or else member, becomes the owner. A room without members is deleted.
#[utoipa::path(
    post, path = "/api/v1/rooms/{id}/leave", tag = tag::ROOMS, params(RoomPath),
    responses((status = 204, description = "You left the room."), ErrorResponses<(Forbidden, NotFound)>),
)]
async fn leave_room(
    State(member_rooms): State<Arc<dyn MemberRooms>>,
    Caller(who): Caller,
    Path(path): Path<RoomPath>,
) -> Result<StatusCode, Problem> {
    member_rooms.leave(who.user, path.room()?).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Notify {
    /// The messages to notify about.
    level: NotifyLevel,
}

/// Get the notification level of a room
///
/// Returns the level in your settings, unless you set one for this room.
#[utoipa::path(
    get, path = "/api/v1/rooms/{id}/notify", tag = tag::ROOMS, params(RoomPath),
    responses((status = 200, description = "The level.", body = Notify), ErrorResponses<(Forbidden, NotFound)>),
)]
async fn get_notify_level(
    State(member_rooms): State<Arc<dyn MemberRooms>>,
    Caller(who): Caller,
    Path(path): Path<RoomPath>,
) -> Result<Json<Notify>, Problem> {
    let level = member_rooms.notify_level(who.user, path.room()?).await?.into();
    Ok(Json(Notify { level }))
}

/// Set the notification level of a room
#[utoipa::path(
    put, path = "/api/v1/rooms/{id}/notify", tag = tag::ROOMS, params(RoomPath),
    responses((status = 200, description = "The level.", body = Notify), ErrorResponses<(Forbidden, NotFound)>),
)]
async fn set_notify_level(
    State(member_rooms): State<Arc<dyn MemberRooms>>,
    Caller(who): Caller,
    Path(path): Path<RoomPath>,
    Json(body): Json<Notify>,
) -> Result<Json<Notify>, Problem> {
    member_rooms.set_notify_level(who.user, path.room()?, body.level.into()).await?;
    Ok(Json(body))
}
