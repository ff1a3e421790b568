//! The network between the nodes of a test: one UDP proxy in front of each node, in this process.
//! A node dials from its only socket, so the source address of a packet says which node it comes from.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

const PACKET_BYTES_MAX: usize = 65_536;

/// The fate of packets in one direction between two nodes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rule {
    pub cut: bool,
    /// The share of packets that is lost, 0.0 to 1.0.
    pub loss: f64,
    pub delay: Duration,
}

/// All proxies of a cluster. Dropping it ends them.
pub struct Network {
    shared: Arc<Shared>,
    fronts: Vec<SocketAddr>,
    _tasks: JoinSet<()>,
}

struct Shared {
    /// The nodes' own addresses, where the proxies forward to and where the nodes dial from.
    nodes: Vec<SocketAddr>,
    rules: Mutex<HashMap<(usize, usize), Rule>>,
    rng: Mutex<StdRng>,
    lost: AtomicU64,
}

impl Network {
    pub async fn new(nodes: Vec<SocketAddr>, seed: u64) -> Self {
        let rng = Mutex::new(StdRng::seed_from_u64(seed));
        let shared = Arc::new(Shared { nodes, rules: Mutex::default(), rng, lost: AtomicU64::new(0) });
        let mut fronts = Vec::new();
        let mut tasks = JoinSet::new();
        for node in 0..shared.nodes.len() {
            let socket = open().await.expect("a UDP port can be opened");
            fronts.push(socket.local_addr().expect("a socket has an address"));
            tasks.spawn(forward(shared.clone(), node, Arc::new(socket)));
        }
        Self { shared, fronts, _tasks: tasks }
    }

    /// The address under which the others reach this node.
    pub fn front(&self, node: usize) -> SocketAddr {
        self.fronts[node]
    }

    pub fn set_one_way(&self, from: usize, to: usize, rule: Rule) {
        self.shared.rules.lock().unwrap_or_else(PoisonError::into_inner).insert((from, to), rule);
    }

    /// Whether nothing can be said between two nodes, because at least one direction is cut.
    pub fn is_cut(&self, a: usize, b: usize) -> bool {
        let rules = self.shared.rules.lock().unwrap_or_else(PoisonError::into_inner);
        [(a, b), (b, a)].iter().any(|pair| rules.get(pair).is_some_and(|rule| rule.cut))
    }

    /// The number of packets that the rules have dropped so far.
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    pub fn set(&self, a: usize, b: usize, rule: Rule) {
        self.set_one_way(a, b, rule);
        self.set_one_way(b, a, rule);
    }
}

impl Shared {
    fn node_at(&self, address: SocketAddr) -> Option<usize> {
        self.nodes.iter().position(|&node| node == address)
    }

    /// The delay of a packet, or `None` if it is lost. Strangers' packets always pass.
    fn fate(&self, from: Option<usize>, to: Option<usize>) -> Option<Duration> {
        let (Some(from), Some(to)) = (from, to) else { return Some(Duration::ZERO) };
        let rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        let rule = rules.get(&(from, to)).copied().unwrap_or_default();
        let lucky = || self.rng.lock().unwrap_or_else(PoisonError::into_inner).random::<f64>() >= rule.loss;
        if !rule.cut && (rule.loss == 0.0 || lucky()) {
            return Some(rule.delay);
        }
        self.lost.fetch_add(1, Ordering::Relaxed);
        None
    }
}

async fn open() -> io::Result<UdpSocket> {
    UdpSocket::bind(("127.0.0.1", 0)).await
}

/// Takes what arrives for `node` and passes it on, with one upstream socket per sender.
async fn forward(shared: Arc<Shared>, node: usize, front: Arc<UdpSocket>) {
    let mut upstreams: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let mut answers = JoinSet::new();
    let mut packet = vec![0; PACKET_BYTES_MAX];
    loop {
        let Ok((length, client)) = front.recv_from(&mut packet).await else { continue };
        let upstream = if let Some(upstream) = upstreams.get(&client) {
            upstream.clone()
        } else {
            let upstream = Arc::new(open().await.expect("a UDP port can be opened"));
            upstream.connect(shared.nodes[node]).await.expect("a UDP socket takes a peer's address");
            answers.spawn(answer(shared.clone(), node, upstream.clone(), front.clone(), client));
            upstreams.insert(client, upstream.clone());
            upstream
        };
        if let Some(delay) = shared.fate(shared.node_at(client), Some(node)) {
            deliver(upstream, None, &packet[..length], delay).await;
        }
    }
}

/// Brings the node's answers back to one sender.
async fn answer(
    shared: Arc<Shared>,
    node: usize,
    upstream: Arc<UdpSocket>,
    front: Arc<UdpSocket>,
    client: SocketAddr,
) {
    let mut packet = vec![0; PACKET_BYTES_MAX];
    loop {
        // An error says that the node is down just now; each one is reported once.
        let Ok(length) = upstream.recv(&mut packet).await else { continue };
        if let Some(delay) = shared.fate(Some(node), shared.node_at(client)) {
            deliver(front.clone(), Some(client), &packet[..length], delay).await;
        }
    }
}

async fn deliver(socket: Arc<UdpSocket>, target: Option<SocketAddr>, packet: &[u8], delay: Duration) {
    // A packet that cannot be sent is lost, as it would be on a wire.
    if delay.is_zero() {
        let _ = send(&socket, target, packet).await;
    } else {
        let packet = packet.to_vec();
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            let _ = send(&socket, target, &packet).await;
        });
    }
}

async fn send(socket: &UdpSocket, target: Option<SocketAddr>, packet: &[u8]) -> io::Result<usize> {
    match target {
        Some(target) => socket.send_to(packet, target).await,
        None => socket.send(packet).await,
    }
}
