//! The page to which an invite's address leads.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use starling_protocol::{ErrorCode, InviteCode};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    form::{redirect, turned_away},
    may_register,
    visitor::{self, Visitor},
};
use crate::{
    guard::Quota,
    openapi::{
        errors::{Forbidden, HtmlErrorResponses, NotFound, RateLimited, Unavailable},
        tag,
    },
    pages,
    problem::Problem,
    routes::{AppState, api::Path, pages::page},
    service::Refusal,
};

/// Both.
pub fn routes() -> OpenApiRouter<Arc<AppState>> {
    OpenApiRouter::default().routes(routes!(invite_page, take_invite))
}

const NO_SUCH_INVITE: &str = "This invite lets nobody in";

/// What can be a code; whether it is one is asked by whoever takes it.
fn code(code: Result<Path<String>, Problem>) -> Result<InviteCode, Problem> {
    let Path(text) = code?;
    let unknown =
        || Problem::new(ErrorCode::NotFound, "a character of the address is missing, or is another");
    InviteCode::parse(&text).ok().flatten().ok_or_else(unknown)
}

/// The page of an invite
///
/// Offers whoever is logged in to take it, and others to log in or register first. Does not say whether the invite is good.
#[utoipa::path(
    get, path = "/invite/{code}", tag = tag::PAGES,
    params(("code" = String, Path, description = "As it stands in the link.")),
    responses(
        (status = 200, description = "A page.", body = String, content_type = "text/html"),
        HtmlErrorResponses<NotFound>,
    ),
    security(()),
)]
async fn invite_page(
    State(web): State<Arc<AppState>>,
    visitor: Visitor,
    path: Result<Path<String>, Problem>,
) -> Response {
    match code(path) {
        Ok(code) => {
            let me = visitor.me.as_ref().map(|me| me.display_name.as_str());
            visitor.answer(page(StatusCode::OK, pages::invite(&code.to_string(), me, may_register(&web))))
        }
        Err(problem) => turned_away(&problem, NO_SUCH_INVITE),
    }
}

/// Take an invite, by the button
///
/// Makes the visitor a member of the room; nothing changes for who is one.
#[utoipa::path(
    post, path = "/invite/{code}", tag = tag::PAGES,
    params(("code" = String, Path, description = "As it stands in the link.")),
    responses(
        (status = 200, description = "A page: you are in the room.", body = String, content_type = "text/html"),
        (status = 303, description = "Nobody is logged in: log in first.", headers(("location" = String))),
        HtmlErrorResponses<(Forbidden, NotFound, RateLimited, Unavailable)>,
    ),
    security(()),
)]
async fn take_invite(
    State(web): State<Arc<AppState>>,
    headers: HeaderMap,
    path: Result<Path<String>, Problem>,
) -> Response {
    let code = match code(path) {
        Ok(code) => code,
        Err(problem) => return turned_away(&problem, NO_SUCH_INVITE),
    };
    let taken = async {
        web.guard.origins.check_own(&headers)?;
        let identity = match visitor::identity(&web, &headers).await {
            Ok(Some(identity)) => identity,
            Ok(None) => return Ok(None),
            Err(refusal) if refusal.code == ErrorCode::Unauthenticated => return Ok(None),
            Err(refusal) => return Err(refusal),
        };
        web.guard.rates.check(Quota::CallsPerAccount, &identity.user)?;
        Ok::<_, Refusal>(Some(web.member_rooms.join_with(identity.user, code).await?))
    };
    match taken.await {
        Ok(Some(room)) => page(StatusCode::OK, pages::joined(&room.name)),
        Ok(None) => redirect(&format!("/login?next=/invite/{code}")),
        Err(refusal) if refusal.code == ErrorCode::NotFound => turned_away(&refusal.into(), NO_SUCH_INVITE),
        Err(refusal) => turned_away(&refusal.into(), "You are not in the room"),
    }
}
