//! Administration of accounts and of rooms without an owner.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use starling_protocol::{ErrorCode, RoomId, UserId, limits::USERNAME_CHARS, text::TextError, texts};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    caller::Caller,
    extract::{Json, Path, Query},
    list::{Limit, List, PageParam, foreign_page},
};
use crate::{
    objects::ManagedUser,
    openapi::{
        errors::{ErrorResponses, Forbidden, Invalid, NotFound},
        tag,
    },
    problem::{self, Problem},
    routes::service_url::ServiceUrl,
    service::{Administration, UserFlags},
    state::AppState,
};

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(list_users))
        .routes(routes!(change_user))
        .routes(routes!(create_reset_link))
        .routes(routes!(add_room_owner))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct UsersQuery {
    /// The beginning of a username.
    #[param(max_length = 32)]
    q: Option<String>,
    /// The most accounts on a page.
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
    /// The `next` of a page.
    #[param(inline)]
    cursor: Option<PageParam>,
}

/// List all accounts
///
/// Sorted by username.
#[utoipa::path(
    get, path = "/api/v1/admin/users", tag = tag::ADMINISTRATION, params(UsersQuery),
    responses((status = 200, description = "A page of accounts.", body = List<ManagedUser>), ErrorResponses<(Forbidden, Invalid)>),
)]
async fn list_users(
    State(administration): State<Arc<dyn Administration>>,
    Caller(by): Caller,
    Query(query): Query<UsersQuery>,
) -> Result<Json<List<ManagedUser>>, Problem> {
    let mut invalid = problem::Invalid::default();
    let q = query.q.unwrap_or_default();
    let most = *USERNAME_CHARS.end();
    let q = if q.chars().count() <= most { Ok(q) } else { Err(TextError::TooLong(most)) };
    let Some(q) = invalid.check("q", q) else { return Err(invalid.into()) };
    let after = query.cursor.map(|page| page.parse::<String>()).transpose()?;
    let after = after.map(|id| UserId::parse(&id).ok().flatten().ok_or_else(foreign_page)).transpose()?;
    let users = administration.users(by.user, q, after, query.limit.0 + 1).await?;
    Ok(Json(List::page(users, query.limit, |user| user.id.clone())))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ManagedUserChange {
    /// Whether the user is an administrator.
    admin: Option<bool>,
    /// Whether the account is disabled. Disabling an account ends all its sessions and tokens for good.
    disabled: Option<bool>,
}

/// Change an account
///
/// The last administrator can be neither demoted nor disabled. You can't do this with a personal access token; log in and use
/// an access token.
#[utoipa::path(
    patch, path = "/api/v1/admin/users/{id}", tag = tag::ADMINISTRATION,
    params(("id" = String, Path, format = "id", description = "The user's id.")),
    responses((status = 200, description = "The account as it is now.", body = ManagedUser), ErrorResponses<(Forbidden, NotFound)>),
)]
async fn change_user(
    State(administration): State<Arc<dyn Administration>>,
    Caller(by): Caller,
    Path(id): Path<String>,
    Json(body): Json<ManagedUserChange>,
) -> Result<Json<ManagedUser>, Problem> {
    let flags = UserFlags { admin: body.admin, disabled: body.disabled };
    Ok(Json(administration.change(by, user_id(&id)?, flags).await?))
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
/// For rooms that nobody manages any more. If all owners of a room were disabled or deleted, its longest-standing moderator,
/// or else member, becomes its owner automatically. You can't do this with a personal access token; log in and use an access
/// token.
#[utoipa::path(
    patch, path = "/api/v1/admin/rooms/{id}", tag = tag::ADMINISTRATION,
    params(("id" = String, Path, format = "id", description = "The room's id.")),
    responses((status = 204, description = "The member is an owner now."), ErrorResponses<(Forbidden, NotFound)>),
)]
async fn add_room_owner(
    State(administration): State<Arc<dyn Administration>>,
    Caller(by): Caller,
    Path(id): Path<String>,
    Json(body): Json<ManagedRoomChange>,
) -> Result<StatusCode, Problem> {
    let unknown = || Problem::new(ErrorCode::NotFound, texts::rooms::NO_SUCH_ROOM);
    let room = RoomId::parse(&id).ok().flatten().ok_or_else(unknown)?;
    administration.add_owner(by, room, user_id(&body.owner)?).await?;
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
/// The link works once, within 24 hours, and ends earlier links for that user. You can't do this with a personal access
/// token; log in and use an access token.
#[utoipa::path(
    post, path = "/api/v1/admin/users/{id}/reset-link", tag = tag::ADMINISTRATION,
    params(("id" = String, Path, format = "id", description = "The user's id.")),
    responses((status = 201, description = "The link.", body = ResetLink), ErrorResponses<(Forbidden, NotFound)>),
)]
async fn create_reset_link(
    State(administration): State<Arc<dyn Administration>>,
    Caller(by): Caller,
    Path(id): Path<String>,
    service: ServiceUrl,
) -> Result<(StatusCode, Json<ResetLink>), Problem> {
    let link = administration.make_reset_link(by, user_id(&id)?).await?;
    let url = format!("{}/reset/{}", service.base, link.code);
    Ok((StatusCode::CREATED, Json(ResetLink { url, expires_at: link.expires_at })))
}

fn user_id(text: &str) -> Result<UserId, Problem> {
    let unknown = || Problem::new(ErrorCode::NotFound, texts::accounts::NO_SUCH_USER);
    UserId::parse(text).ok().flatten().ok_or_else(unknown)
}
