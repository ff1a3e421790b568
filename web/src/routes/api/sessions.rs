//! The caller's sessions and personal access tokens.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use serde::Deserialize;
use starling_protocol::{DisplayName, SessionId, texts};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    caller::Caller,
    extract::{Json, Path, Query},
    list::{List, PageQuery},
    me::limit_password_guesses,
};
use crate::{
    guard::Guard,
    objects::{NewPersonalToken, PersonalToken, Session},
    openapi::{
        errors::{BadCredentials, ErrorResponses, Forbidden, Invalid},
        tag,
    },
    problem::{self, Problem},
    service::{Accounts, Listed, Refusal, Secret},
    state::AppState,
};

/// The default lifetime of a personal access token, in seconds: a year.
const EXPIRES_IN: u64 = 365 * 24 * 3_600;
/// The longest lifetime of a personal access token, in seconds: ten years.
const EXPIRES_IN_MAX: u64 = 10 * 365 * 24 * 3_600;

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(list_sessions))
        .routes(routes!(end_session))
        .routes(routes!(list_tokens, create_token))
        .routes(routes!(revoke_token))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct IdPath {
    /// The id of the session or token.
    #[param(format = "id", min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._~-]+$")]
    id: String,
}

/// Returns a page of a list, newest first.
fn page<T>(mut all: Vec<Listed<T>>, PageQuery { limit, cursor }: PageQuery) -> Result<List<T>, Problem> {
    let before: Option<String> = cursor.map(|page| page.parse()).transpose()?;
    all.retain(|listed| before.as_ref().is_none_or(|before| listed.sort_key < *before));
    all.sort_unstable_by(|a, b| b.sort_key.cmp(&a.sort_key));
    all.truncate(limit.0 + 1);
    let List { items, next } = List::page(all, limit, |listed| listed.sort_key.clone());
    Ok(List { items: items.into_iter().map(|listed| listed.item).collect(), next })
}

fn session_id(text: &str, detail: &'static str) -> Result<SessionId, Problem> {
    let id = SessionId::parse(text).ok().flatten();
    id.ok_or_else(|| Refusal::new(starling_protocol::ErrorCode::NotFound, detail).into())
}

/// List your sessions
///
/// Returns your active sessions, newest first.
#[utoipa::path(
    get, path = "/api/v1/sessions", tag = tag::ACCOUNTS, params(PageQuery),
    responses((status = 200, description = "A page of sessions.", body = List<Session>)),
)]
async fn list_sessions(
    State(accounts): State<Arc<dyn Accounts>>,
    Caller(who): Caller,
    Query(query): Query<PageQuery>,
) -> Result<Json<List<Session>>, Problem> {
    Ok(Json(page(accounts.sessions(who).await?, query)?))
}

/// End a session
///
/// You can't do this with a personal access token; log in and use an access token.
#[utoipa::path(
    delete, path = "/api/v1/sessions/{id}", tag = tag::ACCOUNTS,
    params(IdPath),
    responses((status = 204, description = "The session has ended."), ErrorResponses<Forbidden>),
)]
async fn end_session(
    State(accounts): State<Arc<dyn Accounts>>,
    Caller(who): Caller,
    Path(IdPath { id }): Path<IdPath>,
) -> Result<StatusCode, Problem> {
    accounts.end_session(who, session_id(&id, texts::accounts::NO_SUCH_SESSION)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List your personal access tokens
///
/// Returns your valid tokens, newest first.
#[utoipa::path(
    get, path = "/api/v1/tokens", tag = tag::ACCOUNTS, params(PageQuery),
    responses((status = 200, description = "A page of tokens.", body = List<PersonalToken>)),
)]
async fn list_tokens(
    State(accounts): State<Arc<dyn Accounts>>,
    Caller(who): Caller,
    Query(query): Query<PageQuery>,
) -> Result<Json<List<PersonalToken>>, Problem> {
    Ok(Json(page(accounts.personal_tokens(who).await?, query)?))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct MakeToken {
    /// A name for the token.
    #[schema(min_length = 1, max_length = 64)]
    name: String,
    /// Your password.
    #[schema(format = Password)]
    password: String,
    /// The seconds until the token expires: a year if you leave it out.
    #[schema(minimum = 1, maximum = 315_360_000, default = 31_536_000)]
    expires_in: Option<u64>,
}

/// Create a personal access token
///
/// For scripts. The token acts for you until it expires, you revoke it, or you change your password without `keep_tokens`. It
/// is shown only in this response. A token can neither create tokens nor end sessions or other tokens.
#[utoipa::path(
    post, path = "/api/v1/tokens", tag = tag::ACCOUNTS,
    responses(
        (status = 201, description = "The token was created.", body = NewPersonalToken),
        ErrorResponses<(BadCredentials, Forbidden, Invalid)>,
    ),
)]
async fn create_token(
    State(accounts): State<Arc<dyn Accounts>>,
    State(guard): State<Arc<Guard>>,
    Caller(who): Caller,
    Json(body): Json<MakeToken>,
) -> Result<(StatusCode, Json<NewPersonalToken>), Problem> {
    let mut invalid = problem::Invalid::default();
    let name = invalid.check("name", DisplayName::parse(&body.name));
    let expires_in = match body.expires_in {
        Some(seconds) if !(1..=EXPIRES_IN_MAX).contains(&seconds) => {
            Err(texts::request::must_be_between(1, EXPIRES_IN_MAX))
        }
        within => Ok(within.unwrap_or(EXPIRES_IN)),
    };
    let expires_in = invalid.check("expires_in", expires_in);
    let (Some(name), Some(expires_in)) = (name, expires_in) else { return Err(invalid.into()) };
    let made = accounts.make_personal_token(who, name, Secret(body.password), expires_in);
    let token = limit_password_guesses(&guard.rates, who, made).await?;
    Ok((StatusCode::CREATED, Json(token)))
}

/// Revoke a personal access token
///
/// A personal access token can only revoke itself; to revoke another, log in and use an access token.
#[utoipa::path(
    delete, path = "/api/v1/tokens/{id}", tag = tag::ACCOUNTS,
    params(IdPath),
    responses((status = 204, description = "The token was revoked."), ErrorResponses<Forbidden>),
)]
async fn revoke_token(
    State(accounts): State<Arc<dyn Accounts>>,
    Caller(who): Caller,
    Path(IdPath { id }): Path<IdPath>,
) -> Result<StatusCode, Problem> {
    accounts.revoke_personal_token(who, session_id(&id, texts::accounts::NO_SUCH_TOKEN)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
