//! Invites: made, withdrawn, and followed.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use serde::Deserialize;
use starling_protocol::{
    ErrorCode, InviteCode,
    limits::{INVITE_EXPIRES_S, INVITE_USES_MAX},
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    super::{Caller, Json, List, Path, Query, messages::OfRoom},
    Pages,
};
use crate::{
    objects::{Invite, Room},
    openapi::{
        errors::{ErrorResponses, Forbidden, Invalid, NotFound},
        tag,
    },
    problem::{self, Problem},
    routes::{AppState, site::Site},
};

pub fn routes() -> OpenApiRouter<Arc<AppState>> {
    OpenApiRouter::default()
        .routes(routes!(list_invites, create_invite))
        .routes(routes!(revoke_invite))
        .routes(routes!(accept_invite))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct OfInvite {
    /// The room's id.
    #[param(format = "id", min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._~-]+$")]
    id: String,
    /// The invite's code.
    #[param(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._~-]+$")]
    code: String,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct Code {
    /// The invite's code.
    #[param(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._~-]+$")]
    code: String,
}

fn invite_code(text: &str) -> Result<InviteCode, Problem> {
    let unknown = || Problem::new(ErrorCode::NotFound, "this invite doesn't exist, or is no longer valid");
    InviteCode::parse(text).ok().flatten().ok_or_else(unknown)
}

/// With an address that can be sent to somebody.
fn at(site: &Site, invite: Invite) -> Invite {
    Invite { url: format!("{}{}", site.url, invite.url), ..invite }
}

/// List the invites of a room
///
/// Owners and moderators may. Invites that expired or are used up stay until they are revoked or replaced.
#[utoipa::path(
    get, path = "/api/v1/rooms/{id}/invites", tag = tag::ROOMS, params(OfRoom, Pages),
    responses((status = 200, description = "A page of invites.", body = List<Invite>), ErrorResponses<(Forbidden, NotFound)>),
)]
async fn list_invites(
    State(web): State<Arc<AppState>>,
    Caller(by): Caller,
    Path(of): Path<OfRoom>,
    Query(pages): Query<Pages>,
    site: Site,
) -> Result<Json<List<Invite>>, Problem> {
    let mut page = web.member_rooms.invites(by.user, of.room()?, pages.part()?).await?;
    page.items = page.items.into_iter().map(|invite| at(&site, invite)).collect();
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
/// Owners and moderators may. A room may have 100 valid invites.
#[utoipa::path(
    post, path = "/api/v1/rooms/{id}/invites", tag = tag::ROOMS, params(OfRoom),
    responses(
        (status = 201, description = "The invite.", body = Invite),
        ErrorResponses<(Forbidden, NotFound, Invalid)>,
    ),
)]
async fn create_invite(
    State(web): State<Arc<AppState>>,
    Caller(by): Caller,
    Path(of): Path<OfRoom>,
    site: Site,
    Json(body): Json<NewInvite>,
) -> Result<(StatusCode, Json<Invite>), Problem> {
    let room = of.room()?;
    let mut invalid = problem::Invalid::default();
    let uses = body.max_uses.is_none_or(|uses| (1..=INVITE_USES_MAX).contains(&uses));
    let uses = uses.then_some(()).ok_or_else(|| format!("must be 1 to {INVITE_USES_MAX}"));
    let time = body.expires_in.is_none_or(|seconds| INVITE_EXPIRES_S.contains(&seconds));
    let (least, most) = (INVITE_EXPIRES_S.start(), INVITE_EXPIRES_S.end());
    let time = time.then_some(()).ok_or_else(|| format!("must be {least} to {most} seconds"));
    let (Some(()), Some(())) = (invalid.check("max_uses", uses), invalid.check("expires_in", time)) else {
        return Err(invalid.into());
    };
    let new = crate::service::NewInvite { max_uses: body.max_uses, expires_in_s: body.expires_in };
    let invite = web.member_rooms.make_invite(by.user, room, new).await?;
    Ok((StatusCode::CREATED, Json(at(&site, invite))))
}

/// Revoke an invite
///
/// Owners and moderators may.
#[utoipa::path(
    delete, path = "/api/v1/rooms/{id}/invites/{code}", tag = tag::ROOMS, params(OfInvite),
    responses((status = 204, description = "The invite was revoked."), ErrorResponses<(Forbidden, NotFound)>),
)]
async fn revoke_invite(
    State(web): State<Arc<AppState>>,
    Caller(by): Caller,
    Path(of): Path<OfInvite>,
) -> Result<StatusCode, Problem> {
    let room = OfRoom { id: of.id }.room()?;
    web.member_rooms.revoke_invite(by.user, room, invite_code(&of.code)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Accept an invite
///
/// You become a member of its room; nothing changes if you are one. The answer is 404 if the invite expired, was revoked or
/// is used up, and if you are banned from the room.
#[utoipa::path(
    post, path = "/api/v1/invites/{code}", tag = tag::ROOMS, params(Code),
    responses((status = 200, description = "The room.", body = Room), ErrorResponses<(Forbidden, NotFound)>),
)]
async fn accept_invite(
    State(web): State<Arc<AppState>>,
    Caller(who): Caller,
    Path(of): Path<Code>,
) -> Result<Json<Room>, Problem> {
    Ok(Json(web.member_rooms.join_with(who.user, invite_code(&of.code)?).await?))
}
