//! Joins the cluster at the start: binds the socket, starts the links, and waits for the verdict of the first peers. Never
//! writes to the data directory.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use rustls::pki_types::UnixTime;
use starling_protocol::{event::SecretFingerprint, frame::peer::Member};
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use super::StartError;
use crate::{
    cluster::{
        self, Acceptor, CertificateError, CertificatePem, CertificateWatch, Dialer, DriverInput, HeldKeys,
        Links, Members, Membership, OwnCertificate, PeerEndpoint, PresenceMap, Verdicts,
    },
    config::{CertificateFiles, ClusterConfig, Config},
    data_dir::Identity,
    environment::Environment,
    supervisor::Supervisor,
};

/// How long to wait for an answer before the node starts alone. It keeps dialling afterwards.
const ANSWER_MAX: Duration = Duration::from_secs(1);
/// How long a peer that has answered may take to decide: it may have to ping another node for a second.
const VERDICT_MAX: Duration = Duration::from_secs(4);
/// Gossip packets, and reports of new links, that wait, at most.
const QUEUE_MAX: usize = 1_024;

/// The inputs for joining a cluster.
pub struct ClusterStart<'a> {
    environment: &'a Arc<dyn Environment>,
    config: &'a Config,
    cluster: &'a ClusterConfig,
    identity: &'a Identity,
    /// The nodes it knew when it last ran.
    known: Vec<Member>,
}

/// A node's links to its cluster.
pub struct ClusterHandle {
    /// The keys derived from the cluster's secret, at the start.
    pub keys: HeldKeys,
    /// The links to other nodes.
    pub links: Arc<Links>,
    /// The known nodes.
    pub members: Arc<Members>,
    /// The QUIC endpoint on the UDP socket.
    pub endpoint: quinn::Endpoint,
    /// The same endpoint, whose trust can be replaced.
    pub peers: Arc<PeerEndpoint>,
    /// Takes the members to which a new link has come up.
    pub new_links: mpsc::Sender<Member>,
    /// The background tasks.
    pub tasks: Vec<JoinHandle<()>>,
    /// Whether there were other nodes to catch up with at the start.
    pub knows_peers: bool,
}

impl ClusterHandle {
    /// The links to other nodes.
    pub fn links(&self) -> Arc<Links> {
        Arc::clone(&self.links)
    }
}

impl<'a> ClusterStart<'a> {
    /// Gathers the inputs for joining the cluster; `None` for a lone node. Fails if no cluster is configured but the
    /// node belongs to one.
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
    ) -> Result<ClusterHandle, StartError> {
        let (environment, node) = (self.environment, self.identity.node());
        let other = || StartError::OtherCluster(self.config.data_dir.display().to_string());
        let in_use = match &self.identity.cluster {
            Some(cluster) => Some(SecretFingerprint::parse(cluster).ok_or_else(other)?),
            None => None,
        };
        let keys = HeldKeys::derive(&self.cluster.secrets, in_use)?.ok_or_else(other)?;
        let (own, watched) = self.own_certificate()?.unzip();
        let listen = self.cluster.listen;
        let socket = environment
            .bind_udp(listen)
            .map_err(|error| StartError::Bind(listen, error, "--cluster-listen"))?;
        let peers = Arc::new(cluster::open(environment, socket, &keys, own, node)?);
        let endpoint = peers.endpoint.clone();
        let others = self.known.iter().any(|member| member.node != node);
        let knows_peers = others || !self.cluster.join.is_empty() || self.cluster.expect_peers;
        let bound = endpoint.local_addr().unwrap_or(listen);
        let (addresses, guessed) = self.addresses(bound);
        tracing::info!(%node, listen = %bound, ?addresses, "joining the cluster");
        let public_url = self.config.http.public_url.clone();
        let me = Member { node, number: 0, addresses, public_url, observed_addresses: Vec::new() };
        let members = Arc::new(Members::new(Arc::clone(environment), me, self.known));
        let (gossip, packets) = mpsc::channel(QUEUE_MAX);
        let (new_links, new_links_rx) = mpsc::channel(QUEUE_MAX);
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
            links.require_peer();
        }
        let (to_links, to_members) = (Arc::clone(&links), Arc::clone(&members));
        let membership =
            Membership::new(Arc::clone(environment), to_links, to_members, packets, new_links_rx);
        let dialer = Dialer::new(
            Arc::clone(environment),
            Arc::clone(&peers),
            Arc::clone(&links),
            Arc::clone(&members),
            self.cluster.join.clone(),
        );
        let mut tasks = vec![
            supervisor.start(Acceptor::new(endpoint.clone(), Arc::clone(&links))),
            supervisor.start(membership),
            supervisor.start(dialer),
        ];
        if let Some((files, pem)) = watched {
            let watch = CertificateWatch::new(Arc::clone(environment), Arc::clone(&peers), files, pem);
            tasks.push(supervisor.start(watch));
        }
        if knows_peers && let Err(error) = wait_for_verdicts(&links).await {
            for task in tasks {
                task.abort();
            }
            return Err(error);
        }
        Ok(ClusterHandle { keys, links, members, endpoint, peers, new_links, tasks, knows_peers })
    }
}

/// The operator's certificate, and what to watch for a renewed one.
type Watched = (OwnCertificate, (CertificateFiles, CertificatePem));

impl ClusterStart<'_> {
    /// Reads the operator's certificate, if there is one.
    fn own_certificate(&self) -> Result<Option<Watched>, CertificateError> {
        let Some(files) = self.cluster.certificate.clone() else { return Ok(None) };
        let now = UnixTime::since_unix_epoch(Duration::from_millis(self.environment.now_ms()));
        let pem = CertificatePem::read(&files)?;
        Ok(Some((OwnCertificate::new(&files, &pem, now)?, (files, pem))))
    }

    /// Returns the addresses at which others reach this node, and whether they are found out as links come up, as those of a
    /// socket for all addresses are.
    fn addresses(&self, bound: SocketAddr) -> (Vec<String>, bool) {
        match &self.cluster.advertise {
            Some(advertise) => (vec![advertise.clone()], false),
            None if bound.ip().is_unspecified() => (Vec::new(), true),
            None => (vec![bound.to_string()], false),
        }
    }
}

/// Waits until a peer admits or refuses this node, or the time for an answer is over.
async fn wait_for_verdicts(links: &Links) -> Result<(), StartError> {
    let mut verdicts = links.verdicts();
    let started = Instant::now();
    let spoken = |verdicts: &Verdicts| {
        verdicts.admitted > 0 || verdicts.node_id_in_use.is_some() || verdicts.forgotten_by.is_some()
    };
    let mut deadline = started + ANSWER_MAX;
    loop {
        let changed = timeout_at(deadline, verdicts.wait_for(spoken)).await.is_ok();
        let verdicts = verdicts.borrow().clone();
        if verdicts.forgotten_by.is_some() {
            return Err(StartError::Forgotten);
        }
        if let Some(address) = verdicts.node_id_in_use {
            return Err(StartError::NodeIdInUse(address));
        }
        // If some peer admits the node, one with a different secret is a stale address; if none does, it is another cluster.
        if changed {
            return Ok(());
        }
        if let Some(address) = verdicts.retired_secret {
            return Err(StartError::RetiredSecret(address));
        }
        if let Some(address) = verdicts.wrong_secret {
            return Err(StartError::WrongSecret(address));
        }
        if let Some(found) = verdicts.no_common_version {
            return Err(StartError::NoCommonVersion(found));
        }
        let latest = started + VERDICT_MAX;
        if verdicts.deciding == 0 || deadline >= latest {
            return Ok(());
        }
        deadline = latest.min(Instant::now() + Duration::from_millis(100));
    }
}
