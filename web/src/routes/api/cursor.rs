//! The header `x-starling-cursor`: a request with it waits until this node has everything that the client has seen on
//! other nodes, and the response carries this node's cursor.

use std::{convert::Infallible, sync::Arc};

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};

use starling_protocol::{Cursor, CursorOwner, ErrorCode, Hlc, UserId, texts};

use crate::{
    lane::Lanes,
    problem::Problem,
    service::{CatchUpOutcome, Cursors, Identity, Refusal},
    state::AppState,
};

const NAME: HeaderName = HeaderName::from_static("x-starling-cursor");

/// Middleware around all of `/api/v1`, inside the layer that authenticates the caller.
pub async fn carry(
    State(cursors): State<Arc<dyn Cursors>>,
    State(lanes): State<Arc<Lanes>>,
    request: Request,
    next: Next,
) -> Response {
    let caller = request.extensions().get().map(|identity: &Identity| identity.user);
    let mut response = match wait(&*cursors, request.headers()).await {
        Ok(()) => next.run(request).await,
        Err(refusal) => Problem::from(refusal).into_response(),
    };
    // A user who registers or logs in is known only now.
    let user = caller.or_else(|| response.extensions().get().map(|&CursorFor(user)| user));
    if let Some(cursor) = user.and_then(|user| current_cursor(&*cursors, &lanes, user)) {
        response.headers_mut().insert(NAME, cursor);
    }
    response
}

/// The user for whom a response carries a cursor, if the request was not authenticated. An extension of the response.
#[derive(Clone, Copy)]
pub struct CursorFor(pub UserId);

/// Waits until this node has everything that the request's cursor covers. Refuses with `unavailable` if a reachable node
/// has more but this node does not get it in time. If no reachable node has it, the request is answered from what is here.
pub async fn wait(cursors: &dyn Cursors, headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(cursor) = sent(cursors, headers).await else { return Ok(()) };
    match cursors.wait_for(&cursor.vector).await {
        CatchUpOutcome::All | CatchUpOutcome::Missing => Ok(()),
        CatchUpOutcome::TooSlow => Err(Refusal::new(ErrorCode::Unavailable, texts::node::BEHIND_CURSOR)),
    }
}

/// The cursor of a request, if it sent one that this node can open.
pub struct SentCursor(pub Option<Cursor>);

impl FromRequestParts<AppState> for SentCursor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Infallible> {
        Ok(Self(sent(&*state.cursors, &parts.headers).await))
    }
}

async fn sent(cursors: &dyn Cursors, headers: &HeaderMap) -> Option<Cursor> {
    cursors.open(headers.get(NAME)?.to_str().ok()?).await.ok()
}

/// Returns the current cursor of this node, sealed for a user.
fn current_cursor(cursors: &dyn Cursors, lanes: &Lanes, user: UserId) -> Option<HeaderValue> {
    let sealed = cursors.seal(CursorOwner::User(user), &lanes.commit_point(), Hlc::default());
    HeaderValue::try_from(sealed.text).ok()
}
