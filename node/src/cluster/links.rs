//! All links of this node: the linked peers, the tasks of a link, and the outcomes of dialling.
//! `admission` decides which connections become links; replication, presence and gossip are fed from here.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt;
use quinn::{Connection, ConnectionError};
use starling_protocol::{
    Fold, NodeId,
    frame::{
        peer::{Hello, Member, MeshNews, NodeStatus, PeerFrame},
        wire::ANY_VERSION,
    },
    limits::CLUSTER_MEMBERS_MAX,
    replica::{HelloFolds, LinkId},
};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use super::{
    Members, PresenceMap,
    admission::OwnHello,
    close_code::CloseCode,
    departure::Departures,
    description::{AddressGuess, canonical},
    join_addresses::JoinProblem,
    link::{FrameError, LinkReceiver, LinkSender, silent},
    mesh::StatusReader,
    refusal_log::RefusalLog,
    replication::DriverInput,
    verdicts::Verdicts,
};
use crate::{environment::Environment, metrics::LinksMetrics};

/// How often the driver is told of a peer that sends parts of a long frame.
const TELL_HEARD_EVERY: Duration = Duration::from_millis(500);
/// A node that a peer rejected as a copy is not ready for this long, unless another peer admits it: longer than any pause
/// before it dials again.
const COPY_KNOWN_FOR: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) sender: LinkSender,
    pub(super) process: u64,
    pub(super) dialled_by: NodeId,
    pub(super) public_url: Option<String>,
    /// The nodes to which the peer says that it is linked.
    pub(super) peer_reports_links_to: Option<BTreeSet<NodeId>>,
    /// The peer's last status; `None` if it speaks an older wire version.
    pub(super) status: Option<NodeStatus>,
}

/// All links of this node.
pub struct Links {
    pub(super) guess: AddressGuess,
    /// A random number that distinguishes this process from another with the same identity.
    pub(super) process: u64,
    pub(super) started: Instant,
    by_peer: Mutex<BTreeMap<NodeId, Entry>>,
    pub(super) members: Arc<Members>,
    presence: Arc<PresenceMap>,
    driver: mpsc::Sender<DriverInput>,
    gossip: mpsc::Sender<Bytes>,
    /// The newest folds that this node can use; none before its store is open.
    pub(super) folds: Mutex<Vec<Arc<Fold>>>,
    /// The names of the wire versions that this node speaks, for logs and peers.
    pub(super) wire_offers: String,
    pub(super) verdicts: watch::Sender<Verdicts>,
    pub(super) next_nonce: AtomicU64,
    pub(super) refusal_log: RefusalLog,
    pub(super) copy_log: RefusalLog,
    /// The node that last reported another running process with this identity, and when.
    copy_reported_by: Mutex<Option<(SocketAddr, Instant)>>,
    is_waiting_for_peer: AtomicBool,
    /// The addresses of members and join addresses.
    addresses: Mutex<BTreeSet<IpAddr>>,
    join_problems: Mutex<Vec<JoinProblem>>,
    pub(super) departures: Departures,
    /// This node's status for its peers, once it is there.
    pub(super) status: OnceLock<StatusReader>,
    /// Metrics of links.
    pub metrics: LinksMetrics,
}

impl Links {
    /// Creates the links; there are none yet. `guessed_port` is the port of a socket that listens on all addresses, if the address for
    /// other nodes was not configured.
    pub fn new(
        environment: Arc<dyn Environment>,
        guessed_port: Option<u16>,
        process: u64,
        members: Arc<Members>,
        presence: Arc<PresenceMap>,
        driver: mpsc::Sender<DriverInput>,
        gossip: mpsc::Sender<Bytes>,
    ) -> Self {
        let mut wire_offers = environment.wire_offers();
        wire_offers.retain(|name| *name != ANY_VERSION);
        Self {
            wire_offers: wire_offers.join(", "),
            guess: AddressGuess::new(environment, Arc::clone(&members), guessed_port),
            process,
            started: Instant::now(),
            by_peer: Mutex::default(),
            members,
            presence,
            driver,
            gossip,
            folds: Mutex::default(),
            verdicts: watch::Sender::default(),
            next_nonce: AtomicU64::new(1),
            refusal_log: RefusalLog::default(),
            copy_log: RefusalLog::default(),
            copy_reported_by: Mutex::default(),
            is_waiting_for_peer: AtomicBool::new(false),
            addresses: Mutex::default(),
            join_problems: Mutex::default(),
            departures: Departures::default(),
            status: OnceLock::new(),
            metrics: LinksMetrics::default(),
        }
    }

    pub(super) fn links(&self) -> MutexGuard<'_, BTreeMap<NodeId, Entry>> {
        self.by_peer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches the outcomes of dialling.
    pub fn verdicts(&self) -> watch::Receiver<Verdicts> {
        self.verdicts.subscribe()
    }

    /// The id of this node.
    pub fn me(&self) -> NodeId {
        self.members.me()
    }

    /// Whether this node must still reach another one before it is ready.
    pub fn is_waiting_for_peer(&self) -> bool {
        self.is_waiting_for_peer.load(Ordering::Relaxed)
    }

    /// Makes this node not ready until it has reached another one.
    pub fn require_peer(&self) {
        self.is_waiting_for_peer.store(true, Ordering::Relaxed);
    }

    /// The address of a node that lately reported another running process with this identity.
    pub fn copy_reported_by(&self) -> Option<SocketAddr> {
        let copy_reported_by = *self.copy_reported_by.lock().unwrap_or_else(PoisonError::into_inner);
        copy_reported_by.filter(|(_, at)| at.elapsed() < COPY_KNOWN_FOR).map(|(by, _)| by)
    }

    pub(super) fn set_copy_reported_by(&self, by: Option<SocketAddr>) {
        *self.copy_reported_by.lock().unwrap_or_else(PoisonError::into_inner) =
            by.map(|by| (by, Instant::now()));
    }

    /// Whether another node may be at an address.
    pub(super) fn knows_address(&self, ip: IpAddr) -> bool {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner).contains(&ip)
    }

    /// Whether the address is one of this machine's at present.
    pub(super) fn is_own_address(&self, ip: IpAddr) -> bool {
        self.guess.has_address(ip)
    }

    pub(super) fn set_addresses(&self, addresses: BTreeSet<IpAddr>) {
        *self.addresses.lock().unwrap_or_else(PoisonError::into_inner) = addresses;
    }

    /// Join addresses at which no node has answered for more than 5 s.
    pub fn join_problems(&self) -> Vec<JoinProblem> {
        self.join_problems.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_join_problems(&self, problems: Vec<JoinProblem>) {
        *self.join_problems.lock().unwrap_or_else(PoisonError::into_inner) = problems;
    }

    /// The process of a linked node.
    pub(super) fn process_of(&self, node: NodeId) -> Option<u64> {
        self.links().get(&node).map(|entry| entry.process)
    }

    /// Whether there is a link to a node.
    pub fn has(&self, node: NodeId) -> bool {
        self.links().contains_key(&node)
    }

    /// Whether this is the current link to the node.
    pub fn is_current(&self, node: NodeId, link: LinkId) -> bool {
        self.links().get(&node).is_some_and(|entry| entry.sender.id() == link)
    }

    /// Sends gossip to a node, if there is a link; it may be lost.
    pub fn datagram(&self, node: NodeId, bytes: Bytes) {
        if let Some(entry) = self.links().get(&node) {
            entry.sender.datagram(bytes);
        }
    }

    /// All other known nodes, linked or not.
    pub fn known(&self) -> Vec<Member> {
        self.members.all()
    }

    /// The public URLs of linked nodes, as far as these have one.
    pub fn public_urls(&self) -> Vec<String> {
        self.links().values().filter_map(|entry| entry.public_url.clone()).collect()
    }

    /// Closes a link whose peer breaks the protocol.
    pub fn close_broken(&self, node: NodeId, link: LinkId, reason: &str) {
        if let Some(entry) = self.links().get(&node).filter(|entry| entry.sender.id() == link) {
            self.close_for_violation(node, entry.sender.connection(), reason);
        }
    }

    pub(super) fn close_for_violation(&self, node: NodeId, connection: &Connection, reason: &str) {
        self.metrics.broken.inc();
        tracing::warn!(peer = %node, reason, "closing a link: the peer breaks the protocol");
        connection.close(CloseCode::Protocol.number(), reason.as_bytes());
    }

    pub(super) fn forget(&self, peer: NodeId, link: LinkId) {
        let mut links = self.links();
        if links.get(&peer).is_some_and(|entry| entry.sender.id() == link) {
            links.remove(&peer);
            drop(links);
            self.members.notify_changed();
        }
    }

    /// Runs an admitted link to its end, after both hellos.
    pub(super) async fn serve(
        &self,
        hello: Hello,
        sender: LinkSender,
        mut receiver: LinkReceiver,
        own: OwnHello,
    ) {
        let (peer, link) = (hello.me.node, sender.id());
        let connection = sender.connection().clone();
        let address = canonical(connection.remote_address());
        tracing::info!(%peer, %address, "linked");
        self.is_waiting_for_peer.store(false, Ordering::Relaxed);
        self.set_copy_reported_by(None);
        self.set_peer_leaving(peer, link, false);
        self.members.notify_changed();
        let mut code = CloseCode::Stopping;
        let folds = hello.folds.clone().map(|peers| HelloFolds { own: own.folds, peers });
        let up = DriverInput::LinkUp { peer, sender: sender.clone(), member: hello.me.clone(), folds };
        if self.driver.send(up).await.is_ok() {
            {
                // Under the lock: of two links admitted at nearly the same time, only the one that stays
                // is passed to presence.
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
                    () = self.send_mesh_news(&sender, own.members) => {}
                    () = self.send_status(&sender) => {}
                    () = silent(&connection) => code = CloseCode::Silent,
                    () = self.until_forgotten(peer) => code = CloseCode::Forgotten,
                }
            };
            // Even if a frame makes this task panic, the link ends in order.
            let _ = AssertUnwindSafe(run).catch_unwind().await;
        }
        let reason = connection.close_reason();
        connection.close(code.number(), b"");
        let replaced = !self.is_current(peer, link);
        self.forget(peer, link);
        match &reason {
            _ if replaced => tracing::info!(%peer, %address, "another link to this peer stays"),
            Some(ConnectionError::LocallyClosed) => tracing::info!(%peer, %address, "link closed"),
            Some(error) if CloseCode::of(error) == Some(CloseCode::Stopping) => {
                tracing::info!(%peer, %address, "the peer is stopping");
            }
            Some(error) if CloseCode::of(error) == Some(CloseCode::OldSecret) => {
                tracing::info!(%peer, %address, "the cluster's secret was rotated: linking again under the new one");
            }
            Some(error) if CloseCode::of(error) == Some(CloseCode::Forgotten) => {
                tracing::warn!(%peer, %address, "the peer has forgotten this node");
                self.on_told_forgotten(Some(peer));
            }
            Some(reason) => tracing::warn!(%peer, %address, %reason, "lost the link to a peer"),
            None if code == CloseCode::Forgotten => {
                tracing::info!(%peer, %address, "closed: it was forgotten");
            }
            None => tracing::warn!(%peer, %address, "lost the link to a peer: it is silent"),
        }
        self.presence.link_down(peer, link);
        let _ = self.driver.send(DriverInput::LinkDown(link)).await;
    }

    async fn read_frames(&self, hello: &Hello, sender: &LinkSender, receiver: &mut LinkReceiver) {
        let peer = hello.me.node;
        let (mut known, mut peer_description) = (false, hello.me.clone());
        let mut told_heard = Instant::now();
        loop {
            match receiver.next_or_part().await {
                Ok(None) if told_heard.elapsed() < TELL_HEARD_EVERY => {}
                Ok(None) => {
                    told_heard = Instant::now();
                    let _ = self.driver.send(DriverInput::Heard(sender.id())).await;
                }
                Ok(Some(PeerFrame::Replica(frame))) => {
                    if !known {
                        // It replicates: its start has succeeded, so it is a member. One whose start is refused
                        // must not be remembered for ever.
                        known = true;
                        self.learn(std::slice::from_ref(&peer_description));
                        self.learn(&hello.members);
                        self.members.record_observed(peer, canonical(sender.connection().remote_address()));
                    }
                    if self.driver.send(DriverInput::Frame(sender.id(), frame)).await.is_err() {
                        return;
                    }
                }
                Ok(Some(PeerFrame::Presence(presence))) => self.presence.receive(peer, sender.id(), presence),
                Ok(Some(PeerFrame::Mesh(news))) => {
                    let MeshNews { linked, mut members } = news;
                    if !known {
                        let (from_peer, others) = members.into_iter().partition(|member| member.node == peer);
                        members = others;
                        peer_description = Vec::into_iter(from_peer).next_back().unwrap_or(peer_description);
                    }
                    self.learn(&members);
                    if let Some(entry) =
                        self.links().get_mut(&peer).filter(|entry| entry.sender.id() == sender.id())
                    {
                        entry.peer_reports_links_to =
                            Some(linked.into_iter().take(CLUSTER_MEMBERS_MAX).collect());
                    }
                }
                Ok(Some(PeerFrame::Status(status))) => self.set_peer_status(peer, sender.id(), status),
                Ok(Some(PeerFrame::Leaving(leaving))) => self.set_peer_leaving(peer, sender.id(), leaving),
                Ok(Some(PeerFrame::Ping(nonce))) => {
                    let _ = sender.try_send(PeerFrame::Pong(nonce).encode());
                }
                Ok(Some(PeerFrame::Pong(nonce))) => sender.pong(nonce),
                Ok(Some(PeerFrame::Hello(_))) => {
                    return self.close_for_violation(peer, sender.connection(), "a second hello");
                }
                Err(FrameError::Over) => return,
                Err(error) => return self.close_for_violation(peer, sender.connection(), &error.to_string()),
            }
        }
    }

    async fn read_datagrams(&self, connection: &Connection) {
        while let Ok(datagram) = connection.read_datagram().await {
            // Gossip repeats itself, so a full queue may lose packets.
            let _ = self.gossip.try_send(datagram);
        }
    }

    /// Closes all links because this node is stopping.
    pub fn close_all(&self) {
        for entry in self.links().values() {
            entry.sender.connection().close(CloseCode::Stopping.number(), b"stopping");
        }
    }
}
