//! `Cluster`: nodes with a common secret that reach each other only through the test's proxies.
//! Links are cut and healed here; the processes themselves are handled through `cluster[i]`.

use std::net::SocketAddr;
use std::ops::{Index, IndexMut};
use std::time::Duration;

use super::process::{Node, free_port, run, starling};
use super::proxy::{Network, Rule};
use super::{eventually, http};

/// Discovery, dialling and the first exchange of vectors, on a machine that does other things too.
const LINKED: Duration = Duration::from_secs(15);
/// The gauge that says of each peer whether it is in sync.
const IN_SYNC: &str = "starling_peer_in_sync";

pub struct Cluster {
    pub nodes: Vec<Node>,
    pub network: Network,
    pub secret: String,
}

impl Cluster {
    /// Starts `count` nodes and waits until each is ready and in sync with all others.
    pub async fn start(count: usize) -> Self {
        Self::start_seeded(count, 0).await
    }

    /// As `start`, of nodes with more arguments.
    pub async fn start_with(count: usize, args: &[&str]) -> Self {
        let mut cluster = Self::prepare(count, 0).await;
        cluster.nodes.iter_mut().for_each(|node| node.add_args(args));
        cluster.start_first(count).await;
        cluster
    }

    /// The seed decides which packets are lost where a rule says so.
    pub async fn start_seeded(count: usize, seed: u64) -> Self {
        let mut cluster = Self::prepare(count, seed).await;
        cluster.start_first(count).await;
        cluster
    }

    /// Starts the first so many of the prepared nodes and waits until they are ready and in sync with each other.
    pub async fn start_first(&mut self, count: usize) {
        for node in &mut self.nodes[..count] {
            node.start();
        }
        for node in &mut self.nodes[..count] {
            node.wait_ready().await;
        }
        self.linked().await;
    }

    /// Nodes that know each other's addresses; none is started yet.
    pub async fn prepare(count: usize, seed: u64) -> Self {
        let secret = new_secret().await;
        let listens: Vec<_> = (0..count).map(|_| SocketAddr::from(([127, 0, 0, 1], free_port()))).collect();
        let network = Network::new(listens.clone(), seed).await;
        let mut nodes = Vec::new();
        for (at, listen) in listens.iter().enumerate() {
            let name = char::from(b'A' + u8::try_from(at).expect("a test has few nodes"));
            let mut node = Node::new(&name.to_string(), &["--cluster-secret", &secret]);
            node.add_args(&["--cluster-listen", &listen.to_string()]);
            node.add_args(&["--cluster-advertise", &network.front(at).to_string()]);
            for other in (0..count).filter(|&other| other != at) {
                node.add_args(&["--join", &network.front(other).to_string()]);
            }
            nodes.push(node);
        }
        Self { nodes, network, secret }
    }

    /// Waits until all running nodes say that they are in sync with all others that run.
    pub async fn linked(&self) {
        let running: Vec<_> = (0..self.nodes.len()).filter(|&node| self[node].is_running()).collect();
        for node in &running {
            self.in_sync(*node, running.len() - 1).await;
        }
    }

    /// Waits until a node says that it is in sync with so many peers.
    pub async fn in_sync(&self, node: usize, peers: usize) {
        let node = &self[node];
        eventually(LINKED, &format!("{} is in sync with {peers} peers", node.name), async || {
            let metrics = http::get(node.http, "/metrics").await.map_err(|error| error.to_string())?;
            super::same(&ones(&metrics.text(), IN_SYNC), &peers)
        })
        .await;
    }

    pub fn cut(&self, a: usize, b: usize) {
        self.network.set(a, b, Rule { cut: true, ..Rule::default() });
    }

    pub fn cut_one_way(&self, from: usize, to: usize) {
        self.network.set_one_way(from, to, Rule { cut: true, ..Rule::default() });
    }

    pub fn heal(&self, a: usize, b: usize) {
        self.network.set(a, b, Rule::default());
    }

    /// Cuts one node off from all others.
    pub fn isolate(&self, node: usize) {
        self.others(node).for_each(|other| self.cut(node, other));
    }

    /// Undoes `isolate`.
    pub fn rejoin(&self, node: usize) {
        self.others(node).for_each(|other| self.heal(node, other));
    }

    fn others(&self, node: usize) -> impl Iterator<Item = usize> {
        (0..self.nodes.len()).filter(move |&other| other != node)
    }
}

impl Index<usize> for Cluster {
    type Output = Node;

    fn index(&self, node: usize) -> &Node {
        &self.nodes[node]
    }
}

impl IndexMut<usize> for Cluster {
    fn index_mut(&mut self, node: usize) -> &mut Node {
        &mut self.nodes[node]
    }
}

/// A new cluster secret, as an operator gets it.
pub async fn new_secret() -> String {
    let ended = run(starling(&["cluster", "secret"])).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.stdout.trim().to_owned()
}

/// In how many of its series a gauge stands at 1.
fn ones(metrics: &str, name: &str) -> usize {
    metrics.lines().filter(|line| line.starts_with(name) && line.ends_with(" 1")).count()
}
