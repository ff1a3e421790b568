//! The header `x-starling-cursor`: a request with it waits until this node has everything that the client has seen on
//! other nodes, and the response carries this node's cursor.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue},
    middleware::Next,
    response::{IntoResponse, Response},
};

use starling_protocol::{Cursor, CursorOwner, ErrorCode, Hlc, UserId};

use crate::{
    problem::Problem,
    routes::AppState,
    service::{CaughtUp, Identity, Refusal},
};

const NAME: HeaderName = HeaderName::from_static("x-starling-cursor");

/// Middleware around all of `/api/v1`, inside the layer that authenticates the caller.
pub async fn carry(State(web): State<Arc<AppState>>, request: Request, next: Next) -> Response {
    let caller = request.extensions().get().map(|identity: &Identity| identity.user);
    let mut response = match wait(&web, request.headers()).await {
        Ok(()) => next.run(request).await,
        Err(refusal) => Problem::from(refusal).into_response(),
    };
    // A user who registers or logs in is known only now.
    let user = caller.or_else(|| response.extensions().get().map(|&CursorFor(user)| user));
    if let Some(cursor) = user.and_then(|user| current_cursor(&web, user)) {
        response.headers_mut().insert(NAME, cursor);
    }
    response
}

/// The user for whom a response carries a cursor, if the request was not authenticated. An extension of the response.
#[derive(Clone, Copy)]
pub struct CursorFor(pub UserId);

/// Waits until this node has everything that the request's cursor covers. Refuses with `unavailable` if a reachable node
/// has more but this node does not get it in time. If no reachable node has it, the request is answered from what is here.
pub async fn wait(web: &AppState, headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(cursor) = request_cursor(web, headers) else { return Ok(()) };
    match web.rooms.catch_up(&cursor.vector).await {
        CaughtUp::All | CaughtUp::NobodyHasIt => Ok(()),
        CaughtUp::TooSlow => {
            let detail =
                "this node doesn't have everything that you have seen yet; use another node, or try again";
            Err(Refusal::new(ErrorCode::Unavailable, detail))
        }
    }
}

/// Returns the cursor of a request, if it has one that this node can read.
pub fn request_cursor(web: &AppState, headers: &HeaderMap) -> Option<Cursor> {
    web.rooms.open(headers.get(NAME)?.to_str().ok()?).ok()
}

/// Returns the current cursor of this node, sealed for a user.
fn current_cursor(web: &AppState, user: UserId) -> Option<HeaderValue> {
    let sealed = web.rooms.seal(CursorOwner::User(user), &web.lanes.commit_point(), Hlc::default());
    HeaderValue::try_from(sealed.text).ok()
}
