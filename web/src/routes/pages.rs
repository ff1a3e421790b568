//! The pages and what they load. Rendering is `pages`' and `assets`'; this adds status and headers.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use maud::Markup;
use starling_protocol::{ErrorCode, RoomId, RoomName};

use super::Web;
use crate::{assets, pages, service::Refusal};

/// No inline script or style, nothing from elsewhere.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; \
     frame-ancestors 'none'; manifest-src 'self'";

fn page(status: StatusCode, markup: Markup) -> Response {
    let headers =
        [(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY), (header::CACHE_CONTROL, "no-cache")];
    (status, headers, markup).into_response()
}

/// `GET /`
pub async fn home() -> Response {
    page(StatusCode::OK, pages::home())
}

/// `GET /r/ID`
pub async fn room(State(web): State<Arc<Web>>, Path(room): Path<String>) -> Response {
    if !web.settings.guests_enabled {
        let detail = "Rooms without an account are switched off on this server.";
        return page(StatusCode::FORBIDDEN, pages::not_found("No guests here", detail));
    }
    let name = match RoomId::parse(&room) {
        Ok(Some(id)) => web.rooms.find(id).await,
        Ok(None) | Err(_) => Err(Refusal::new(ErrorCode::NotFound, "")),
    };
    match name {
        Ok(name) => page(StatusCode::OK, pages::room(&room, name.as_ref().map(RoomName::as_str))),
        Err(refusal) if refusal.code == ErrorCode::NotFound => {
            let detail = "Check the link: the room may have expired, or a character is missing.";
            page(StatusCode::NOT_FOUND, pages::not_found("No such room", detail))
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// `GET /assets/…`: named by their content, so kept for ever.
pub async fn asset(Path(path): Path<String>) -> Response {
    match assets::serve(&path) {
        Some(asset) => {
            let headers =
                [(header::CONTENT_TYPE, asset.content_type), (header::CACHE_CONTROL, asset.cache_control)];
            (headers, asset.body).into_response()
        }
        None => Refusal::new(ErrorCode::NotFound, "no such asset").into_response(),
    }
}

/// Any other address: a page for people, a problem for programs.
pub async fn not_found(uri: Uri, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if accept.contains("text/html") {
        let detail = "There is nothing at this address.";
        return page(StatusCode::NOT_FOUND, pages::not_found("Not found", detail));
    }
    Refusal::new(ErrorCode::NotFound, format!("there is nothing at {}", uri.path())).into_response()
}
