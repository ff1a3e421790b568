//! Accounts, as administrators see and change them.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use starling_protocol::{ErrorCode, RoomId, UserId, limits::USERNAME_CHARS};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Caller, Json, Limit, List, PageMark, Path, Query};
use crate::{
    objects::ManagedUser,
    openapi::{
        errors::{ErrorResponses, Forbidden, Invalid, NotFound},
        tag,
    },
    problem::{self, Problem},
    routes::{AppState, site::Site},
    service::UserFlags,
};

/// All of them.
pub fn routes() -> OpenApiRouter<Arc<AppState>> {
    OpenApiRouter::default()
        .routes(routes!(list_users))
        .routes(routes!(change_user))
        .routes(routes!(create_reset_link))
        .routes(routes!(add_room_owner))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Users {
    /// The beginning of a username.
    #[param(max_length = 32)]
    q: Option<String>,
    /// The most accounts on a page.
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
    /// The `next` of a page.
    #[param(inline)]
    cursor: Option<PageMark>,
}

/// List all accounts
///
/// By username.
#[utoipa::path(
    get, path = "/api/v1/admin/users", tag = tag::ADMINISTRATION, params(Users),
    responses((status = 200, description = "A page of accounts.", body = List<ManagedUser>), ErrorResponses<(Forbidden, Invalid)>),
)]
async fn list_users(
    State(web): State<Arc<AppState>>,
    Caller(by): Caller,
    Query(query): Query<Users>,
) -> Result<Json<List<ManagedUser>>, Problem> {
    let mut invalid = problem::Invalid::default();
    let q = query.q.unwrap_or_default();
    let most = *USERNAME_CHARS.end();
    let short = if q.chars().count() <= most { Ok(q) } else { Err(format!("has at most {most} characters")) };
    let Some(q) = invalid.check("q", short) else { return Err(invalid.into()) };
    let behind = query.cursor.map(|mark| mark.parse::<String>()).transpose()?;
    let behind =
        behind.map(|mark| UserId::parse(&mark).ok().flatten().ok_or_else(foreign_mark)).transpose()?;
    let users = web.administration.users(by.user, q, behind, query.limit.0 + 1).await?;
    Ok(Json(List::page(users, query.limit, |user| user.id.clone())))
}

fn foreign_mark() -> Problem {
    Problem::new(ErrorCode::BadRequest, "cursor is not the next of a page of this list")
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ManagedUserChange {
    /// Whether the user is an administrator.
    admin: Option<bool>,
    /// Whether the account is disabled. That ends its sessions and tokens for good.
    disabled: Option<bool>,
}

/// Change an account
///
/// The last administrator can be neither demoted nor disabled. A personal access token may not do this: log in.
#[utoipa::path(
    patch, path = "/api/v1/admin/users/{id}", tag = tag::ADMINISTRATION,
    params(("id" = String, Path, format = "id", description = "The user's id.")),
    responses((status = 200, description = "The account as it is now.", body = ManagedUser), ErrorResponses<(Forbidden, NotFound)>),
)]
async fn change_user(
    State(web): State<Arc<AppState>>,
    Caller(by): Caller,
    Path(id): Path<String>,
    Json(body): Json<ManagedUserChange>,
) -> Result<Json<ManagedUser>, Problem> {
    let flags = UserFlags { admin: body.admin, disabled: body.disabled };
    Ok(Json(web.administration.change(by, user_id(&id)?, flags).await?))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ManagedRoomChange {
    /// The id of the member who becomes an owner too.
    #[schema(format = "id")]
    owner: String,
}

/// Make a member an owner of a room
///
/// For rooms that nobody manages any more. A room whose owners were all disabled or deleted belongs to its longest-standing
/// moderator, or else member, by itself. A personal access token may not do this: log in.
#[utoipa::path(
    patch, path = "/api/v1/admin/rooms/{id}", tag = tag::ADMINISTRATION,
    params(("id" = String, Path, format = "id", description = "The room's id.")),
    responses((status = 204, description = "The member is an owner now."), ErrorResponses<(Forbidden, NotFound)>),
)]
async fn add_room_owner(
    State(web): State<Arc<AppState>>,
    Caller(by): Caller,
    Path(id): Path<String>,
    Json(body): Json<ManagedRoomChange>,
) -> Result<StatusCode, Problem> {
    let unknown = || Problem::new(ErrorCode::NotFound, "there is no such room");
    let room = RoomId::parse(&id).ok().flatten().ok_or_else(unknown)?;
    web.administration.make_owner(by, room, user_id(&body.owner)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Serialize, ToSchema)]
struct ResetLink {
    /// The link to give to the user: a page to choose a new password.
    url: String,
    /// The time at which the link expires.
    #[schema(format = DateTime)]
    expires_at: String,
}

/// Create a link to reset a password
///
/// It works once, within 24 hours, and ends earlier links of that user. A personal access token may not do this: log in.
#[utoipa::path(
    post, path = "/api/v1/admin/users/{id}/reset-link", tag = tag::ADMINISTRATION,
    params(("id" = String, Path, format = "id", description = "The user's id.")),
    responses((status = 201, description = "The link.", body = ResetLink), ErrorResponses<(Forbidden, NotFound)>),
)]
async fn create_reset_link(
    State(web): State<Arc<AppState>>,
    Caller(by): Caller,
    Path(id): Path<String>,
    site: Site,
) -> Result<(StatusCode, Json<ResetLink>), Problem> {
    let link = web.administration.make_reset_link(by, user_id(&id)?).await?;
    let url = format!("{}/reset/{}", site.url, link.code);
    Ok((StatusCode::CREATED, Json(ResetLink { url, expires_at: link.expires_at })))
}

fn user_id(text: &str) -> Result<UserId, Problem> {
    let unknown = || Problem::new(ErrorCode::NotFound, "there is no such user");
    UserId::parse(text).ok().flatten().ok_or_else(unknown)
}
