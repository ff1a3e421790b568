//! The members of a room, and its bans.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use serde::Deserialize;
use starling_protocol::{ErrorCode, RoomId, UserId, texts};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::super::{
    caller::Caller,
    extract::{Json, Path, Query},
    list::{List, PageQuery},
    messages::RoomPath,
    presence,
};
use crate::{
    objects::{Ban, Member, Role},
    openapi::{
        errors::{AlreadyExists, ErrorResponses, Forbidden, NotContacts, NotFound},
        tag,
    },
    problem::Problem,
    service::{LiveEvents, MemberRooms},
    state::AppState,
};

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(list_members, add_member))
        .routes(routes!(change_member, remove_member))
        .routes(routes!(list_bans))
        .routes(routes!(lift_ban))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct MemberPath {
    /// The room's id.
    #[param(format = "id", min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._~-]+$")]
    id: String,
    /// The user's id.
    #[param(format = "id", min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._~-]+$")]
    user_id: String,
}

impl MemberPath {
    fn room_and_user(self) -> Result<(RoomId, UserId), Problem> {
        let room = RoomPath { id: self.id }.room()?;
        let unknown = || Problem::new(ErrorCode::NotFound, texts::rooms::NO_SUCH_MEMBER);
        Ok((room, UserId::parse(&self.user_id).ok().flatten().ok_or_else(unknown)?))
    }
}

/// List the members of a room
///
/// Only members may do this. Owners come first, then moderators, then the others; each by how long they have had their role.
/// Members inherit the room in this order.
#[utoipa::path(
    get, path = "/api/v1/rooms/{id}/members", tag = tag::ROOMS, params(RoomPath, PageQuery),
    responses((status = 200, description = "A page of members.", body = List<Member>), ErrorResponses<(Forbidden, NotFound)>),
)]
async fn list_members(
    State(member_rooms): State<Arc<dyn MemberRooms>>,
    State(live): State<Arc<dyn LiveEvents>>,
    Caller(by): Caller,
    Path(path): Path<RoomPath>,
    Query(page): Query<PageQuery>,
) -> Result<Json<List<Member>>, Problem> {
    let mut page = member_rooms.members(by.user, path.room()?, page.request()?).await?;
    presence::fill(&*live, by.user, page.items.iter_mut().map(|member| &mut member.user)).await?;
    Ok(Json(page.into()))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewMember {
    /// The id of a contact.
    #[schema(format = "id", min_length = 1, max_length = 64)]
    user_id: String,
    /// The role: `member` if you leave it out. You can't assign a role above your own.
    role: Option<Role>,
}

/// Add a contact to a room
///
/// Owners and moderators may do this. Send an invite to people who are not your contacts.
#[utoipa::path(
    post, path = "/api/v1/rooms/{id}/members", tag = tag::ROOMS, params(RoomPath),
    responses(
        (status = 201, description = "The member.", body = Member),
        ErrorResponses<(Forbidden, NotContacts, NotFound, AlreadyExists)>,
    ),
)]
async fn add_member(
    State(member_rooms): State<Arc<dyn MemberRooms>>,
    Caller(by): Caller,
    Path(path): Path<RoomPath>,
    Json(body): Json<NewMember>,
) -> Result<(StatusCode, Json<Member>), Problem> {
    let room = path.room()?;
    // A malformed id is passed on as one that no user has, so that a caller who may not add members learns nothing from it.
    let user = UserId::parse(&body.user_id).ok().flatten().unwrap_or(UserId([0; 16]));
    let role = body.role.unwrap_or(Role::Member).into();
    let member = member_rooms.add_member(by.user, room, user, role).await?;
    Ok((StatusCode::CREATED, Json(member)))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct MemberPatch {
    /// The new role. You can't assign a role above your own.
    role: Role,
}

/// Change the role of a member
///
/// Owners may change every role, moderators those of members. Everybody may step down. If no owner is left, the first in the
/// list of members becomes the owner; this may be the same person.
#[utoipa::path(
    patch, path = "/api/v1/rooms/{id}/members/{user_id}", tag = tag::ROOMS, params(MemberPath),
    responses((status = 200, description = "The member as they are now.", body = Member), ErrorResponses<(Forbidden, NotFound)>),
)]
async fn change_member(
    State(member_rooms): State<Arc<dyn MemberRooms>>,
    Caller(by): Caller,
    Path(path): Path<MemberPath>,
    Json(body): Json<MemberPatch>,
) -> Result<Json<Member>, Problem> {
    let (room, user) = path.room_and_user()?;
    Ok(Json(member_rooms.set_role(by.user, room, user, body.role.into()).await?))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Removal {
    /// Whether to ban them too. You can also ban people who are not members.
    #[serde(default)]
    #[param(default = false)]
    ban: bool,
}

/// Remove a member
///
/// Owners may remove anybody, moderators may remove members. If you remove yourself, you leave.
#[utoipa::path(
    delete, path = "/api/v1/rooms/{id}/members/{user_id}", tag = tag::ROOMS, params(MemberPath, Removal),
    responses((status = 204, description = "They are not a member any more."), ErrorResponses<(Forbidden, NotFound)>),
)]
async fn remove_member(
    State(member_rooms): State<Arc<dyn MemberRooms>>,
    Caller(by): Caller,
    Path(path): Path<MemberPath>,
    Query(Removal { ban }): Query<Removal>,
) -> Result<StatusCode, Problem> {
    let (room, user) = path.room_and_user()?;
    member_rooms.remove_member(by.user, room, user, ban).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List the bans of a room
///
/// Owners and moderators may do this.
#[utoipa::path(
    get, path = "/api/v1/rooms/{id}/bans", tag = tag::ROOMS, params(RoomPath, PageQuery),
    responses((status = 200, description = "A page of bans.", body = List<Ban>), ErrorResponses<(Forbidden, NotFound)>),
)]
async fn list_bans(
    State(member_rooms): State<Arc<dyn MemberRooms>>,
    Caller(by): Caller,
    Path(path): Path<RoomPath>,
    Query(page): Query<PageQuery>,
) -> Result<Json<List<Ban>>, Problem> {
    Ok(Json(member_rooms.bans(by.user, path.room()?, page.request()?).await?.into()))
}

/// Lift a ban
///
/// Owners and moderators may do this.
#[utoipa::path(
    delete, path = "/api/v1/rooms/{id}/bans/{user_id}", tag = tag::ROOMS, params(MemberPath),
    responses((status = 204, description = "They may join again."), ErrorResponses<(Forbidden, NotFound)>),
)]
async fn lift_ban(
    State(member_rooms): State<Arc<dyn MemberRooms>>,
    Caller(by): Caller,
    Path(path): Path<MemberPath>,
) -> Result<StatusCode, Problem> {
    let (room, user) = path.room_and_user()?;
    member_rooms.lift_ban(by.user, room, user).await?;
    Ok(StatusCode::NO_CONTENT)
}
