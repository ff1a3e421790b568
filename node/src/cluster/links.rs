//! All links of this node: which peer is linked, what runs over a link, and what comes of dialling.
//! `admission` decides which connections become links; replication, presence and gossip are fed from here.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::FutureExt;
use prometheus_client::metrics::counter::Counter;
use quinn::Connection;
use starling_protocol::{
    NodeId,
    frame::peer::{Hello, Member, PeerFrame},
    replica::LinkId,
};
use tokio::sync::{mpsc, watch};

use super::{
    Members, PresenceMap,
    admission::CloseCode,
    endpoint::IDLE_MS,
    link::{FrameError, LinkReceiver, LinkSender},
    replication::DriverInput,
};

/// How often it is looked whether a link has become silent.
const LOOK_EVERY: Duration = Duration::from_millis(250);

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
pub(super) struct Entry {
    pub(super) sender: LinkSender,
    pub(super) process: u64,
    pub(super) dialled_by: NodeId,
    pub(super) public_url: Option<String>,
}

/// All links of this node.
pub struct Links {
    pub(super) me: Member,
    /// Drawn by this process: tells it from another with the same identity.
    pub(super) process: u64,
    linked: Mutex<BTreeMap<NodeId, Entry>>,
    pub(super) members: Arc<Members>,
    presence: Arc<PresenceMap>,
    driver: mpsc::Sender<DriverInput>,
    gossip: mpsc::Sender<Bytes>,
    pub(super) verdicts: watch::Sender<Verdicts>,
    pub(super) next_nonce: AtomicU64,
    pub(super) refusal_logged: Mutex<Option<Instant>>,
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
            linked: Mutex::default(),
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

    pub(super) fn links(&self) -> MutexGuard<'_, BTreeMap<NodeId, Entry>> {
        self.linked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows what comes of dialling.
    pub fn verdicts(&self) -> watch::Receiver<Verdicts> {
        self.verdicts.subscribe()
    }

    /// This node.
    pub fn me(&self) -> NodeId {
        self.me.node
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

    /// All other nodes that are known, linked or not.
    pub fn known(&self) -> Vec<Member> {
        self.members.all()
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

    pub(super) fn broken(&self, node: NodeId, connection: &Connection, reason: &str) {
        self.metrics.broken.inc();
        tracing::warn!(peer = %node, reason, "closing a link: the peer breaks the protocol");
        connection.close(CloseCode::Protocol.number(), reason.as_bytes());
    }

    pub(super) fn forget(&self, peer: NodeId, link: LinkId) {
        let mut links = self.links();
        if links.get(&peer).is_some_and(|entry| entry.sender.id() == link) {
            links.remove(&peer);
        }
    }

    /// Runs an admitted link to its end.
    pub(super) async fn serve(&self, hello: Hello, sender: LinkSender, mut receiver: LinkReceiver) {
        let (peer, link) = (hello.me.node, sender.id());
        let connection = sender.connection().clone();
        tracing::info!(%peer, address = %connection.remote_address(), "linked");
        let up = DriverInput::LinkUp { peer, sender: sender.clone(), member: hello.me.clone() };
        if self.driver.send(up).await.is_ok() {
            {
                // Under the lock: of two links admitted at nearly the same time, only the one that stays is told.
                let links = self.links();
                if links.get(&peer).is_some_and(|entry| entry.sender.id() == link) {
                    self.presence.link_up(peer, sender.clone());
                }
            }
            let run = async {
                tokio::select! {
                    biased;
                    () = self.read_frames(&hello, &sender, &mut receiver) => {}
                    () = self.read_datagrams(&connection) => {}
                    () = silent(&connection) => tracing::info!(%peer, "silent for too long"),
                }
            };
            // Whatever a frame does to this task, the link ends in order.
            let _ = AssertUnwindSafe(run).catch_unwind().await;
        }
        let reason = connection.close_reason();
        tracing::info!(%peer, reason = reason.map(tracing::field::display), "link over");
        connection.close(CloseCode::Stopping.number(), b"");
        self.forget(peer, link);
        self.presence.link_down(peer, link);
        let _ = self.driver.send(DriverInput::LinkDown(link)).await;
    }

    async fn read_frames(&self, hello: &Hello, sender: &LinkSender, receiver: &mut LinkReceiver) {
        let peer = hello.me.node;
        let mut known = false;
        loop {
            match receiver.next().await {
                Ok(PeerFrame::Replica(frame)) => {
                    if !known {
                        // It replicates: its start has succeeded, so it is a member. One whose start is refused
                        // must not be remembered for ever.
                        known = true;
                        self.members.learn(std::slice::from_ref(&hello.me), true);
                        self.members.learn(&hello.members, false);
                    }
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

    /// Tells all peers that this node is stopping.
    pub fn close_all(&self) {
        for entry in self.links().values() {
            entry.sender.connection().close(CloseCode::Stopping.number(), b"stopping");
        }
    }
}

/// Returns when nothing has come for as long as a link may be silent.
async fn silent(connection: &Connection) {
    let heard = || connection.stats().udp_rx.datagrams;
    let mut looked = tokio::time::Instant::now();
    let mut last = (heard(), looked);
    while last.1.elapsed() < Duration::from_millis(IDLE_MS.into()) {
        tokio::time::sleep(LOOK_EVERY).await;
        if heard() != last.0 {
            // As of the look before: if this process was paused since, it may have come before that.
            last = (heard(), looked);
        }
        looked = tokio::time::Instant::now();
    }
}
