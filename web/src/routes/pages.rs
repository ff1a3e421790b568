//! The pages and what they load. Rendering is `pages`' and `assets`'; this adds status and headers.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Redirect, Response},
};
use starling_protocol::{ErrorCode, RoomId, RoomName};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{AppState, api::Path, forms::Visitor};
use crate::{
    assets,
    openapi::{
        errors::{ErrorResponses, NotFound},
        tag,
    },
    pages,
    problem::Problem,
    service::{Refusal, RegistrationMode},
};

/// No inline script or style, nothing from elsewhere.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; \
     frame-ancestors 'none'; manifest-src 'self'";

/// A page, with what the browser is told about it.
pub fn page(status: StatusCode, page: impl IntoResponse) -> Response {
    let headers =
        [(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY), (header::CACHE_CONTROL, "no-cache")];
    (status, headers, page).into_response()
}

/// All of them.
pub fn routes() -> OpenApiRouter<Arc<AppState>> {
    OpenApiRouter::default().routes(routes!(home)).routes(routes!(room)).routes(routes!(asset))
}

/// The front page
#[utoipa::path(
    get, path = "/", tag = tag::PAGES,
    responses((status = 200, description = "A page.", body = String, content_type = "text/html")),
    security(()),
)]
async fn home(State(web): State<Arc<AppState>>, visitor: Visitor) -> Response {
    let may_register = web.settings.registration != RegistrationMode::Closed;
    visitor.answer(page(StatusCode::OK, pages::home(visitor.me.as_ref(), may_register)))
}

/// The page of a room
///
/// Opens the room in a browser. Asks a guest for a name; whoever is logged in comes as himself.
#[utoipa::path(
    get, path = "/r/{room}", tag = tag::PAGES,
    params(("room" = String, Path, description = "The room's id.")),
    responses(
        (status = 200, description = "A page.", body = String, content_type = "text/html"),
        (status = 403, description = "A page: rooms without an account are switched off.", body = String,
            content_type = "text/html"),
        (status = 404, description = "A page: there is no such room.", body = String, content_type = "text/html"),
    ),
    security(()),
)]
async fn room(
    State(web): State<Arc<AppState>>,
    visitor: Visitor,
    room: Result<Path<String>, Problem>,
) -> Response {
    if !web.settings.guests_enabled {
        let detail = "Rooms without an account are switched off on this server.";
        return page(StatusCode::FORBIDDEN, pages::not_found("No guests here", detail));
    }
    let id = room.ok().and_then(|Path(room)| RoomId::parse(&room).ok().flatten());
    let name = match id {
        Some(id) => web.rooms.find(id).await.map(|name| (id, name)),
        None => Err(Refusal::new(ErrorCode::NotFound, "")),
    };
    match name {
        Ok((id, name)) => {
            let me = visitor.me.as_ref().map(|me| me.username.as_str());
            let room = pages::room(&id.to_string(), name.as_ref().map(RoomName::as_str), me);
            visitor.answer(page(StatusCode::OK, room))
        }
        Err(refusal) if refusal.code == ErrorCode::NotFound => {
            let detail = "Check the link: the room may have expired, or a character is missing.";
            page(StatusCode::NOT_FOUND, pages::not_found("No such room", detail))
        }
        Err(refusal) => Problem::from(refusal).into_response(),
    }
}

/// What pages load
///
/// Named by its content, so kept for ever.
#[utoipa::path(
    get, path = "/assets/{version}/{name}", tag = tag::PAGES,
    params(
        ("version" = String, Path, description = "Of all assets of a binary; another one's are answered uncached."),
        ("name" = String, Path, description = "The file."),
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
        None => Problem::new(ErrorCode::NotFound, "no such asset").into_response(),
    }
}

/// Any other address: a page for people; a problem for programs, whatever they say that they take. One that ends with a
/// slash leads to the same without it, as links that were copied or typed may.
pub async fn not_found(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    if method.is_safe()
        && let Some(address) = without_slash(&uri)
    {
        return Redirect::permanent(&address).into_response();
    }
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if accept.contains("text/html") && !uri.path().starts_with("/api/v1/") {
        let detail = "There is nothing at this address.";
        return page(StatusCode::NOT_FOUND, pages::not_found("Not found", detail));
    }
    Problem::new(ErrorCode::NotFound, format!("there is nothing at {}", uri.path())).into_response()
}

/// The address of a page without the slash at its end; nothing if it has none. `//host/` would lead elsewhere.
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

    /// A slash too many leads to the page, and never to another site.
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
