//! `x-starling-cursor`: what a client has seen on another node is waited for here, as a resume waits, and the answer
//! carries this node's own.

use std::{convert::Infallible, sync::Arc};

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};

use starling_protocol::{Cursor, CursorOwner, ErrorCode, Hlc, UserId};

use crate::{
    lane::Lanes,
    problem::Problem,
    service::{CaughtUp, Cursors, Identity, Refusal},
    state::AppState,
};

const NAME: HeaderName = HeaderName::from_static("x-starling-cursor");

/// A layer around all of `/api/v1`, inside of what finds out who asks.
pub async fn carry(
    State(cursors): State<Arc<dyn Cursors>>,
    State(lanes): State<Arc<Lanes>>,
    request: Request,
    next: Next,
) -> Response {
    let asker = request.extensions().get().map(|identity: &Identity| identity.user);
    let mut response = match wait(&*cursors, request.headers()).await {
        Ok(()) => next.run(request).await,
        Err(refusal) => Problem::from(refusal).into_response(),
    };
    // Whoever registers or logs in is known only now.
    let user = asker.or_else(|| response.extensions().get().map(|&For(user)| user));
    if let Some(cursor) = user.and_then(|user| own(&*cursors, &lanes, user)) {
        response.headers_mut().insert(NAME, cursor);
    }
    response
}

/// Whom an answer concerns that did not know who asks: an [`axum::Extension`] of it.
#[derive(Clone, Copy)]
pub struct For(pub UserId);

/// What the request's cursor covers is waited for. Beyond a split, the answer is of what is here; it is refused only where
/// a node that is reached would know better.
pub async fn wait(cursors: &dyn Cursors, headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(cursor) = sent(cursors, headers) else { return Ok(()) };
    match cursors.catch_up(&cursor.vector).await {
        CaughtUp::All | CaughtUp::NobodyHasIt => Ok(()),
        CaughtUp::TooSlow => {
            let detail = "this node is still behind what you have seen; use another, or try again";
            Err(Refusal::new(ErrorCode::Unavailable, detail))
        }
    }
}

/// The cursor of a request, if it sent one that this node can open.
pub struct SentCursor(pub Option<Cursor>);

impl FromRequestParts<AppState> for SentCursor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Infallible> {
        Ok(Self(sent(&*state.cursors, &parts.headers)))
    }
}

fn sent(cursors: &dyn Cursors, headers: &HeaderMap) -> Option<Cursor> {
    cursors.open(headers.get(NAME)?.to_str().ok()?).ok()
}

/// The node's cursor as of now, sealed for a user.
fn own(cursors: &dyn Cursors, lanes: &Lanes, user: UserId) -> Option<HeaderValue> {
    let sealed = cursors.seal(CursorOwner::User(user), &lanes.commit_point(), Hlc::default());
    HeaderValue::try_from(sealed.text).ok()
}
