//! The cluster's part of a start: bind, make the links, and wait until the first peers have spoken. Reads the data
//! directory, never writes it.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use starling_protocol::frame::peer::Member;
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use super::StartError;
use crate::{
    cluster::{self, ClusterKeys, Dialer, DriverInput, Links, Members, Membership, PresenceMap, Verdicts},
    config::{ClusterConfig, Config},
    data_dir::Identity,
    machine::Machine,
    supervisor::{Part, Supervisor},
};

/// How long to wait for anybody to answer before the node starts alone; dialling goes on for ever.
const ANSWER_MAX: Duration = Duration::from_secs(1);
/// How long one who has answered may take to decide; he may have to ping another node for a second.
const VERDICT_MAX: Duration = Duration::from_secs(4);
/// Handshakes under way at once; a cluster has few nodes.
const HANDSHAKES_MAX: usize = 256;
/// Gossip packets and news of links that wait, at most.
const QUEUE_MAX: usize = 1_024;

/// What it starts from.
pub struct ClusterStart<'a> {
    pub machine: &'a Arc<dyn Machine>,
    pub config: &'a Config,
    pub cluster: &'a ClusterConfig,
    pub identity: &'a Identity,
    /// Whom it knew when it last ran.
    pub known: Vec<Member>,
}

/// A part of the cluster.
pub struct Joined {
    /// What it derives from the secret.
    pub keys: ClusterKeys,
    /// Who is linked.
    pub links: Arc<Links>,
    /// Who is known.
    pub members: Arc<Members>,
    /// The one UDP socket.
    pub endpoint: quinn::Endpoint,
    /// Whom to tell of new links.
    pub linked: mpsc::Sender<Member>,
    /// What keeps it going.
    pub tasks: Vec<JoinHandle<()>>,
    /// Whether there was anybody to catch up with at the start.
    pub knows_peers: bool,
}

impl ClusterStart<'_> {
    pub async fn join(
        self,
        supervisor: &Arc<Supervisor>,
        presence: Arc<PresenceMap>,
        driver: mpsc::Sender<DriverInput>,
    ) -> Result<Joined, StartError> {
        let (machine, node) = (self.machine, self.identity.node());
        let keys = ClusterKeys::derive(&self.cluster.secret)?;
        if self.identity.cluster.as_ref().is_some_and(|cluster| *cluster != keys.fingerprint) {
            return Err(StartError::OtherCluster(self.config.data_dir.display().to_string()));
        }
        let listen = self.cluster.listen;
        let socket =
            machine.bind_udp(listen).map_err(|error| StartError::Bind(listen, error, "--cluster-listen"))?;
        let endpoint = cluster::open(machine, socket, &keys, node)?;
        let known = self.known;
        let knows_peers = !known.is_empty() || !self.cluster.join.is_empty();
        let first = self.cluster.join.first().or(known.first().map(|member| &member.address));
        let address = match &self.cluster.advertise {
            Some(advertise) => advertise.clone(),
            None => reachable_at(endpoint.local_addr().unwrap_or(listen), first.map(String::as_str)),
        };
        let me = Member { node, address, public_url: self.config.http.public_url.clone() };
        tracing::info!(%node, address = me.address, "joining the cluster");

        let members = Arc::new(Members::new(node, known));
        let (gossip, packets) = mpsc::channel(QUEUE_MAX);
        let (linked, news) = mpsc::channel(QUEUE_MAX);
        let process = machine.random_u64();
        let links = Arc::new(Links::new(me.clone(), process, Arc::clone(&members), presence, driver, gossip));
        let (to_links, to_members) = (Arc::clone(&links), Arc::clone(&members));
        let membership = Membership::new(Arc::clone(machine), me, to_links, to_members, packets, news);
        let dialer = Dialer::new(
            Arc::clone(machine),
            endpoint.clone(),
            Arc::clone(&links),
            Arc::clone(&members),
            self.cluster.join.clone(),
        );
        let tasks = vec![
            supervisor.start(Acceptor {
                endpoint: endpoint.clone(),
                links: Arc::clone(&links),
                handshakes: Arc::new(Semaphore::new(HANDSHAKES_MAX)),
            }),
            supervisor.start(membership),
            supervisor.start(dialer),
        ];
        if knows_peers && let Err(error) = wait_for_verdicts(&links).await {
            for task in tasks {
                task.abort();
            }
            return Err(error);
        }
        Ok(Joined { keys, links, members, endpoint, linked, tasks, knows_peers })
    }
}

/// Accepts connections from other nodes.
struct Acceptor {
    endpoint: quinn::Endpoint,
    links: Arc<Links>,
    handshakes: Arc<Semaphore>,
}

impl Part for Acceptor {
    fn name(&self) -> &'static str {
        "cluster listener"
    }

    async fn run(&mut self) {
        while let Some(incoming) = self.endpoint.accept().await {
            match Arc::clone(&self.handshakes).try_acquire_owned() {
                Ok(handshake) => drop(tokio::spawn(Arc::clone(&self.links).incoming(incoming, handshake))),
                // A peer dials again; a stranger need not be answered.
                Err(_) => incoming.ignore(),
            }
        }
    }
}

/// Waits until somebody lets this node in, or turns it away, or nobody answers.
async fn wait_for_verdicts(links: &Links) -> Result<(), StartError> {
    let mut verdicts = links.verdicts();
    let begun = Instant::now();
    let spoken = |verdicts: &Verdicts| verdicts.admitted > 0 || verdicts.node_id_in_use.is_some();
    let mut deadline = begun + ANSWER_MAX;
    loop {
        let changed = timeout_at(deadline, verdicts.wait_for(spoken)).await.is_ok();
        let verdicts = verdicts.borrow().clone();
        if let Some(address) = verdicts.node_id_in_use {
            return Err(StartError::NodeIdInUse(address));
        }
        // One stranger among friends is a stale address; strangers alone are another cluster.
        if changed {
            return Ok(());
        }
        if let Some(address) = verdicts.wrong_secret {
            return Err(StartError::WrongSecret(address));
        }
        let latest = begun + VERDICT_MAX;
        if verdicts.deciding == 0 || deadline >= latest {
            return Ok(());
        }
        deadline = latest.min(Instant::now() + Duration::from_millis(100));
    }
}

/// The address under which other nodes probably reach this one: the one that the way to the first of them starts
/// from, if the socket listens on all.
fn reachable_at(local: SocketAddr, first: Option<&str>) -> String {
    if !local.ip().is_unspecified() {
        return local.to_string();
    }
    // Connecting a UDP socket sends nothing; it only asks the routing table.
    let route = |first: &str| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
        socket.connect(first).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    let ip = first.and_then(route).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    if ip.is_loopback() {
        tracing::warn!("no --cluster-advertise: other machines will not reach this node");
    }
    SocketAddr::new(ip, local.port()).to_string()
}
