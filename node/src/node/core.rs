//! A node without its listeners: joins the cluster, opens the store, and wires writer, driver and services. It reaches the
//! outside only through its [`Environment`] and [`CoreStart`], so simulations run it unchanged.

use std::{path::PathBuf, sync::Arc, time::Duration};

use futures_util::future::join_all;
use starling_protocol::{CursorKey, VersionVector, frame::peer::Member, replica::Until};
use starling_web::{
    AppState, WebSettings,
    drain::{Drain, Serving},
    guard::{ConnectionLimiter, Guard, Hosts, Origins, Rates, TrustedProxies},
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
};
use crate::{
    auth::{Passwords, ServiceKeySealer},
    cluster::{
        Driver, DriverHandle, DriverParts, EndRefill, KeepMembers, Links, PresenceMap, PresenceNotifier,
    },
    config::{Config, ConfigError},
    control::StatusSource,
    data_dir::Identity,
    disk_space::DiskSpace,
    environment::Environment,
    fan_out::FanOut,
    metrics::Metrics,
    services::{
        AccountsService, AccountsStart, AdministrationService, ContactsService, CursorsService, Erasure,
        LiveService, MemberRoomsService, MessagesService, OperationsService, PostingService,
        QuickRoomsService, Scrubbing, ServiceContext,
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
    pub keep_members: KeepMembers,
}

/// A node without its listeners.
pub struct Core {
    /// The state of the HTTP server.
    pub web: AppState,
    /// The accounts, also for commands.
    pub accounts: Arc<AccountsService>,
    /// The administration of accounts, also for commands.
    pub administration: Arc<AdministrationService>,
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
    copies: usize,
}

impl Core {
    /// Starts the node. Writes nothing until the peers have had the chance to refuse the node.
    pub async fn start(start: CoreStart<'_>) -> Result<Self, StartError> {
        let CoreStart { environment, config, identity, known, space, refill, open_store, keep_members } =
            start;
        let lanes = Arc::new(Lanes::new(CommitPoint { number: 0, vector: Arc::default() }));
        let presence = PresenceMap::new(Arc::clone(&environment), Arc::clone(&lanes));
        let supervisor = Arc::new(Supervisor::default());
        let inbox = mpsc::channel(DRIVER_INBOX);

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
        let scrub = Scrubbing { space: space.clone(), after: config.scrub_after };
        let (writer_start, writer) = Writer::new(committer, config.durability, space, metrics.store.clone());
        presence.attach(Arc::clone(&store), writer.clone());
        let (cursor_key, token_secret) = shared_keys(identity, cluster.as_ref());
        let mut background = Vec::new();
        if let Some(cluster) = &mut cluster {
            cluster.members.keep(keep_members);
            metrics.register_links(&cluster.links.metrics);
            background.append(&mut cluster.tasks);
        }
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
        let fan_out = FanOut::new(&lanes, &store, &presence, &driver);
        let writer_thread = writer_start.start(Arc::clone(&environment), fan_out);
        background.push(tokio::spawn(driver_task.run()));
        background.extend(start_presence(&supervisor, &presence));

        let context = ServiceContext {
            environment,
            store: Arc::clone(&store),
            writer: writer.clone(),
            driver: driver.clone(),
        };
        let (serving, drain) = Drain::new();
        let links = cluster.as_ref().map(|cluster| Arc::clone(&cluster.links));
        let public_url = config.http.public_url.clone();
        let operations = operations(&context, &metrics, &presence, &supervisor, links, public_url);
        let (accounts, administration) =
            accounts(config, identity, &context, token_secret, cluster.as_ref())?;
        let erasure = Erasure::new(context.clone(), Arc::clone(&lanes), scrub);
        background
            .extend([supervisor.start(erasure), supervisor.start(accounts.service_keys().reseal_task())]);
        let web = AppState {
            authentication: accounts.clone(),
            accounts: accounts.clone(),
            member_rooms: Arc::new(MemberRoomsService::new(context.clone(), accounts.service_keys().clone())),
            messages: Arc::new(MessagesService { context: context.clone() }),
            administration: administration.clone(),
            contacts: Arc::new(ContactsService { context: context.clone() }),
            quick_rooms: Arc::new(QuickRoomsService { context: context.clone() }),
            posting: Arc::new(PostingService { context: context.clone() }),
            cursors: Arc::new(CursorsService {
                context: context.clone(),
                lanes: Arc::clone(&lanes),
                cursor_key: CursorKey::new(&cursor_key),
            }),
            operations: Arc::new(operations),
            live: Arc::new(LiveService { context: context.clone(), presence: Arc::clone(&presence) }),
            presence: presence.clone(),
            lanes,
            guard: Arc::new(guard(config, &metrics)),
            metrics: Arc::new(metrics.web.clone()),
            settings: Arc::new(settings(config, identity)),
            drain,
        };
        Ok(Self {
            web,
            accounts,
            administration,
            store,
            cluster,
            supervisor,
            serving,
            background,
            driver,
            writer,
            writer_thread,
            presence,
            copies: config.durability.copies,
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

    /// Stops: waits until peers hold what only this node has, then ends everything in order.
    pub async fn stop(self) {
        if self.cluster.is_some() {
            // The whole log, not only what this process wrote: an earlier one may have ended before its peers had it all.
            let vector = self.web.lanes.commit_point().vector;
            let handed_over =
                |(origin, head)| self.driver.wait(origin, head, Until::Copies(self.copies), HAND_OVER_MS);
            let copies = join_all(vector.iter().map(handed_over)).await.into_iter().min();
            if let Some(copies) = copies.filter(|&copies| copies < self.copies) {
                tracing::warn!(
                    copies,
                    wanted = self.copies,
                    "stopping before enough nodes hold the newest messages"
                );
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

/// The cursor key and the token secret: the cluster's, or those of a lone node.
fn shared_keys(identity: &Identity, cluster: Option<&ClusterHandle>) -> ([u8; 32], [u8; 32]) {
    match cluster {
        Some(cluster) => (cluster.keys.cursor_key, cluster.keys.token_secret),
        None => (identity.cursor_key(), identity.token_secret()),
    }
}

fn accounts(
    config: &Config,
    identity: &Identity,
    context: &ServiceContext,
    token_secret: [u8; 32],
    cluster: Option<&ClusterHandle>,
) -> Result<(Arc<AccountsService>, Arc<AdministrationService>), ConfigError> {
    let passwords = Arc::new(Passwords::start(&context.environment, config.auth.cost, config.auth.workers)?);
    let administration = AdministrationService::new(context.clone(), Arc::clone(&passwords), &token_secret);
    let accounts = AccountsService::new(AccountsStart {
        context: context.clone(),
        token_secret,
        service_keys: service_keys(identity, cluster),
        passwords,
        mode: config.registration,
        members: cluster.map(|cluster| Arc::clone(&cluster.members)),
    });
    Ok((Arc::new(accounts), Arc::new(administration)))
}

/// Seals under the secret of the cluster, if there is one, and still opens what the node sealed while it was alone.
fn service_keys(identity: &Identity, cluster: Option<&ClusterHandle>) -> ServiceKeySealer {
    match cluster {
        Some(cluster) => ServiceKeySealer::new(cluster.keys.sealing_key, &[identity.sealing_key()]),
        None => ServiceKeySealer::new(identity.sealing_key(), &[]),
    }
}

fn operations(
    context: &ServiceContext,
    metrics: &Arc<Metrics>,
    presence: &Arc<PresenceMap>,
    supervisor: &Arc<Supervisor>,
    links: Option<Arc<Links>>,
    public_url: Option<String>,
) -> OperationsService {
    OperationsService {
        driver: context.driver.clone(),
        writer: context.writer.clone(),
        store: Arc::clone(&context.store),
        metrics: Arc::clone(metrics),
        presence: Arc::clone(presence),
        links,
        public_url,
        supervisor: Arc::clone(supervisor),
    }
}

fn settings(config: &Config, identity: &Identity) -> WebSettings {
    WebSettings {
        node: identity.node().to_string(),
        guests_enabled: config.guests_enabled,
        registration: config.registration,
        public_url: config.http.public_url.clone(),
        metrics: config.serves_metrics_to_users(),
    }
}

/// Starts the tasks that keep presence the same on all nodes.
fn start_presence(supervisor: &Arc<Supervisor>, presence: &Arc<PresenceMap>) -> [Task<()>; 2] {
    [
        supervisor.start(PresenceRepair(Arc::clone(presence))),
        supervisor.start(PresenceNotifier(Arc::clone(presence))),
    ]
}

fn guard(config: &Config, metrics: &Metrics) -> Guard {
    Guard {
        proxies: TrustedProxies::new(config.http.trusted_proxies.clone()),
        origins: Origins::new(config.http.public_url.as_deref(), config.http.allowed_origins.clone()),
        hosts: Hosts::new(config.http.public_url.as_deref(), config.http.allowed_hosts.clone()),
        https: config.http.public_url.as_deref().is_some_and(|url| url.starts_with("https://")),
        rates: Rates::new(&config.limits, metrics.web.rate_limited.clone()),
        connections_by_network: ConnectionLimiter::new(config.connections_per_address),
    }
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
