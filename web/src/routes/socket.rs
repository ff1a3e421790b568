//! The upgrade of a request to a WebSocket (RFC 6455, section 4.2), and the last checks.

use axum::{
    Extension,
    body::Body,
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header, request::Parts},
    response::{IntoResponse, Response},
};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use starling_protocol::{ErrorCode, Pos, texts};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::{
    guard::{ClientAddress, ConnectionSlot, Quota},
    problem::Problem,
    server::{ClientStream, ClosedEarly, ConnectionPermit},
    service::Refusal,
    session::{ClientConnection, SessionDeps, WebSocket},
};

/// A request that may become a WebSocket.
pub struct Upgrade {
    version: Version,
    handshake: Option<Handshake>,
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
        let handshake = Handshake::read(parts);
        Ok(Self { version: parts.version, handshake, permit, slot, client, closed_early })
    }
}

impl Upgrade {
    /// Returns whether the request asks for a WebSocket.
    pub fn is_asked_for(&self) -> bool {
        self.handshake.is_some()
    }

    /// Accepts the upgrade, if this node serves users now and the client is within its limits.
    pub fn admit(self, deps: &SessionDeps) -> Result<Admitted, Box<Response>> {
        let Some(handshake) = self.handshake else {
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
        Ok(Admitted { handshake, held: (self.permit, self.slot), client: self.client })
    }
}

/// The client's half of the opening handshake.
struct Handshake {
    key: HeaderValue,
    /// The subprotocols that the client offers.
    protocols: Vec<String>,
    on_upgrade: OnUpgrade,
}

impl Handshake {
    /// Returns `None` if the request doesn't ask for a WebSocket, or asks wrongly.
    fn read(parts: &mut Parts) -> Option<Self> {
        let headers = &parts.headers;
        let asks = parts.method == Method::GET
            && parts.version == Version::HTTP_11
            && tokens(headers, &header::CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade"))
            && tokens(headers, &header::UPGRADE).any(|token| token.eq_ignore_ascii_case("websocket"))
            && headers.get(header::SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13");
        let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|_| asks)?.clone();
        let protocols = tokens(headers, &header::SEC_WEBSOCKET_PROTOCOL).map(str::to_owned).collect();
        Some(Self { key, protocols, on_upgrade: parts.extensions.remove()? })
    }

    /// Returns the server's half, with one of `protocols` if the client offers it.
    fn accept(&self, protocols: &'static [&'static str]) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        let accept = HeaderValue::from_str(&derive_accept_key(self.key.as_bytes()));
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept.expect("base64 is a valid value"));
        let chosen = protocols.iter().find(|&&protocol| self.protocols.iter().any(|offer| offer == protocol));
        if let Some(protocol) = chosen {
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
        }
        response
    }
}

/// Returns the comma-separated parts of a header, which may come several times: `Connection: keep-alive` and
/// `Connection: Upgrade` (RFC 9110, section 5.3).
fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',').map(str::trim))
}

/// A request that becomes a WebSocket.
pub struct Admitted {
    handshake: Handshake,
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
        session: impl FnOnce(Box<WebSocket>) -> F + Send + 'static,
    ) -> Response {
        let Self { handshake, held, client } = self;
        let response = handshake.accept(protocols);
        tokio::spawn(async move {
            let upgraded = handshake.on_upgrade.await;
            if let Some(socket) = upgraded.ok().and_then(|upgraded| into_socket(upgraded, client)) {
                session(Box::new(socket)).await;
            }
            drop(held);
        });
        response
    }
}

/// Takes the socket out of an upgraded connection.
fn into_socket(upgraded: Upgraded, client: ClientConnection) -> Option<WebSocket> {
    let Ok(parts) = upgraded.downcast::<TokioIo<ClientStream>>() else {
        tracing::error!("a WebSocket came over an unknown kind of connection");
        return None;
    };
    Some(WebSocket::new(parts.io.into_inner().into_socket(), &parts.read_buf, client.receive_budget))
}

/// Parses a position from a client. `name` is the name of its parameter.
pub fn parse_pos(name: &str, text: &str) -> Result<Pos, Refusal> {
    Pos::parse(text).map_err(|_| bad_request(texts::request::must_be_pos(name)))
}

/// Returns a refusal with the code `bad_request`.
pub fn bad_request(detail: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal::new(ErrorCode::BadRequest, detail)
}
