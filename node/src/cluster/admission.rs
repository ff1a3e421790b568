//! Which connections become links: both sides say hello, certificates must name who speaks, of two links between a
//! pair one stays, and a second process with a running node's identity is turned away.

use std::{
    net::SocketAddr,
    sync::{Arc, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use quinn::{Connection, ConnectionError, Incoming, VarInt};
use rustls::pki_types::CertificateDer;
use starling_protocol::{
    NodeId,
    frame::peer::{Hello, PROTOCOL_VERSION, PeerFrame},
};
use tokio::{sync::OwnedSemaphorePermit, time::timeout};

use super::{
    Links,
    keys::node_of,
    link::{FrameError, LinkReceiver, LinkSender},
    links::Entry,
};

/// How long a peer may take to say hello; admission at its end may ping for a second.
const HELLO_MAX: Duration = Duration::from_secs(4);
/// How long the older of two processes with one identity may take to answer.
const PING_MAX: Duration = Duration::from_secs(1);
/// Refused handshakes are logged this often at most: strangers must not fill the log.
const REFUSAL_LOG_EVERY: Duration = Duration::from_secs(1);
/// TLS alerts, as QUIC carries them (RFC 9001, section 4.8).
const TLS_ALERTS: std::ops::Range<u64> = 0x100..0x200;

/// Why a node closes a link; the numbers are part of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseCode {
    /// The node is stopping.
    Stopping = 0,
    /// Another link between this pair stays.
    Duplicate = 1,
    /// A running process has this identity.
    NodeIdInUse = 2,
    /// A frame that breaks the protocol.
    Protocol = 3,
    /// A node has dialled itself.
    Myself = 4,
}

impl CloseCode {
    fn of(error: &ConnectionError) -> Option<Self> {
        let ConnectionError::ApplicationClosed(close) = error else { return None };
        let all = [Self::Stopping, Self::Duplicate, Self::NodeIdInUse, Self::Protocol, Self::Myself];
        all.into_iter().find(|code| code.number() == close.error_code)
    }

    pub(super) fn number(self) -> VarInt {
        VarInt::from_u32(self as u32)
    }
}

/// Why a connection that this node has opened did not become a link, and who answered.
struct Refused {
    code: Option<CloseCode>,
    peer: Option<NodeId>,
}

impl Links {
    /// Handles a connection that somebody opens, to its end. `handshake` is given back once it is decided.
    pub async fn incoming(self: Arc<Self>, incoming: Incoming, handshake: OwnedSemaphorePermit) {
        let from = incoming.remote_address();
        let connection = match timeout(HELLO_MAX, incoming.into_future()).await {
            Ok(Ok(connection)) => connection,
            Err(_) => return,
            Ok(Err(error)) => {
                self.log_refusal(from, &error);
                return;
            }
        };
        let greeted = timeout(HELLO_MAX, async {
            let (send, receive) = connection.accept_bi().await.ok()?;
            let mut receiver = LinkReceiver::new(receive);
            let hello = self.read_hello(&connection, &mut receiver).await?;
            Some((send, receiver, hello))
        });
        let Ok(Some((send, receiver, hello))) = greeted.await else { return };
        let sender = LinkSender::start(connection.clone(), send);
        let peer = hello.me.node;
        if let Err(code) = self.admit(&hello, &sender, peer).await {
            tracing::debug!(%peer, ?code, "link not admitted");
            return connection.close(code.number(), b"");
        }
        let _ = sender.try_send(self.hello().encode());
        drop(handshake);
        self.serve(hello, sender, receiver).await;
    }

    /// Handles a connection that this node has opened, to its end. Says who answered, if anybody did.
    pub async fn outgoing(self: Arc<Self>, connecting: quinn::Connecting, to: SocketAddr) -> Option<NodeId> {
        let connection = match connecting.await {
            Ok(connection) => connection,
            Err(error) => {
                self.not_trusted(to, &error);
                return None;
            }
        };
        self.verdicts.send_modify(|verdicts| verdicts.deciding += 1);
        let greeted = self.greet(connection, to).await;
        self.verdicts.send_modify(|verdicts| {
            verdicts.deciding -= 1;
            match &greeted {
                // The other link between the pair is as good.
                Ok(_) | Err(Refused { code: Some(CloseCode::Duplicate), .. }) => verdicts.admitted += 1,
                Err(Refused { code: Some(CloseCode::NodeIdInUse), .. }) => verdicts.node_id_in_use = Some(to),
                Err(_) => {}
            }
        });
        match greeted {
            Ok((hello, sender, receiver)) => {
                let peer = hello.me.node;
                self.serve(hello, sender, receiver).await;
                Some(peer)
            }
            Err(Refused { code, peer }) => {
                if code == Some(CloseCode::NodeIdInUse) {
                    tracing::error!(
                        peer = %to,
                        "another running node has this node's identity: was its data directory copied?"
                    );
                }
                peer
            }
        }
    }

    /// Says hello over a connection that this node has opened, and hears the peer's.
    async fn greet(
        &self,
        connection: Connection,
        to: SocketAddr,
    ) -> Result<(Hello, LinkSender, LinkReceiver), Refused> {
        let named = named_by_certificate(&connection);
        // Several addresses may lead to one node, and one address to a node that was dialled as another: a link that
        // lives is not given up for one more.
        if named.is_some_and(|peer| self.has(peer)) {
            connection.close(CloseCode::Duplicate.number(), b"");
            return Err(Refused { code: Some(CloseCode::Duplicate), peer: named });
        }
        let opened = connection.open_bi().await;
        let (send, receive) = opened.map_err(|error| Refused { code: CloseCode::of(&error), peer: None })?;
        let sender = LinkSender::start(connection.clone(), send);
        let _ = sender.try_send(self.hello().encode());
        let mut receiver = LinkReceiver::new(receive);
        let hello = timeout(HELLO_MAX, self.read_hello(&connection, &mut receiver)).await;
        let Ok(Some(hello)) = hello else {
            let reason = connection.close_reason();
            if let Some(error) = &reason {
                // With TLS 1.3 the side that dials is done before it learns that its certificate was refused.
                self.not_trusted(to, error);
            }
            connection.close(CloseCode::Protocol.number(), b"no hello");
            return Err(Refused { code: reason.as_ref().and_then(CloseCode::of), peer: named });
        };
        match self.admit(&hello, &sender, self.me.node).await {
            Ok(()) => Ok((hello, sender, receiver)),
            Err(code) => {
                connection.close(code.number(), b"");
                Err(Refused { code: Some(code), peer: named })
            }
        }
    }

    /// Takes note if a node that was dialled is of another cluster.
    fn not_trusted(&self, peer: SocketAddr, error: &ConnectionError) {
        if self.log_refusal(peer, error) {
            self.verdicts.send_modify(|verdicts| verdicts.wrong_secret = Some(peer));
        }
    }

    fn hello(&self) -> PeerFrame {
        let members = self.members.all();
        let me = self.me.clone();
        PeerFrame::Hello(Hello { protocol_version: PROTOCOL_VERSION, process: self.process, me, members })
    }

    /// Reads a hello and checks that the certificate names who says it.
    async fn read_hello(&self, connection: &Connection, receiver: &mut LinkReceiver) -> Option<Hello> {
        match receiver.next().await {
            Ok(PeerFrame::Hello(hello)) if named_by_certificate(connection) == Some(hello.me.node) => {
                Some(hello)
            }
            Err(FrameError::Over) => None,
            Ok(PeerFrame::Hello(hello)) => {
                self.broken(hello.me.node, connection, "the certificate names another node");
                None
            }
            Ok(_) | Err(_) => {
                self.metrics.broken.inc();
                tracing::warn!(from = %connection.remote_address(), "closing a link: it does not begin with a hello");
                connection.close(CloseCode::Protocol.number(), b"expected a hello");
                None
            }
        }
    }

    /// Decides whether a connection becomes the link to its peer.
    async fn admit(&self, hello: &Hello, sender: &LinkSender, dialled_by: NodeId) -> Result<(), CloseCode> {
        let peer = hello.me.node;
        if peer == self.me.node {
            let itself = hello.process == self.process;
            return Err(if itself { CloseCode::Myself } else { CloseCode::NodeIdInUse });
        }
        loop {
            let older = {
                let mut links = self.links();
                match links.get(&peer) {
                    Some(old) if old.process != hello.process => old.sender.clone(),
                    Some(old) if old.dialled_by != dialled_by && old.dialled_by < dialled_by => {
                        return Err(CloseCode::Duplicate);
                    }
                    replaced => {
                        if let Some(old) = replaced {
                            old.sender.connection().close(CloseCode::Duplicate.number(), b"");
                        }
                        let (sender, process) = (sender.clone(), hello.process);
                        let public_url = hello.me.public_url.clone();
                        links.insert(peer, Entry { sender, process, dialled_by, public_url });
                        return Ok(());
                    }
                }
            };
            let nonce = self.next_nonce.fetch_add(1, Ordering::Relaxed);
            if older.answers(nonce, PING_MAX).await {
                return Err(CloseCode::NodeIdInUse);
            }
            older.connection().close(CloseCode::Duplicate.number(), b"");
            self.forget(peer, older.id());
        }
    }

    /// Says whether the handshake failed because one side does not trust the other.
    fn log_refusal(&self, peer: SocketAddr, error: &ConnectionError) -> bool {
        if !is_refusal(error) {
            return false;
        }
        self.metrics.refused.inc();
        let mut logged = self.refusal_logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.is_none_or(|at| at.elapsed() >= REFUSAL_LOG_EVERY) {
            *logged = Some(Instant::now());
            tracing::warn!(%peer, %error, "handshake refused: has the other node another cluster secret?");
        }
        true
    }
}

fn named_by_certificate(connection: &Connection) -> Option<NodeId> {
    let identity = connection.peer_identity()?;
    let chain = identity.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    node_of(chain.first()?)
}

/// Whether the handshake failed because one side does not trust the other.
fn is_refusal(error: &ConnectionError) -> bool {
    match error {
        ConnectionError::TransportError(error) => TLS_ALERTS.contains(&u64::from(error.code)),
        ConnectionError::ConnectionClosed(close) => TLS_ALERTS.contains(&u64::from(close.error_code)),
        _ => false,
    }
}
