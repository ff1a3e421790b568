//! The cluster's part of a start: bind, make the links, and wait until the first peers have spoken. Reads the data
//! directory, never writes it.

use std::{sync::Arc, time::Duration};

use starling_protocol::frame::peer::Member;
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use super::StartError;
use crate::{
    cluster::{
        self, Acceptor, ClusterKeys, Dialer, DriverInput, Links, Members, Membership, PresenceMap, Verdicts,
    },
    config::{ClusterConfig, Config},
    data_dir::Identity,
    environment::Environment,
    supervisor::Supervisor,
};

/// How long to wait for anybody to answer before the node starts alone; dialling goes on for ever.
const ANSWER_MAX: Duration = Duration::from_secs(1);
/// How long one who has answered may take to decide; he may have to ping another node for a second.
const VERDICT_MAX: Duration = Duration::from_secs(4);
/// Gossip packets and news of links that wait, at most.
const QUEUE_MAX: usize = 1_024;

/// What it starts from.
pub struct ClusterStart<'a> {
    environment: &'a Arc<dyn Environment>,
    config: &'a Config,
    cluster: &'a ClusterConfig,
    identity: &'a Identity,
    /// Whom it knew when it last ran.
    known: Vec<Member>,
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

impl<'a> ClusterStart<'a> {
    /// What a node needs to join its cluster; `None` if the configuration has none. Fails if the node belongs to one.
    pub fn new(
        environment: &'a Arc<dyn Environment>,
        config: &'a Config,
        identity: &'a Identity,
        known: Vec<Member>,
    ) -> Result<Option<Self>, StartError> {
        let Some(cluster) = &config.cluster else {
            let other = || StartError::OtherCluster(config.data_dir.display().to_string());
            return identity.cluster.as_ref().map_or(Ok(None), |_| Err(other()));
        };
        Ok(Some(Self { environment, config, cluster, identity, known }))
    }

    pub async fn join(
        self,
        supervisor: &Arc<Supervisor>,
        presence: Arc<PresenceMap>,
        driver: mpsc::Sender<DriverInput>,
    ) -> Result<Joined, StartError> {
        let (environment, node) = (self.environment, self.identity.node());
        let keys = ClusterKeys::derive(&self.cluster.secret)?;
        if self.identity.cluster.as_ref().is_some_and(|cluster| *cluster != keys.fingerprint) {
            return Err(StartError::OtherCluster(self.config.data_dir.display().to_string()));
        }
        let listen = self.cluster.listen;
        let socket = environment
            .bind_udp(listen)
            .map_err(|error| StartError::Bind(listen, error, "--cluster-listen"))?;
        let endpoint = cluster::open(environment, socket, &keys, node)?;
        let others = self.known.iter().any(|member| member.node != node);
        let knows_peers = others || !self.cluster.join.is_empty() || self.cluster.expect_peers;
        let bound = endpoint.local_addr().unwrap_or(listen);
        // Where this node is reached on a socket for all addresses is found out as links come up.
        let guessed = self.cluster.advertise.is_none() && bound.ip().is_unspecified();
        let addresses = match &self.cluster.advertise {
            Some(advertise) => vec![advertise.clone()],
            None if guessed => Vec::new(),
            None => vec![bound.to_string()],
        };
        tracing::info!(%node, listen = %bound, ?addresses, "joining the cluster");
        let public_url = self.config.http.public_url.clone();
        let me = Member { node, number: 0, addresses, public_url, heard_at: Vec::new() };
        let members = Arc::new(Members::new(Arc::clone(environment), me, self.known));
        let (gossip, packets) = mpsc::channel(QUEUE_MAX);
        let (linked, news) = mpsc::channel(QUEUE_MAX);
        let process = environment.random_u64();
        let port = guessed.then_some(bound.port());
        let links = Links::new(
            Arc::clone(environment),
            port,
            process,
            Arc::clone(&members),
            presence,
            driver,
            gossip,
        );
        let links = Arc::new(links);
        if self.cluster.expect_peers {
            links.expect_peer();
        }
        let (to_links, to_members) = (Arc::clone(&links), Arc::clone(&members));
        let membership = Membership::new(Arc::clone(environment), to_links, to_members, packets, news);
        let dialer = Dialer::new(
            Arc::clone(environment),
            endpoint.clone(),
            Arc::clone(&links),
            Arc::clone(&members),
            self.cluster.join.clone(),
        );
        let tasks = vec![
            supervisor.start(Acceptor::new(endpoint.clone(), Arc::clone(&links))),
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
