//! The upgrade of a request to a WebSocket: its buffers, and the last checks.

use axum::{
    Extension,
    extract::{
        FromRequestParts, WebSocketUpgrade,
        ws::{WebSocket, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, HeaderValue, Version, header, request::Parts},
    response::{IntoResponse, Response},
};
use starling_protocol::{ErrorCode, Pos, limits::CLIENT_FRAME_BYTES_MAX, texts};

use crate::{
    guard::{ClientAddress, ConnectionSlot, Quota},
    problem::Problem,
    server::{ClosedEarly, ConnectionPermit},
    service::Refusal,
    session::{ClientConnection, SessionDeps},
};

/// The read buffer of a WebSocket. The default of 128 KiB would make idle sessions expensive.
const READ_BUFFER_BYTES: usize = 1024;
/// Buffered frames are written once they exceed this size, even before a flush.
const WRITE_BUFFER_BYTES: usize = 16 * 1024;
/// The largest write buffer of a session: enough for a flush and the largest frame, a welcome to a room of thousands. The
/// buffer is only as large as its contents.
const WRITE_BUFFER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A request that may become a WebSocket.
pub struct Upgrade {
    version: Version,
    asked_for: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    permit: ConnectionPermit,
    slot: Option<ConnectionSlot>,
    client: ClientConnection,
    closed_early: bool,
}

impl<S: Send + Sync> FromRequestParts<S> for Upgrade {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let extension = |rejection: axum::extract::rejection::ExtensionRejection| rejection.into_response();
        let Extension(permit) = Extension::from_request_parts(parts, state).await.map_err(extension)?;
        let Extension(ClosedEarly(closed_early)) =
            Extension::from_request_parts(parts, state).await.map_err(extension)?;
        let Extension(address) =
            Extension::<ClientAddress>::from_request_parts(parts, state).await.map_err(extension)?;
        let Extension(receive_budget) =
            Extension::from_request_parts(parts, state).await.map_err(extension)?;
        let client = ClientConnection { network: address.network(), receive_budget };
        let slot = parts.extensions.get().cloned();
        join_connection_headers(&mut parts.headers);
        let asked_for = WebSocketUpgrade::from_request_parts(parts, state).await;
        Ok(Self { version: parts.version, asked_for, permit, slot, client, closed_early })
    }
}

impl Upgrade {
    /// Returns whether the request asks for a WebSocket.
    pub fn is_asked_for(&self) -> bool {
        self.asked_for.is_ok()
    }

    /// Accepts the upgrade, if this node serves users now and the client is within its limits.
    pub fn admit(self, deps: &SessionDeps) -> Result<Admitted, Box<Response>> {
        let Ok(upgrade) = self.asked_for else {
            // RFC 6455, section 4.4. `probe.js` asks without an upgrade to learn why a WebSocket failed: this header
            // says that all but the upgrade was right.
            let version = [(header::SEC_WEBSOCKET_VERSION, "13")];
            let detail = if self.version < Version::HTTP_11 {
                texts::request::WEBSOCKET_NEEDS_HTTP_11
            } else {
                texts::request::WEBSOCKET_NEEDS_UPGRADE
            };
            let problem = Problem::from(bad_request(detail));
            return Err((version, problem).into_response().into());
        };
        if let Some(refusal) = deps.drain.serving().refusal() {
            return Err(Problem::from(refusal).into_response().into());
        }
        if self.closed_early {
            // The client is gone. A session here would take over from the one that the guest has opened elsewhere by now.
            let refusal = bad_request(texts::request::HALF_CLOSED);
            return Err(Problem::from(refusal).into_response().into());
        }
        if let Err(refusal) = deps.guard.rates.check(Quota::SocketsPerAddress, &self.client.network) {
            return Err(Problem::from(refusal).into_response().into());
        }
        Ok(Admitted { upgrade, held: (self.permit, self.slot), client: self.client })
    }
}

/// Joins several `Connection` headers (`keep-alive` and `Upgrade`) into an equivalent one (RFC 9110, section 5.3), because
/// axum reads only the first.
fn join_connection_headers(headers: &mut HeaderMap) {
    let values: Vec<_> = headers.get_all(header::CONNECTION).iter().map(HeaderValue::as_bytes).collect();
    if values.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&values.join(&b", "[..]))
    {
        headers.insert(header::CONNECTION, joined);
    }
}

/// A request that becomes a WebSocket.
pub struct Admitted {
    upgrade: WebSocketUpgrade,
    /// The permits that it holds as long as it is open.
    held: (ConnectionPermit, Option<ConnectionSlot>),
    client: ClientConnection,
}

impl Admitted {
    /// Returns the client's connection.
    pub fn client(&self) -> ClientConnection {
        self.client.clone()
    }

    /// Runs a session over the WebSocket, with one of `protocols` if the client asks for it.
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

/// Parses a position from a client. `name` is the name of its parameter.
pub fn parse_pos(name: &str, text: &str) -> Result<Pos, Refusal> {
    Pos::parse(text).map_err(|_| bad_request(texts::request::must_be_pos(name)))
}

/// Returns a refusal with the code `bad_request`.
pub fn bad_request(detail: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal::new(ErrorCode::BadRequest, detail)
}
