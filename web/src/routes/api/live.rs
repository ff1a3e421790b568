//! The live socket of somebody with an account.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use starling_protocol::{CursorOwner, cursor::CursorError};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Caller, Query};
use crate::{
    openapi::{
        errors::{BadRequest, Draining, ErrorResponses, Forbidden, RateLimited, StorageFull},
        tag,
    },
    problem::Problem,
    routes::{
        AppState,
        socket::{Upgrade, parse_pos},
    },
    session::{
        ResumePoint,
        account::{self, Account},
    },
};

/// What the server selects of the subprotocols `starling.v1, bearer.ACCESS_TOKEN`.
const PROTOCOL: &str = "starling.v1";

/// All of them.
pub fn routes() -> OpenApiRouter<Arc<AppState>> {
    OpenApiRouter::default().routes(routes!(open_account_socket))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct LiveQuery {
    /// The last cursor received: the server sends what you missed.
    cursor: Option<String>,
    /// The `pos` of the last message that you have shown or that was acked: the server stamps your posts above it.
    #[param(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_-]+$")]
    after: Option<String>,
}

/// Open your WebSocket: everything that concerns you, live
///
/// Authenticate with `Authorization: Bearer`, or with the subprotocols `starling.v1, bearer.ACCESS_TOKEN`. The socket lives
/// as long as your session, and closes with 4001 when it ends. Its frames, its close codes and how to resume are in the
/// AsyncAPI document, `/api/asyncapi.json`.
#[utoipa::path(
    get, path = "/api/v1/live", tag = tag::LIVE, params(LiveQuery),
    responses(
        (status = 101, description = "The connection is a WebSocket now."),
        ErrorResponses<(BadRequest, Forbidden, RateLimited, Draining, StorageFull)>,
    ),
)]
async fn open_account_socket(
    State(web): State<Arc<AppState>>,
    Caller(identity): Caller,
    Query(query): Query<LiveQuery>,
    upgrade: Upgrade,
) -> Result<Response, Problem> {
    let after = query.after.map(|after| parse_pos("after", &after)).transpose()?;
    let resume_point = match query.cursor {
        None => ResumePoint::Nothing,
        Some(text) => match web.rooms.open(&text) {
            Ok(cursor) if cursor.owner == CursorOwner::User(identity.user) => {
                ResumePoint::Cursor(cursor, text)
            }
            Ok(_) => ResumePoint::Unreadable(CursorError::Unreadable),
            Err(error) => ResumePoint::Unreadable(error),
        },
    };
    let admitted = match upgrade.admit(&web) {
        Ok(admitted) => admitted,
        Err(response) => return Ok(*response),
    };
    let account = Account { identity, client: admitted.client(), resume_point, after };
    let session = async move |socket| account::run(web, account, socket).await;
    Ok(admitted.run(&[PROTOCOL], session).into_response())
}
