//! Who is in a room, and who may not be.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use serde::Deserialize;
use starling_protocol::{ErrorCode, RoomId, UserId};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    super::{Caller, Json, List, Path, Query, messages::OfRoom, presence},
    Pages,
};
use crate::{
    objects::{Ban, Member, Role},
    openapi::{
        errors::{AlreadyExists, ErrorResponses, Forbidden, NotContacts, NotFound},
        tag,
    },
    problem::Problem,
    routes::AppState,
};

pub fn routes() -> OpenApiRouter<Arc<AppState>> {
    OpenApiRouter::default()
        .routes(routes!(list_members, add_member))
        .routes(routes!(change_member, remove_member))
        .routes(routes!(list_bans))
        .routes(routes!(lift_ban))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct OfMember {
    /// The room's id.
    #[param(format = "id", min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._~-]+$")]
    id: String,
    /// The user's id.
    #[param(format = "id", min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._~-]+$")]
    user_id: String,
}

impl OfMember {
    fn both(self) -> Result<(RoomId, UserId), Problem> {
        let room = OfRoom { id: self.id }.room()?;
        let nobody = || Problem::new(ErrorCode::NotFound, "there is no such member of this room");
        Ok((room, UserId::parse(&self.user_id).ok().flatten().ok_or_else(nobody)?))
    }
}

/// List the members of a room
///
/// Members may. Owners first, then moderators, each by how long they have been one: the order in which they would inherit
/// the room.
#[utoipa::path(
    get, path = "/api/v1/rooms/{id}/members", tag = tag::ROOMS, params(OfRoom, Pages),
    responses((status = 200, description = "A page of them.", body = List<Member>), ErrorResponses<(Forbidden, NotFound)>),
)]
async fn list_members(
    State(web): State<Arc<AppState>>,
    Caller(by): Caller,
    Path(of): Path<OfRoom>,
    Query(pages): Query<Pages>,
) -> Result<Json<List<Member>>, Problem> {
    let mut page = web.member_rooms.members(by.user, of.room()?, pages.part()?).await?;
    presence::fill(&web, by.user, page.items.iter_mut().map(|member| &mut member.user)).await?;
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
/// Owners and moderators may. Send an invite to people who are not your contacts.
#[utoipa::path(
    post, path = "/api/v1/rooms/{id}/members", tag = tag::ROOMS, params(OfRoom),
    responses(
        (status = 201, description = "The member.", body = Member),
        ErrorResponses<(Forbidden, NotContacts, NotFound, AlreadyExists)>,
    ),
)]
async fn add_member(
    State(web): State<Arc<AppState>>,
    Caller(by): Caller,
    Path(of): Path<OfRoom>,
    Json(body): Json<NewMember>,
) -> Result<(StatusCode, Json<Member>), Problem> {
    let room = of.room()?;
    // Who cannot be anybody is asked about all the same: whoever may not add anybody learns no more.
    let user = UserId::parse(&body.user_id).ok().flatten().unwrap_or(UserId([0; 16]));
    let role = body.role.unwrap_or(Role::Member).into();
    let member = web.member_rooms.add_member(by.user, room, user, role).await?;
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
/// Owners may. Moderators may for members. Everybody may step down. A room without an owner then belongs to the first in the
/// list of its members, who may be the same person.
#[utoipa::path(
    patch, path = "/api/v1/rooms/{id}/members/{user_id}", tag = tag::ROOMS, params(OfMember),
    responses((status = 200, description = "The member as they are now.", body = Member), ErrorResponses<(Forbidden, NotFound)>),
)]
async fn change_member(
    State(web): State<Arc<AppState>>,
    Caller(by): Caller,
    Path(of): Path<OfMember>,
    Json(body): Json<MemberPatch>,
) -> Result<Json<Member>, Problem> {
    let (room, user) = of.both()?;
    Ok(Json(web.member_rooms.set_role(by.user, room, user, body.role.into()).await?))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Removal {
    /// Whether to ban them too. They need not be a member then.
    #[serde(default)]
    #[param(default = false)]
    ban: bool,
}

/// Remove a member
///
/// Owners may. Moderators may remove members. If you remove yourself, you leave.
#[utoipa::path(
    delete, path = "/api/v1/rooms/{id}/members/{user_id}", tag = tag::ROOMS, params(OfMember, Removal),
    responses((status = 204, description = "They are not a member."), ErrorResponses<(Forbidden, NotFound)>),
)]
async fn remove_member(
    State(web): State<Arc<AppState>>,
    Caller(by): Caller,
    Path(of): Path<OfMember>,
    Query(Removal { ban }): Query<Removal>,
) -> Result<StatusCode, Problem> {
    let (room, user) = of.both()?;
    web.member_rooms.remove_member(by.user, room, user, ban).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List the bans of a room
///
/// Owners and moderators may.
#[utoipa::path(
    get, path = "/api/v1/rooms/{id}/bans", tag = tag::ROOMS, params(OfRoom, Pages),
    responses((status = 200, description = "A page of them.", body = List<Ban>), ErrorResponses<(Forbidden, NotFound)>),
)]
async fn list_bans(
    State(web): State<Arc<AppState>>,
    Caller(by): Caller,
    Path(of): Path<OfRoom>,
    Query(pages): Query<Pages>,
) -> Result<Json<List<Ban>>, Problem> {
    Ok(Json(web.member_rooms.bans(by.user, of.room()?, pages.part()?).await?.into()))
}

/// Lift a ban
///
/// Owners and moderators may.
#[utoipa::path(
    delete, path = "/api/v1/rooms/{id}/bans/{user_id}", tag = tag::ROOMS, params(OfMember),
    responses((status = 204, description = "They may join again."), ErrorResponses<(Forbidden, NotFound)>),
)]
async fn lift_ban(
    State(web): State<Arc<AppState>>,
    Caller(by): Caller,
    Path(of): Path<OfMember>,
) -> Result<StatusCode, Problem> {
    let (room, user) = of.both()?;
    web.member_rooms.lift_ban(by.user, room, user).await?;
    Ok(StatusCode::NO_CONTENT)
}
