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
        refuses::{BadRequest, Draining, Forbidden, RateLimited, Refuses, StorageFull},
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
    OpenApiRouter::default().routes(routes!(live))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct LiveQuery {
    /// The last cursor received: brings what was missed.
    cursor: Option<String>,
    /// The `pos` of the last message shown or acked: posts are stamped above it.
    #[param(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_-]+$")]
    after: Option<String>,
}

/// All that concerns one, live: a WebSocket
///
/// Browsers send their cookie; programs `Authorization: Bearer`, or the subprotocols `starling.v1, bearer.ACCESS_TOKEN`.
/// The socket lives as long as the session, and is closed with 4001 when that ends.
///
/// Server to client, JSON objects with a `type`: `welcome` first, then `message`, `message_updated`, `message_deleted`,
/// `ack`, `cursor`, `typing`, `presence`, `read`, `room`, `contact`, `error`, `resync`, `pong`. A resume repeats what was
/// missed, each thing as it is now; clients replace by id. `welcome` comes again if some of who came and went was lost, and
/// when the user is called otherwise than before: he may have to give up a name that another had first.
///
/// Client to server: `send {id, room_id, body, reply_to?}`, `typing {room_id}`, `read {room_id, message_id}`, `ping`.
/// A frame over 128 KiB closes with 1009.
#[utoipa::path(
    get, path = "/api/v1/live", tag = tag::LIVE, params(LiveQuery),
    responses(
        (status = 101, description = "The connection speaks WebSocket from here on."),
        Refuses<(BadRequest, Forbidden, RateLimited, Draining, StorageFull)>,
    ),
    security(("bearer" = []), ("cookie" = [])),
)]
async fn live(
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
