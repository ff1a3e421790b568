//! The page of an invite link.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use starling_protocol::{ErrorCode, InviteCode};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    form::{error_page, redirect},
    may_register,
    services::FormServices,
    visitor::{self, Visitor},
};
use crate::{
    guard::Quota,
    openapi::{
        errors::{Forbidden, HtmlErrorResponses, NotFound, RateLimited, Unavailable},
        tag,
    },
    pages::{self, texts::error as texts},
    problem::Problem,
    routes::{api::Path, html::html_page},
    service::Refusal,
    state::AppState,
};

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(invite_page, accept_invite_by_form))
}

/// Parses a code. Whether the invite exists is only checked when it is accepted.
fn code(code: Result<Path<String>, Problem>) -> Result<InviteCode, Problem> {
    let Path(text) = code?;
    let unknown = || Problem::new(ErrorCode::NotFound, texts::INVITE_INVALID_PROBLEM);
    InviteCode::parse(&text).ok().flatten().ok_or_else(unknown)
}

/// The page of an invite
///
/// If you are logged in you can accept the invite, otherwise you can log in or register first. The page does not show whether
/// the invite is valid.
#[utoipa::path(
    get, path = "/invite/{code}", tag = tag::PAGES,
    params(("code" = String, Path, description = "The code in the link.")),
    responses(
        (status = 200, description = "A page.", body = String, content_type = "text/html"),
        HtmlErrorResponses<NotFound>,
    ),
    security(()),
)]
async fn invite_page(
    State(services): State<FormServices>,
    visitor: Visitor,
    path: Result<Path<String>, Problem>,
) -> Response {
    match code(path) {
        Ok(code) => {
            let me = visitor.me.as_ref().map(|me| me.display_name.as_str());
            visitor.mark_private(html_page(
                StatusCode::OK,
                pages::invite(&code.to_string(), me, may_register(&services.settings)),
            ))
        }
        Err(problem) => error_page(&problem, texts::INVITE_INVALID),
    }
}

/// Accept an invite with the button
///
/// You become a member of the room. Nothing changes if you are already a member.
#[utoipa::path(
    post, path = "/invite/{code}", tag = tag::PAGES,
    params(("code" = String, Path, description = "The code in the link.")),
    responses(
        (status = 200, description = "A page: you are in the room.", body = String, content_type = "text/html"),
        (status = 303, description = "You are not logged in: log in first.", headers(("location" = String))),
        HtmlErrorResponses<(Forbidden, NotFound, RateLimited, Unavailable)>,
    ),
    security(()),
)]
async fn accept_invite_by_form(
    State(services): State<FormServices>,
    headers: HeaderMap,
    path: Result<Path<String>, Problem>,
) -> Response {
    let code = match code(path) {
        Ok(code) => code,
        Err(problem) => return error_page(&problem, texts::INVITE_INVALID),
    };
    let accepted = async {
        services.guard.origins.check_own(&headers)?;
        let identity = match visitor::identity(&services.credentials, &headers).await {
            Ok(Some(identity)) => identity,
            Ok(None) => return Ok(None),
            Err(refusal) if refusal.code == ErrorCode::Unauthenticated => return Ok(None),
            Err(refusal) => return Err(refusal),
        };
        services.guard.rates.check(Quota::CallsPerAccount, &identity.user)?;
        Ok::<_, Refusal>(Some(services.member_rooms.join_with(identity.user, code).await?))
    };
    match accepted.await {
        Ok(Some(room)) => html_page(StatusCode::OK, pages::joined(&room.name)),
        Ok(None) => redirect(&format!("/login?next=/invite/{code}")),
        Err(refusal) if refusal.code == ErrorCode::NotFound => {
            error_page(&refusal.into(), texts::INVITE_INVALID)
        }
        Err(refusal) => error_page(&refusal.into(), texts::NOT_JOINED),
    }
}
