//! Invites: create, list, revoke and accept.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use serde::Deserialize;
use starling_protocol::{
    ErrorCode, InviteCode,
    limits::{INVITE_EXPIRES_S, INVITE_USES_MAX},
    texts,
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::super::{
    caller::Caller,
    extract::{Json, Path, Query},
    list::{List, PageQuery},
    messages::RoomPath,
};
use crate::{
    objects::{Invite, Room},
    openapi::{
        errors::{ErrorResponses, Forbidden, Invalid, NotFound},
        tag,
    },
    problem::{self, Problem},
    routes::service_url::ServiceUrl,
    service::MemberRooms,
    state::AppState,
};

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(list_invites, create_invite))
        .routes(routes!(revoke_invite))
        .routes(routes!(accept_invite))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct InvitePath {
    /// The room's id.
    #[param(format = "id", min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._~-]+$")]
    id: String,
    /// The invite's code.
    #[param(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._~-]+$")]
    code: String,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct CodePath {
    /// The invite's code.
    #[param(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._~-]+$")]
    code: String,
}

fn invite_code(text: &str) -> Result<InviteCode, Problem> {
    let unknown = || Problem::new(ErrorCode::NotFound, texts::rooms::INVITE_INVALID);
    InviteCode::parse(text).ok().flatten().ok_or_else(unknown)
}

/// Makes the URL of an invite absolute, so that it can be sent to somebody.
fn with_absolute_url(service: &ServiceUrl, invite: Invite) -> Invite {
    Invite { url: format!("{}{}", service.base, invite.url), ..invite }
}

/// List the invites of a room
///
/// Owners and moderators may do this. Invites that expired or are used up stay in the list until they are revoked: by
/// an owner or moderator, or by the server to make space for a new one.
#[utoipa::path(
    get, path = "/api/v1/rooms/{id}/invites", tag = tag::ROOMS, params(RoomPath, PageQuery),
    responses((status = 200, description = "A page of invites.", body = List<Invite>), ErrorResponses<(Forbidden, NotFound)>),
)]
async fn list_invites(
    State(member_rooms): State<Arc<dyn MemberRooms>>,
    Caller(by): Caller,
    Path(path): Path<RoomPath>,
    Query(page): Query<PageQuery>,
    service: ServiceUrl,
) -> Result<Json<List<Invite>>, Problem> {
    let mut page = member_rooms.invites(by.user, path.room()?, page.request()?).await?;
    page.items = page.items.into_iter().map(|invite| with_absolute_url(&service, invite)).collect();
    Ok(Json(page.into()))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewInvite {
    /// The number of people who may join with it; no limit if you leave it out. More may join if they do so at the same
    /// time on different nodes.
    #[schema(minimum = 1, maximum = 10_000)]
    max_uses: Option<u32>,
    /// The seconds until it expires, a year at most; never if you leave it out.
    #[schema(minimum = 60, maximum = 31_536_000)]
    expires_in: Option<u64>,
}

/// Create an invite
///
/// Owners and moderators may do this. A room may have 100 valid invites.
#[utoipa::path(
    post, path = "/api/v1/rooms/{id}/invites", tag = tag::ROOMS, params(RoomPath),
    responses(
        (status = 201, description = "The invite.", body = Invite),
        ErrorResponses<(Forbidden, NotFound, Invalid)>,
    ),
)]
async fn create_invite(
    State(member_rooms): State<Arc<dyn MemberRooms>>,
    Caller(by): Caller,
    Path(path): Path<RoomPath>,
    service: ServiceUrl,
    Json(body): Json<NewInvite>,
) -> Result<(StatusCode, Json<Invite>), Problem> {
    let room = path.room()?;
    let mut invalid = problem::Invalid::default();
    let uses = body.max_uses.is_none_or(|uses| (1..=INVITE_USES_MAX).contains(&uses));
    let uses = uses.then_some(()).ok_or_else(|| texts::request::must_be_between(1, INVITE_USES_MAX));
    let time = body.expires_in.is_none_or(|seconds| INVITE_EXPIRES_S.contains(&seconds));
    let (least, most) = (INVITE_EXPIRES_S.start(), INVITE_EXPIRES_S.end());
    let time = time.then_some(()).ok_or_else(|| texts::request::must_be_seconds(least, most));
    let (Some(()), Some(())) = (invalid.check("max_uses", uses), invalid.check("expires_in", time)) else {
        return Err(invalid.into());
    };
    let new = crate::service::NewInvite { max_uses: body.max_uses, expires_in_s: body.expires_in };
    let invite = member_rooms.make_invite(by.user, room, new).await?;
    Ok((StatusCode::CREATED, Json(with_absolute_url(&service, invite))))
}

/// Revoke an invite
///
/// Owners and moderators may do this.
#[utoipa::path(
    delete, path = "/api/v1/rooms/{id}/invites/{code}", tag = tag::ROOMS, params(InvitePath),
    responses((status = 204, description = "The invite was revoked."), ErrorResponses<(Forbidden, NotFound)>),
)]
async fn revoke_invite(
    State(member_rooms): State<Arc<dyn MemberRooms>>,
    Caller(by): Caller,
    Path(path): Path<InvitePath>,
) -> Result<StatusCode, Problem> {
    let room = RoomPath { id: path.id }.room()?;
    member_rooms.revoke_invite(by.user, room, invite_code(&path.code)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Accept an invite
///
/// You become a member of its room. Nothing changes if you are already a member. Returns 404 if the invite has expired, was
/// revoked or is used up, or if you are banned from the room.
#[utoipa::path(
    post, path = "/api/v1/invites/{code}", tag = tag::ROOMS, params(CodePath),
    responses((status = 200, description = "The room.", body = Room), ErrorResponses<(Forbidden, NotFound)>),
)]
async fn accept_invite(
    State(member_rooms): State<Arc<dyn MemberRooms>>,
    Caller(who): Caller,
    Path(path): Path<CodePath>,
) -> Result<Json<Room>, Problem> {
    Ok(Json(member_rooms.join_with(who.user, invite_code(&path.code)?).await?))
}
