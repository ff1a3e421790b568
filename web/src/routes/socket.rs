//! How a request becomes a WebSocket: what it may cost, and what is asked last before there is one.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{
        FromRequestParts, WebSocketUpgrade,
        ws::{WebSocket, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, HeaderValue, Version, header, request::Parts},
    response::{IntoResponse, Response},
};
use starling_protocol::{ErrorCode, Pos, limits::CLIENT_FRAME_BYTES_MAX};

use super::AppState;
use crate::{
    guard::{ClientAddress, Quota, Share},
    problem::Problem,
    server::{ClosedEarly, ConnectionPermit},
    service::Refusal,
    session::ClientEnd,
};

/// Read buffer of a WebSocket: 128 KiB by default, which is what idle sessions would cost.
const READ_BUFFER_BYTES: usize = 1024;
/// Frames gather up to here before they are written without a flush.
const WRITE_BUFFER_BYTES: usize = 16 * 1024;
/// The most that may wait in one session's write buffer: a flush's worth and the largest frame, a welcome to a room
/// of thousands. It is only as large as what it holds.
const WRITE_BUFFER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What may become a WebSocket.
pub struct Upgrade {
    version: Version,
    asked_for: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    permit: ConnectionPermit,
    share: Option<Share>,
    client: ClientEnd,
    closed_early: bool,
}

impl FromRequestParts<Arc<AppState>> for Upgrade {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, web: &Arc<AppState>) -> Result<Self, Response> {
        let extension = |rejection: axum::extract::rejection::ExtensionRejection| rejection.into_response();
        let Extension(permit) = Extension::from_request_parts(parts, web).await.map_err(extension)?;
        let Extension(ClosedEarly(closed_early)) =
            Extension::from_request_parts(parts, web).await.map_err(extension)?;
        let Extension(address) =
            Extension::<ClientAddress>::from_request_parts(parts, web).await.map_err(extension)?;
        let Extension(intake) = Extension::from_request_parts(parts, web).await.map_err(extension)?;
        let client = ClientEnd { network: address.network(), intake };
        let share = parts.extensions.get().cloned();
        join_connection_headers(&mut parts.headers);
        let asked_for = WebSocketUpgrade::from_request_parts(parts, web).await;
        Ok(Self { version: parts.version, asked_for, permit, share, client, closed_early })
    }
}

impl Upgrade {
    /// Whether the request asks for a WebSocket at all.
    pub fn is_asked_for(&self) -> bool {
        self.asked_for.is_ok()
    }

    /// The WebSocket that is to be, if this node serves users now.
    pub fn admit(self, web: &AppState) -> Result<Admitted, Box<Response>> {
        let Ok(upgrade) = self.asked_for else {
            // RFC 6455, section 4.4. The page learns from this header that nothing else is wrong.
            let version = [(header::SEC_WEBSOCKET_VERSION, "13")];
            let detail = if self.version < Version::HTTP_11 {
                "a WebSocket needs HTTP/1.1, and this request came as HTTP/1.0: a proxy in between must speak HTTP/1.1 \
                 and pass the upgrade on (nginx: proxy_http_version 1.1, proxy_set_header Upgrade $http_upgrade, \
                 proxy_set_header Connection \"upgrade\")"
            } else {
                "this is the address of a WebSocket: ask for an upgrade; a proxy in between must pass on the headers \
                 Upgrade and Connection"
            };
            let problem = Problem::from(bad_request(detail));
            return Err((version, problem).into_response().into());
        };
        if let Some(refusal) = web.drain.serving().refusal() {
            return Err(Problem::from(refusal).into_response().into());
        }
        if self.closed_early {
            // Nobody reads this. A session would take the place of the one that its guest has meanwhile elsewhere.
            let refusal = bad_request("a WebSocket wants both halves of its connection");
            return Err(Problem::from(refusal).into_response().into());
        }
        if let Err(refusal) = web.guard.rates.check(Quota::SocketsPerAddress, &self.client.network) {
            return Err(Problem::from(refusal).into_response().into());
        }
        Ok(Admitted { upgrade, held: (self.permit, self.share), client: self.client })
    }
}

/// Puts several `Connection` headers (`keep-alive` and `Upgrade`) into one, which says the same (RFC 9110, section 5.3):
/// axum reads the first alone.
fn join_connection_headers(headers: &mut HeaderMap) {
    let values: Vec<_> = headers.get_all(header::CONNECTION).iter().map(HeaderValue::as_bytes).collect();
    if values.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&values.join(&b", "[..]))
    {
        headers.insert(header::CONNECTION, joined);
    }
}

/// What becomes a WebSocket.
pub struct Admitted {
    upgrade: WebSocketUpgrade,
    /// What it holds as long as it lives.
    held: (ConnectionPermit, Option<Share>),
    client: ClientEnd,
}

impl Admitted {
    /// The client's end of it.
    pub fn client(&self) -> ClientEnd {
        self.client.clone()
    }

    /// Runs a session over it, in one of these subprotocols if the client asks for it.
    pub fn run<F: Future<Output = ()> + Send>(
        self,
        protocols: &'static [&'static str],
        session: impl FnOnce(WebSocket) -> F + Send + 'static,
    ) -> Response {
        let Self { upgrade, held, .. } = self;
        upgrade
            .protocols(protocols.iter().copied())
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(WRITE_BUFFER_BYTES)
            .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
            .max_message_size(CLIENT_FRAME_BYTES_MAX)
            .max_frame_size(CLIENT_FRAME_BYTES_MAX)
            .on_upgrade(async move |socket| {
                session(socket).await;
                drop(held);
            })
    }
}

/// The place that a client has shown, in its words.
pub fn parse_pos(name: &str, text: &str) -> Result<Pos, Refusal> {
    Pos::parse(text).map_err(|_| bad_request(format!("{name} is not the pos of a message")))
}

/// What cannot be read.
pub fn bad_request(detail: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal::new(ErrorCode::BadRequest, detail)
}
