//! One's logins, and one's personal access tokens.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use serde::Deserialize;
use starling_protocol::{DisplayName, SessionId};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Caller, Json, Limit, List, PageMark, Path, Query, me::guessed};
use crate::{
    objects::{NewPersonalToken, PersonalToken, Session},
    openapi::{
        refuses::{BadCredentials, Forbidden, Invalid, Refuses},
        tag,
    },
    problem::{self, Problem},
    routes::AppState,
    service::{Listed, Refusal, Secret},
};

/// Seconds after which a personal access token ends, unless it is told otherwise: a year.
const EXPIRES_IN: u64 = 365 * 24 * 3_600;
/// Seconds after which a personal access token ends, at most: ten years.
const EXPIRES_IN_MAX: u64 = 10 * 365 * 24 * 3_600;

pub fn routes() -> OpenApiRouter<Arc<AppState>> {
    OpenApiRouter::default()
        .routes(routes!(sessions))
        .routes(routes!(end_session))
        .routes(routes!(tokens, make_token))
        .routes(routes!(revoke_token))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Page {
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
    #[param(inline)]
    cursor: Option<PageMark>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct ById {
    /// Its id.
    #[param(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._~-]+$")]
    id: String,
}

/// The newest first.
fn page<T>(mut all: Vec<Listed<T>>, Page { limit, cursor }: Page) -> Result<List<T>, Problem> {
    let before: Option<String> = cursor.map(|mark| mark.parse()).transpose()?;
    all.retain(|listed| before.as_ref().is_none_or(|before| listed.mark < *before));
    all.sort_unstable_by(|a, b| b.mark.cmp(&a.mark));
    all.truncate(limit.0 + 1);
    let List { items, next } = List::page(all, limit, |listed| listed.mark.clone());
    Ok(List { items: items.into_iter().map(|listed| listed.item).collect(), next })
}

fn session_id(text: &str, what: &'static str) -> Result<SessionId, Problem> {
    let id = SessionId::parse(text).ok().flatten();
    id.ok_or_else(|| Refusal::new(starling_protocol::ErrorCode::NotFound, what).into())
}

/// One's logins
///
/// Those that live, the newest first.
#[utoipa::path(
    get, path = "/api/v1/sessions", tag = tag::ACCOUNTS, params(Page),
    responses((status = 200, description = "The logins.", body = List<Session>)),
    security(("bearer" = []), ("cookie" = [])),
)]
async fn sessions(
    State(web): State<Arc<AppState>>,
    Caller(who): Caller,
    Query(query): Query<Page>,
) -> Result<Json<List<Session>>, Problem> {
    Ok(Json(page(web.accounts.sessions(who).await?, query)?))
}

/// End a login
///
/// A personal access token may not do this: log in.
#[utoipa::path(
    delete, path = "/api/v1/sessions/{id}", tag = tag::ACCOUNTS,
    params(ById),
    responses((status = 204, description = "It has ended."), Refuses<Forbidden>),
    security(("bearer" = []), ("cookie" = [])),
)]
async fn end_session(
    State(web): State<Arc<AppState>>,
    Caller(who): Caller,
    Path(ById { id }): Path<ById>,
) -> Result<StatusCode, Problem> {
    web.accounts.end_session(who, session_id(&id, "you have no session with this id")?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// One's personal access tokens
///
/// Those that are good, the newest first.
#[utoipa::path(
    get, path = "/api/v1/tokens", tag = tag::ACCOUNTS, params(Page),
    responses((status = 200, description = "The tokens.", body = List<PersonalToken>)),
    security(("bearer" = []), ("cookie" = [])),
)]
async fn tokens(
    State(web): State<Arc<AppState>>,
    Caller(who): Caller,
    Query(query): Query<Page>,
) -> Result<Json<List<PersonalToken>>, Problem> {
    Ok(Json(page(web.accounts.personal_tokens(who).await?, query)?))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct MakeToken {
    /// What it is for.
    #[schema(min_length = 1, max_length = 64)]
    name: String,
    /// The account's password.
    #[schema(format = Password)]
    password: String,
    /// Seconds for which it is good: a year, if nothing is said.
    #[schema(minimum = 1, maximum = 315_360_000, default = 31_536_000)]
    expires_in: Option<u64>,
}

/// Make a personal access token
///
/// For scripts. It acts for its user until it ends, is revoked, or the password is changed without `keep_tokens`. The
/// answer is the only time that it is shown. A token makes no others, and ends no login and no other token.
#[utoipa::path(
    post, path = "/api/v1/tokens", tag = tag::ACCOUNTS,
    responses(
        (status = 201, description = "The token is made.", body = NewPersonalToken),
        Refuses<(BadCredentials, Forbidden, Invalid)>,
    ),
    security(("bearer" = []), ("cookie" = [])),
)]
async fn make_token(
    State(web): State<Arc<AppState>>,
    Caller(who): Caller,
    Json(body): Json<MakeToken>,
) -> Result<(StatusCode, Json<NewPersonalToken>), Problem> {
    let mut invalid = problem::Invalid::default();
    let name = invalid.check("name", DisplayName::parse(&body.name));
    let expires_in = match body.expires_in {
        Some(seconds) if !(1..=EXPIRES_IN_MAX).contains(&seconds) => Err("must be 1 to 315360000"),
        within => Ok(within.unwrap_or(EXPIRES_IN)),
    };
    let expires_in = invalid.check("expires_in", expires_in);
    let (Some(name), Some(expires_in)) = (name, expires_in) else { return Err(invalid.into()) };
    let made = web.accounts.make_personal_token(who, name, Secret(body.password), expires_in);
    let token = guessed(&web, who, made).await?;
    Ok((StatusCode::CREATED, Json(token)))
}

/// Revoke a personal access token
///
/// A token may revoke itself only: log in to revoke another.
#[utoipa::path(
    delete, path = "/api/v1/tokens/{id}", tag = tag::ACCOUNTS,
    params(ById),
    responses((status = 204, description = "It is good for nothing any more."), Refuses<Forbidden>),
    security(("bearer" = []), ("cookie" = [])),
)]
async fn revoke_token(
    State(web): State<Arc<AppState>>,
    Caller(who): Caller,
    Path(ById { id }): Path<ById>,
) -> Result<StatusCode, Problem> {
    web.accounts.revoke_personal_token(who, session_id(&id, "you have no token with this id")?).await?;
    Ok(StatusCode::NO_CONTENT)
}
