//! A node without its listeners: joins the cluster, opens the store, and wires writer, driver and services. It reaches the
//! outside only through its [`Environment`] and [`CoreStart`], so simulations run it unchanged.

use std::{mem, path::PathBuf, sync::Arc, time::Duration};

use futures_util::future::join_all;
use starling_protocol::{
    VersionVector,
    frame::peer::{Member, NodeStatus},
    replica::Until,
};
use starling_web::{
    AppState,
    drain::Serving,
    lane::{CommitPoint, Lanes},
    metrics::WebMetrics,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle as Task,
};

use super::{
    StartError,
    cluster_start::{ClusterHandle, ClusterStart},
    services::{Services, ServicesStart},
};
use crate::{
    cluster::{Driver, DriverHandle, DriverParts, EndRefill, PresenceMap, PresenceNotifier, SaveMembers},
    config::Config,
    control::StatusSource,
    data_dir::Identity,
    disk_space::DiskSpace,
    environment::Environment,
    fan_out::{FanOut, OldFrames},
    metrics::Metrics,
    services::{
        AccountsService, AdministrationService, MembershipService, Scrubbing, ServiceContext,
        secret_rotation::{SaveSecret, SecretRotation},
    },
    store::Store,
    supervisor::{SupervisedTask, Supervisor},
    writer::{Writer, WriterHandle},
};

/// Inputs waiting for the driver, at most.
const DRIVER_INBOX: usize = 1_024;
/// How long a stopping node waits until its peers hold its log.
const HAND_OVER_MS: u64 = 20_000;

/// Opens the store, for a node that has joined a cluster, or for a lone one.
pub type OpenStore<'a> = Box<dyn FnOnce(Option<&ClusterHandle>) -> Result<Store, StartError> + Send + 'a>;

/// The inputs of [`Core::start`].
pub struct CoreStart<'a> {
    /// The clock, random numbers, threads and network.
    pub environment: Arc<dyn Environment>,
    /// The settings.
    pub config: &'a Config,
    /// The identity of the node.
    pub identity: &'a Identity,
    /// The nodes it knew when it last ran.
    pub known: Vec<Member>,
    /// The free space of the disk, and its reserve.
    pub space: DiskSpace,
    /// Records the end of a refill, if the store was lost and is not refilled yet.
    pub refill: Option<EndRefill>,
    /// Opens the store. Called once, after no peer has refused the node.
    pub open_store: OpenStore<'a>,
    /// Saves the known nodes for the next start.
    pub save_members: SaveMembers,
    /// Saves which secret of the cluster is in use, for the next start.
    pub save_secret: SaveSecret,
}

/// A node without its listeners.
pub struct Core {
    /// The state of the HTTP server.
    pub web: AppState,
    /// The accounts, also for commands.
    pub accounts: Arc<AccountsService>,
    /// The administration of accounts, also for commands.
    pub administration: Arc<AdministrationService>,
    /// The rotation of the cluster's secret, if there is a cluster.
    pub rotation: Option<Arc<SecretRotation>>,
    /// The membership in the cluster, also for commands.
    pub membership: Arc<MembershipService>,
    /// The log and its views.
    pub store: Arc<Store>,
    /// The links to the cluster, if there is one.
    pub cluster: Option<ClusterHandle>,
    /// Restarts tasks that panic.
    pub supervisor: Arc<Supervisor>,
    /// Whether users are served.
    pub serving: watch::Sender<Serving>,
    background: Vec<Task<()>>,
    driver: DriverHandle,
    writer: WriterHandle,
    writer_thread: Task<()>,
    presence: Arc<PresenceMap>,
}

impl Core {
    /// Starts the node. Writes nothing until the peers have had the chance to refuse the node.
    pub async fn start(start: CoreStart<'_>) -> Result<Self, StartError> {
        let CoreStart { environment, config, identity, known, space, refill, open_store, .. } = start;
        let lanes = Arc::new(Lanes::new(CommitPoint { number: 0, vector: Arc::default() }));
        let presence = PresenceMap::new(Arc::clone(&environment), Arc::clone(&lanes));
        let (supervisor, inbox) = (Arc::new(Supervisor::default()), mpsc::channel(DRIVER_INBOX));

        // Join the cluster before anything is written: a peer may refuse this node.
        let mut cluster = match ClusterStart::new(&environment, config, identity, known)? {
            Some(start) => Some(start.join(&supervisor, Arc::clone(&presence), inbox.0.clone()).await?),
            None => None,
        };

        let store = Arc::new(open_store(cluster.as_ref())?);
        let committer = store.committer(identity.node(), environment.now_ms())?;
        let (held, digests) = (VersionVector::clone(committer.vector()), committer.digests());
        lanes.publish(CommitPoint { number: 0, vector: Arc::clone(committer.vector()) });

        let metrics = Metrics::new(&supervisor.restarts, &space);
        let mut background = attach_cluster(cluster.as_mut(), &store, start.save_members, &metrics, &space)?;
        let scrub = Scrubbing { space: space.clone(), after: config.storage.scrub_after };
        let (writer_start, writer) = Writer::new(committer, config.durability, space, metrics.writer.clone());
        presence.attach(Arc::clone(&store), writer.clone());
        let (driver_task, driver) = Driver::new(DriverParts {
            environment: Arc::clone(&environment),
            held,
            digests,
            inbox,
            writer: writer.clone(),
            store: Arc::clone(&store),
            links: cluster.as_ref().map(|cluster| (Arc::clone(&cluster.links), cluster.new_links.clone())),
            knows_peers: cluster.as_ref().is_some_and(|cluster| cluster.knows_peers),
            refill,
            metrics: metrics.cluster.clone(),
        });
        let fan_out =
            FanOut::new(&lanes, &store, &presence, &driver, cluster.as_ref().map(ClusterHandle::links));
        let writer_thread = writer_start.start(Arc::clone(&environment), fan_out);
        background.push(tokio::spawn(driver_task.run()));
        background.extend(start_for_sessions(&supervisor, &presence, &lanes));

        let services = Services::start(ServicesStart {
            config,
            identity,
            cluster: cluster.as_ref(),
            context: ServiceContext {
                environment,
                store: Arc::clone(&store),
                writer: writer.clone(),
                driver: driver.clone(),
            },
            metrics: &metrics,
            presence: &presence,
            supervisor: &supervisor,
            lanes,
            scrub,
            save_secret: start.save_secret,
        })?;
        background.extend(services.tasks);
        Ok(Self {
            web: services.web,
            accounts: services.accounts,
            administration: services.administration,
            rotation: services.rotation,
            membership: services.membership,
            store,
            cluster,
            supervisor,
            serving: services.serving,
            background,
            driver,
            writer,
            writer_thread,
            presence,
        })
    }

    /// The source of `starling status`.
    pub fn status_source(
        &self,
        node: String,
        http: String,
        store_file: PathBuf,
        space: DiskSpace,
    ) -> StatusSource {
        StatusSource {
            node,
            http,
            store_file,
            store: Arc::clone(&self.store),
            space,
            writer: self.writer.clone(),
            driver: self.driver.clone(),
            links: self.cluster.as_ref().map(|cluster| Arc::clone(&cluster.links)),
            rotation: self.rotation.clone(),
            membership: Arc::clone(&self.membership),
            presence: Arc::clone(&self.presence),
            operations: Arc::clone(&self.web.operations),
            drain: self.web.drain.clone(),
            web: WebMetrics::clone(&self.web.metrics),
        }
    }

    /// Tells sessions to resume on another node.
    pub fn drain(&self) {
        self.serving.send_replace(Serving::Stopping);
    }

    /// Waits until this node learns that it was forgotten; never for a lone node.
    pub async fn forgotten(&self) {
        match &self.cluster {
            Some(cluster) => cluster.links.forgotten().await,
            None => std::future::pending().await,
        }
    }

    /// Whether this node was forgotten, as far as it knows.
    pub fn is_forgotten(&self) -> bool {
        self.cluster.as_ref().is_some_and(|cluster| cluster.links.is_forgotten())
    }

    /// Stops: waits until peers hold what only this node has, then ends everything in order. Peers that have forgotten this
    /// node take nothing from it: it keeps what it has, and they get it once it joins again.
    pub async fn stop(self) {
        if self.cluster.is_some() && !self.is_forgotten() {
            // The whole log, not only what this process wrote: an earlier one may have ended before its peers had it all.
            let vector = self.web.lanes.commit_point().vector;
            let wanted = self.membership.copies();
            let handed_over =
                |(origin, head)| self.driver.wait(origin, head, Until::Copies(wanted), HAND_OVER_MS);
            let copies = join_all(vector.iter().map(handed_over)).await.into_iter().min();
            if let Some(copies) = copies.filter(|&copies| copies < wanted) {
                tracing::warn!(copies, wanted, "stopping before enough nodes hold the newest messages");
            }
        }
        for task in &self.background {
            task.abort();
        }
        if let Some(ClusterHandle { links, endpoint, .. }) = self.cluster {
            links.close_all();
            endpoint.close(quinn::VarInt::from_u32(0), b"stopping");
            let _ = tokio::time::timeout(Duration::from_secs(1), endpoint.wait_idle()).await;
        }
        for task in self.background {
            let _ = task.await;
        }
        let end = async {
            self.writer.end().await;
            self.writer_thread.await
        };
        if tokio::time::timeout(Duration::from_secs(5), end).await.is_err() {
            tracing::warn!("the writer did not end in time; everything acknowledged is durable");
        }
    }
}

/// Applies which nodes were forgotten, saves the list of members, shares the status, and registers the metrics of links.
/// Returns the tasks of the cluster.
///
/// # Errors
///
/// If this node was forgotten, or the store cannot be read.
fn attach_cluster(
    cluster: Option<&mut ClusterHandle>,
    store: &Store,
    save_members: SaveMembers,
    metrics: &Metrics,
    space: &DiskSpace,
) -> Result<Vec<Task<()>>, StartError> {
    let Some(cluster) = cluster else { return Ok(Vec::new()) };
    let forgotten = store.forgotten_nodes()?;
    if forgotten.contains(&cluster.links.me()) {
        return Err(StartError::Forgotten);
    }
    cluster.links.set_forgotten(forgotten);
    cluster.members.save_with(save_members);
    let (sessions, free_bytes) = (metrics.web.sessions.clone(), space.free.clone());
    cluster.links.share_status(Box::new(move || NodeStatus {
        sessions: u64::try_from(sessions.get()).unwrap_or_default(),
        free_bytes: free_bytes.get(),
        build: env!("CARGO_PKG_VERSION").into(),
    }));
    metrics.register_links(&cluster.links.metrics);
    Ok(mem::take(&mut cluster.tasks))
}

/// Starts the tasks that keep presence the same on all nodes, and lanes without old frames.
fn start_for_sessions(
    supervisor: &Arc<Supervisor>,
    presence: &Arc<PresenceMap>,
    lanes: &Arc<Lanes>,
) -> [Task<()>; 3] {
    [
        supervisor.start(OldFrames(Arc::clone(lanes))),
        supervisor.start(PresenceRepair(Arc::clone(presence))),
        supervisor.start(PresenceNotifier(Arc::clone(presence))),
    ]
}

/// Sends all of presence again to links whose queue was full.
struct PresenceRepair(Arc<PresenceMap>);

impl SupervisedTask for PresenceRepair {
    fn name(&self) -> &'static str {
        "presence"
    }

    async fn run(&mut self) {
        let mut every = tokio::time::interval(Duration::from_secs(1));
        loop {
            every.tick().await;
            self.0.repair();
        }
    }
}
