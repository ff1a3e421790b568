//! Which connections become links: both sides say hello, certificates must name who speaks, of two links between a
//! pair one stays, and a second process with a running node's identity is turned away.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use prometheus_client::metrics::counter::Counter;
use quinn::{Connection, ConnectionError, Incoming, VarInt};
use rustls::pki_types::CertificateDer;
use starling_protocol::{
    NodeId,
    frame::peer::{Hello, Member, PROTOCOL_VERSION, PeerFrame},
    replica::LinkId,
};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

use super::{
    Members, PresenceMap,
    keys::node_of,
    link::{FrameError, LinkReceiver, LinkSender},
    replication::DriverInput,
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

    fn number(self) -> VarInt {
        VarInt::from_u32(self as u32)
    }
}

/// What has come of dialling so far; a starting node looks at it before it touches its disk.
#[derive(Clone, Debug, Default)]
pub struct Verdicts {
    /// Peers to which there is, or was, a link.
    pub admitted: usize,
    /// Somebody who answers under another secret.
    pub wrong_secret: Option<SocketAddr>,
    /// Somebody who knows a running process with this node's identity.
    pub node_id_in_use: Option<SocketAddr>,
    /// Peers that have answered and not decided yet.
    pub deciding: usize,
}

/// What is counted of links.
#[derive(Clone, Debug, Default)]
pub struct LinksMetrics {
    /// Links closed because the peer broke the protocol.
    pub broken: Counter,
    /// Handshakes refused, here or there: another secret, or no Starling node.
    pub refused: Counter,
}

#[derive(Debug)]
struct Entry {
    sender: LinkSender,
    process: u64,
    dialled_by: NodeId,
    public_url: Option<String>,
}

/// All links of this node.
#[derive(Debug)]
pub struct Links {
    me: Member,
    /// Drawn by this process: tells it from another with the same identity.
    process: u64,
    links: Mutex<BTreeMap<NodeId, Entry>>,
    members: Arc<Members>,
    presence: Arc<PresenceMap>,
    driver: mpsc::Sender<DriverInput>,
    gossip: mpsc::Sender<Bytes>,
    verdicts: watch::Sender<Verdicts>,
    next_nonce: AtomicU64,
    refusal_logged: Mutex<Option<Instant>>,
    /// What is counted.
    pub metrics: LinksMetrics,
}

impl Links {
    /// No links yet.
    pub fn new(
        me: Member,
        process: u64,
        members: Arc<Members>,
        presence: Arc<PresenceMap>,
        driver: mpsc::Sender<DriverInput>,
        gossip: mpsc::Sender<Bytes>,
    ) -> Self {
        Self {
            me,
            process,
            links: Mutex::default(),
            members,
            presence,
            driver,
            gossip,
            verdicts: watch::Sender::default(),
            next_nonce: AtomicU64::new(1),
            refusal_logged: Mutex::default(),
            metrics: LinksMetrics::default(),
        }
    }

    fn links(&self) -> MutexGuard<'_, BTreeMap<NodeId, Entry>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows what comes of dialling.
    pub fn verdicts(&self) -> watch::Receiver<Verdicts> {
        self.verdicts.subscribe()
    }

    /// Whether there is a link to a node.
    pub fn has(&self, node: NodeId) -> bool {
        self.links().contains_key(&node)
    }

    /// Whether a link is the one that stays between its pair.
    pub fn is_current(&self, node: NodeId, link: LinkId) -> bool {
        self.links().get(&node).is_some_and(|entry| entry.sender.id() == link)
    }

    /// Sends gossip to a node, if there is a link; it may be lost.
    pub fn datagram(&self, node: NodeId, bytes: Bytes) {
        if let Some(entry) = self.links().get(&node) {
            entry.sender.datagram(bytes);
        }
    }

    /// Where users reach the linked nodes, as far as these were told.
    pub fn public_urls(&self) -> Vec<String> {
        self.links().values().filter_map(|entry| entry.public_url.clone()).collect()
    }

    /// Closes a link whose peer breaks the protocol.
    pub fn close_broken(&self, node: NodeId, link: LinkId, reason: &str) {
        if let Some(entry) = self.links().get(&node).filter(|entry| entry.sender.id() == link) {
            self.broken(node, entry.sender.connection(), reason);
        }
    }

    fn broken(&self, node: NodeId, connection: &Connection, reason: &str) {
        self.metrics.broken.inc();
        tracing::warn!(peer = %node, reason, "closing a link: the peer breaks the protocol");
        connection.close(CloseCode::Protocol.number(), reason.as_bytes());
    }

    /// Handles a connection that somebody opens, to its end.
    pub async fn incoming(self: Arc<Self>, incoming: Incoming) {
        let from = incoming.remote_address();
        let connection = match incoming.await {
            Ok(connection) => connection,
            Err(error) => return self.log_refusal(from, &error),
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
        self.serve(hello, sender, receiver).await;
    }

    /// Handles a connection that this node has opened, to its end. Says whether the address is this node's own.
    pub async fn outgoing(self: Arc<Self>, connecting: quinn::Connecting, to: SocketAddr) -> bool {
        let connection = match connecting.await {
            Ok(connection) => connection,
            Err(error) => {
                self.not_trusted(to, &error);
                return false;
            }
        };
        self.verdicts.send_modify(|verdicts| verdicts.deciding += 1);
        let greeted = self.greet(connection, to).await;
        self.verdicts.send_modify(|verdicts| {
            verdicts.deciding -= 1;
            match &greeted {
                // The other link between the pair is as good.
                Ok(_) | Err(Some(CloseCode::Duplicate)) => verdicts.admitted += 1,
                Err(Some(CloseCode::NodeIdInUse)) => verdicts.node_id_in_use = Some(to),
                Err(_) => {}
            }
        });
        match greeted {
            Ok((hello, sender, receiver)) => {
                self.serve(hello, sender, receiver).await;
                false
            }
            Err(code) => {
                if code == Some(CloseCode::NodeIdInUse) {
                    tracing::error!(
                        peer = %to,
                        "another running node has this node's identity: was its data directory copied?"
                    );
                }
                code == Some(CloseCode::Myself)
            }
        }
    }

    /// Says hello over a connection that this node has opened, and hears the peer's.
    async fn greet(
        &self,
        connection: Connection,
        to: SocketAddr,
    ) -> Result<(Hello, LinkSender, LinkReceiver), Option<CloseCode>> {
        let (send, receive) = connection.open_bi().await.map_err(|error| CloseCode::of(&error))?;
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
            return Err(reason.as_ref().and_then(CloseCode::of));
        };
        match self.admit(&hello, &sender, self.me.node).await {
            Ok(()) => Ok((hello, sender, receiver)),
            Err(code) => {
                connection.close(code.number(), b"");
                Err(Some(code))
            }
        }
    }

    /// Takes note if a handshake failed because one side does not trust the other.
    fn not_trusted(&self, peer: SocketAddr, error: &ConnectionError) {
        if is_refusal(error) {
            self.log_refusal(peer, error);
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
    async fn admit(
        &self,
        hello: &Hello,
        sender: &LinkSender,
        dialled_by: NodeId,
    ) -> Result<(), CloseCode> {
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

    fn forget(&self, peer: NodeId, link: LinkId) {
        let mut links = self.links();
        if links.get(&peer).is_some_and(|entry| entry.sender.id() == link) {
            links.remove(&peer);
        }
    }

    /// Runs an admitted link to its end.
    async fn serve(&self, hello: Hello, sender: LinkSender, mut receiver: LinkReceiver) {
        let (peer, link) = (hello.me.node, sender.id());
        let connection = sender.connection().clone();
        tracing::info!(%peer, address = %connection.remote_address(), "linked");
        self.members.learn(std::slice::from_ref(&hello.me), true);
        self.members.learn(&hello.members, false);
        let up = DriverInput::LinkUp { peer, sender: sender.clone(), member: hello.me };
        if self.driver.send(up).await.is_ok() {
            self.presence.link_up(peer, sender.clone());
            tokio::select! {
                () = self.read_frames(peer, &sender, &mut receiver) => {}
                () = self.read_datagrams(&connection) => {}
            }
        }
        let reason = connection.close_reason();
        tracing::info!(%peer, reason = reason.map(tracing::field::display), "link over");
        connection.close(CloseCode::Stopping.number(), b"");
        self.forget(peer, link);
        self.presence.link_down(peer, link);
        let _ = self.driver.send(DriverInput::LinkDown(link)).await;
    }

    async fn read_frames(&self, peer: NodeId, sender: &LinkSender, receiver: &mut LinkReceiver) {
        loop {
            match receiver.next().await {
                Ok(PeerFrame::Replica(frame)) => {
                    if self.driver.send(DriverInput::Frame(sender.id(), frame)).await.is_err() {
                        return;
                    }
                }
                Ok(PeerFrame::Presence(presence)) => self.presence.receive(peer, sender.id(), presence),
                Ok(PeerFrame::Ping(nonce)) => {
                    let _ = sender.try_send(PeerFrame::Pong(nonce).encode());
                }
                Ok(PeerFrame::Pong(nonce)) => sender.pong(nonce),
                Ok(PeerFrame::Hello(_)) => {
                    return self.broken(peer, sender.connection(), "a second hello");
                }
                Err(FrameError::Over) => return,
                Err(error) => return self.broken(peer, sender.connection(), &error.to_string()),
            }
        }
    }

    async fn read_datagrams(&self, connection: &Connection) {
        while let Ok(datagram) = connection.read_datagram().await {
            // Gossip repeats itself; what does not fit is lost.
            let _ = self.gossip.try_send(datagram);
        }
    }

    fn log_refusal(&self, peer: SocketAddr, error: &ConnectionError) {
        self.metrics.refused.inc();
        let mut logged = self.refusal_logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.is_none_or(|at| at.elapsed() >= REFUSAL_LOG_EVERY) {
            *logged = Some(Instant::now());
            tracing::warn!(%peer, %error, "handshake refused: has the other node another cluster secret?");
        }
    }

    /// Tells all peers that this node is stopping.
    pub fn close_all(&self) {
        for entry in self.links().values() {
            entry.sender.connection().close(CloseCode::Stopping.number(), b"stopping");
        }
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
