//! The live socket of an account.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use starling_protocol::{CursorOwner, cursor::CursorError};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{caller::Caller, extract::Query};
use crate::{
    openapi::{
        errors::{BadRequest, Draining, ErrorResponses, Forbidden, RateLimited, StorageFull},
        tag,
    },
    problem::Problem,
    routes::socket::{Upgrade, parse_pos},
    session::{
        ResumePoint, SessionDeps,
        account::{self, SessionUser},
    },
    state::AppState,
};

/// The subprotocol that the server selects from `starling.v1, bearer.ACCESS_TOKEN`.
const PROTOCOL: &str = "starling.v1";

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(open_account_socket))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct LiveQuery {
    /// The last cursor that you received: the server sends what you missed.
    cursor: Option<String>,
    /// The `pos` of the last message that you have shown or got an ack for: your messages sort after it.
    #[param(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_-]+$")]
    after: Option<String>,
}

/// Open the WebSocket of your account
///
/// The server sends everything that concerns you, as it happens. Authenticate with `Authorization: Bearer`, or with the
/// subprotocols `starling.v1, bearer.ACCESS_TOKEN`. The socket lives as long as your session, and closes with 4001 when the
/// session ends. The AsyncAPI document, `/api/asyncapi.json`, describes its frames, its close codes and how to resume.
#[utoipa::path(
    get, path = "/api/v1/live", tag = tag::LIVE, params(LiveQuery),
    responses(
        (status = 101, description = "The connection is a WebSocket now."),
        ErrorResponses<(BadRequest, Forbidden, RateLimited, Draining, StorageFull)>,
    ),
)]
async fn open_account_socket(
    State(deps): State<SessionDeps>,
    Caller(identity): Caller,
    Query(query): Query<LiveQuery>,
    upgrade: Upgrade,
) -> Result<Response, Problem> {
    let last_seen_pos = query.after.map(|after| parse_pos("after", &after)).transpose()?;
    let resume_point = match query.cursor {
        None => ResumePoint::Nothing,
        Some(text) => match deps.cursors.open(&text).await {
            Ok(cursor) if cursor.owner == CursorOwner::User(identity.user) => {
                ResumePoint::Cursor(cursor, text)
            }
            Ok(_) => ResumePoint::Unreadable(CursorError::Unreadable),
            Err(error) => ResumePoint::Unreadable(error),
        },
    };
    let admitted = match upgrade.admit(&deps) {
        Ok(admitted) => admitted,
        Err(response) => return Ok(*response),
    };
    let user = SessionUser { identity, client: admitted.client(), resume_point, last_seen_pos };
    let (deps, user) = (Box::new(deps), Box::new(user));
    let session = async move |socket| account::run(deps, user, socket).await;
    Ok(admitted.run(&[PROTOCOL], session).into_response())
}
