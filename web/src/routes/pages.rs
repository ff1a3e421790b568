//! The front page, the page of a quick room, assets, and the fallback for unknown addresses.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Redirect, Response},
};
use starling_protocol::{ErrorCode, RoomId, RoomName, texts};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{api::Path, forms::visitor::Visitor, html::html_page};
use crate::{
    assets,
    openapi::{
        errors::{ErrorResponses, NotFound},
        tag,
    },
    pages::{self, texts::error as page_texts},
    problem::Problem,
    service::{QuickRooms, Refusal, RegistrationMode},
    state::{AppState, WebSettings},
};

/// The routes.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(home)).routes(routes!(room)).routes(routes!(asset))
}

/// The front page
#[utoipa::path(
    get, path = "/", tag = tag::PAGES,
    responses((status = 200, description = "A page.", body = String, content_type = "text/html")),
    security(()),
)]
async fn home(State(settings): State<Arc<WebSettings>>, visitor: Visitor) -> Response {
    let may_register = settings.registration != RegistrationMode::Closed;
    visitor.mark_private(html_page(StatusCode::OK, pages::home(visitor.me.as_ref(), may_register)))
}

/// The page of a room
///
/// Opens the room in a browser. Asks guests for a name; you join under your username if you are logged in.
#[utoipa::path(
    get, path = "/r/{room}", tag = tag::PAGES,
    params(("room" = String, Path, description = "The room's id.")),
    responses(
        (status = 200, description = "A page.", body = String, content_type = "text/html"),
        (status = 403, description = "A page: quick rooms are turned off.", body = String,
            content_type = "text/html"),
        (status = 404, description = "A page: the room does not exist.", body = String, content_type = "text/html"),
    ),
    security(()),
)]
async fn room(
    State(settings): State<Arc<WebSettings>>,
    State(quick_rooms): State<Arc<dyn QuickRooms>>,
    visitor: Visitor,
    room: Result<Path<String>, Problem>,
) -> Response {
    if !settings.quick_rooms_enabled {
        let markup = pages::error(page_texts::GUESTS_DISABLED, page_texts::GUESTS_DISABLED_DETAIL);
        return html_page(StatusCode::FORBIDDEN, markup);
    }
    let id = room.ok().and_then(|Path(room)| RoomId::parse(&room).ok().flatten());
    let name = match id {
        Some(id) => quick_rooms.find(id).await.map(|name| (id, name)),
        None => Err(Refusal::new(ErrorCode::NotFound, "")),
    };
    match name {
        Ok((id, name)) => {
            let me = visitor.me.as_ref().map(|me| me.username.as_str());
            let room = pages::room(&id.to_string(), name.as_ref().map(RoomName::as_str), me);
            visitor.mark_private(html_page(StatusCode::OK, room))
        }
        Err(refusal) if refusal.code == ErrorCode::NotFound => {
            let markup = pages::error(page_texts::NO_SUCH_ROOM, page_texts::NO_SUCH_ROOM_DETAIL);
            html_page(StatusCode::NOT_FOUND, markup)
        }
        Err(refusal) => Problem::from(refusal).into_response(),
    }
}

/// A style sheet, script or image
///
/// Its address changes with its content, so browsers may cache it for ever.
#[utoipa::path(
    get, path = "/assets/{version}/{name}", tag = tag::PAGES,
    params(
        ("version" = String, Path, description = "The version of all assets. Files under another version are served, but must not be cached."),
        ("name" = String, Path, description = "The name of the file."),
    ),
    responses(
        (status = 200, description = "Its content.", content(
            (String = "text/css"), (String = "text/javascript"), (String = "image/svg+xml"),
            (String = "application/manifest+json"),
        )),
        ErrorResponses<NotFound>,
    ),
    security(()),
)]
async fn asset(Path((version, name)): Path<(String, String)>) -> Response {
    match assets::serve(&version, &name) {
        Some(asset) => {
            let headers =
                [(header::CONTENT_TYPE, asset.content_type), (header::CACHE_CONTROL, asset.cache_control)];
            (headers, asset.body).into_response()
        }
        None => Problem::new(ErrorCode::NotFound, texts::request::NO_SUCH_ASSET).into_response(),
    }
}

/// Responds to any other address: with a page for browsers, with a problem for programs. An address that ends with a slash
/// redirects to the one without it, because copied or typed links may end with a slash.
pub async fn not_found(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    if method.is_safe()
        && let Some(address) = without_slash(&uri)
    {
        return Redirect::permanent(&address).into_response();
    }
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if accept.contains("text/html") && !uri.path().starts_with("/api/v1/") {
        let markup = pages::error(page_texts::NOT_FOUND, page_texts::NOT_FOUND_DETAIL);
        return html_page(StatusCode::NOT_FOUND, markup);
    }
    Problem::new(ErrorCode::NotFound, texts::request::nothing_at(uri.path())).into_response()
}

/// Returns the address without the slash at its end, if it has one and may be a page. `//host/` would lead to another site.
fn without_slash(uri: &Uri) -> Option<String> {
    let path = uri.path().strip_suffix('/')?;
    let is_page =
        path.len() > 1 && !path.starts_with("//") && !path.ends_with('/') && !path.starts_with("/api/");
    let query = || uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    is_page.then(|| format!("{path}{}", query()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: an address with a slash too many redirects to the page, and never to another site.
    #[test]
    fn addresses_lose_the_slash_at_their_end() {
        for (address, without) in [
            ("/r/abc/", Some("/r/abc")),
            ("/invite/x/?a=b", Some("/invite/x?a=b")),
            ("/", None),
            ("//", None),
            ("//evil.example/", None),
            ("/r/abc//", None),
            ("/r/abc", None),
            ("/api/v1/rooms/", None),
        ] {
            let uri = address.parse::<Uri>().unwrap();
            assert_eq!(without_slash(&uri).as_deref(), without, "{address}");
        }
    }
}
