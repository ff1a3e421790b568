//! `x-starling-cursor`: what a client has seen on another node is waited for here, as a resume waits, and the answer
//! carries this node's own.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{Extensions, HeaderMap, HeaderName, HeaderValue},
    middleware::Next,
    response::Response,
};

use starling_protocol::{Cursor, CursorOwner, Hlc};

use crate::{routes::Web, service::Identity};

const NAME: HeaderName = HeaderName::from_static("x-starling-cursor");

/// Around all of `/api/v1`, inside of what finds out who asks.
pub async fn carry(State(web): State<Arc<Web>>, request: Request, next: Next) -> Response {
    wait(&web, request.headers()).await;
    let asker = request.extensions().clone();
    let mut response = next.run(request).await;
    if let Some(cursor) = own(&web, &asker) {
        response.headers_mut().insert(NAME, cursor);
    }
    response
}

/// What the request's cursor covers is waited for; what cannot be had is not there.
pub async fn wait(web: &Web, headers: &HeaderMap) {
    if let Some(cursor) = brought(web, headers) {
        web.rooms.catch_up(&cursor.vector).await;
    }
}

/// The cursor of a request, if it brings one that can be read here.
pub fn brought(web: &Web, headers: &HeaderMap) -> Option<Cursor> {
    web.rooms.open(headers.get(NAME)?.to_str().ok()?).ok()
}

/// The node's cursor as of now, sealed for the user that authentication has put into the request's extensions.
fn own(web: &Web, asker: &Extensions) -> Option<HeaderValue> {
    let Identity { user, .. } = asker.get()?;
    let sealed = web.rooms.seal(CursorOwner::User(*user), &web.lanes.commit_point(), Hlc::default());
    HeaderValue::try_from(sealed.text).ok()
}
