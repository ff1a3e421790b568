//! `x-starling-cursor`: what a client has seen on another node is waited for here, as a resume waits, and the answer
//! carries this node's own.

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

/// A layer around all of `/api/v1`, inside of what finds out who asks.
pub async fn carry(State(web): State<Arc<AppState>>, request: Request, next: Next) -> Response {
    let asker = request.extensions().get().map(|identity: &Identity| identity.user);
    let mut response = match wait(&web, request.headers()).await {
        Ok(()) => next.run(request).await,
        Err(refusal) => Problem::from(refusal).into_response(),
    };
    // Whoever registers or logs in is known only now.
    let user = asker.or_else(|| response.extensions().get().map(|&For(user)| user));
    if let Some(cursor) = user.and_then(|user| own(&web, user)) {
        response.headers_mut().insert(NAME, cursor);
    }
    response
}

/// Whom an answer concerns that did not know who asks: an [`axum::Extension`] of it.
#[derive(Clone, Copy)]
pub struct For(pub UserId);

/// What the request's cursor covers is waited for. Beyond a split, the answer is of what is here; it is refused only where
/// a node that is reached would know better.
pub async fn wait(web: &AppState, headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(cursor) = resume_point(web, headers) else { return Ok(()) };
    match web.rooms.catch_up(&cursor.vector).await {
        CaughtUp::All | CaughtUp::NobodyHasIt => Ok(()),
        CaughtUp::TooSlow => {
            let detail = "this node is still behind what you have seen; use another, or try again";
            Err(Refusal::new(ErrorCode::Unavailable, detail))
        }
    }
}

/// The cursor of a request, if it brings one that can be read here.
pub fn resume_point(web: &AppState, headers: &HeaderMap) -> Option<Cursor> {
    web.rooms.open(headers.get(NAME)?.to_str().ok()?).ok()
}

/// The node's cursor as of now, sealed for a user.
fn own(web: &AppState, user: UserId) -> Option<HeaderValue> {
    let sealed = web.rooms.seal(CursorOwner::User(user), &web.lanes.commit_point(), Hlc::default());
    HeaderValue::try_from(sealed.text).ok()
}
