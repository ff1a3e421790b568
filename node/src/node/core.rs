//! A node without its listeners: asks the cluster, opens the store, wires writer, driver and services. It reaches
//! the outside only through its [`Environment`] and what it is given to start from, so it runs in a simulation as it is.

use std::{path::PathBuf, sync::Arc, time::Duration};

use futures_util::future::join_all;
use starling_protocol::{CursorKey, VersionVector, frame::peer::Member, replica::Until};
use starling_web::{
    AppState, WebSettings,
    drain::{Drain, Serving},
    guard::{Guard, Hosts, Origins, Rates, Shares, TrustedProxies},
    lane::{CommitPoint, Lanes},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle as Task,
};

use super::{
    StartError,
    cluster_start::{ClusterStart, Joined},
};
use crate::{
    auth::{Passwords, ServiceKeys},
    cluster::{Driver, DriverHandle, DriverParts, EndRefill, KeepMembers, PresenceMap, PresenceNews},
    config::{Config, ConfigError},
    control::StatusSource,
    data_dir::Identity,
    disk_space::DiskSpace,
    environment::Environment,
    metrics::Metrics,
    services::{
        AccountsService, AccountsStart, AdministrationService, ContactsService, Erasure, LiveService,
        MemberRoomsService, MessagesService, OperationsService, RoomsService, Scrubbing, ServiceContext,
    },
    store::{Committer, Store},
    supervisor::{SupervisedTask, Supervisor},
    writer::{Writer, WriterHandle},
};

/// Inputs that wait for the driver, at most.
const DRIVER_INBOX: usize = 1_024;
/// How long a stopping node waits for its peers to hold its log.
const HAND_OVER_MS: u64 = 20_000;

/// Opens a store.
pub type OpenStore<'a> = Box<dyn FnOnce(Option<&Joined>) -> Result<Store, StartError> + Send + 'a>;

/// What a core starts from.
pub struct CoreStart<'a> {
    /// What it runs on.
    pub machine: Arc<dyn Environment>,
    /// What it is to do.
    pub config: &'a Config,
    /// Who it is.
    pub identity: &'a Identity,
    /// Whom it knew when it last ran.
    pub known: Vec<Member>,
    /// How much room there is for what it keeps.
    pub space: DiskSpace,
    /// How to keep that the store is refilled, if it was lost and has not been since.
    pub refill: Option<EndRefill>,
    /// Opens the store of a node in this cluster, or in none. Called once: when nobody has refused the node.
    pub open_store: OpenStore<'a>,
    /// Keeps whom it knows for the next start.
    pub keep_members: KeepMembers,
}

/// A node without its listeners.
pub struct Core {
    /// What users touch.
    pub web: Arc<AppState>,
    /// Accounts, also for commands.
    pub accounts: Arc<AccountsService>,
    /// Their administration, also for commands.
    pub administration: Arc<AdministrationService>,
    /// The log and its views.
    pub store: Arc<Store>,
    /// Its part in the cluster.
    pub cluster: Option<Joined>,
    /// Runs its parts.
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
    /// Starts it.
    pub async fn start(start: CoreStart<'_>) -> Result<Self, StartError> {
        let CoreStart { machine, config, identity, known, space, refill, open_store, keep_members } = start;
        let lanes = Arc::new(Lanes::new(CommitPoint { number: 0, vector: Arc::default() }));
        let presence = PresenceMap::new(Arc::clone(&machine), Arc::clone(&lanes));
        let supervisor = Arc::new(Supervisor::default());
        let inbox = mpsc::channel(DRIVER_INBOX);

        // Ask the cluster before anything is written: it may know better than to let this node in.
        let mut cluster = match ClusterStart::new(&machine, config, identity, known)? {
            Some(start) => Some(start.join(&supervisor, Arc::clone(&presence), inbox.0.clone()).await?),
            None => None,
        };

        let store = Arc::new(open_store(cluster.as_ref())?);
        let committer = committer(&store, identity, config, machine.now_ms())?;
        let (held, digests) = (VersionVector::clone(committer.vector()), committer.digests());
        lanes.publish(CommitPoint { number: 0, vector: Arc::clone(committer.vector()) });

        let metrics = Metrics::new(&supervisor.restarts, &space);
        let scrub = Scrubbing { space: space.clone(), after: config.scrub_after };
        let (writer_start, writer) =
            Writer::new(committer, Arc::clone(&lanes), config.durability, space, metrics.store.clone());
        presence.attach(Arc::clone(&store), writer.clone());
        let (cursor_key, token_secret) = match &cluster {
            Some(joined) => (joined.keys.cursor_key, joined.keys.token_secret),
            None => (identity.cursor_key(), identity.token_secret()),
        };
        let mut background = Vec::new();
        if let Some(joined) = &mut cluster {
            joined.members.keep(keep_members);
            metrics.register_links(&joined.links.metrics);
            background.append(&mut joined.tasks);
        }
        let (driver_task, driver) = Driver::new(DriverParts {
            environment: Arc::clone(&machine),
            held,
            digests,
            inbox,
            writer: writer.clone(),
            store: Arc::clone(&store),
            links: cluster.as_ref().map(|joined| (Arc::clone(&joined.links), joined.linked.clone())),
            knows_peers: cluster.as_ref().is_some_and(|joined| joined.knows_peers),
            refill,
            metrics: metrics.cluster.clone(),
        });
        let writer_thread = writer_start.start(Arc::clone(&machine), driver.clone(), Arc::clone(&presence));
        background.push(tokio::spawn(driver_task.run()));
        background.extend(start_presence(&supervisor, &presence));

        let base = ServiceContext {
            machine,
            store: Arc::clone(&store),
            writer: writer.clone(),
            driver: driver.clone(),
        };
        let (serving, drain) = Drain::new();
        let (accounts, administration) = accounts(config, identity, &base, token_secret, cluster.as_ref())?;
        let erasure = Erasure::new(base.clone(), Arc::clone(&lanes), scrub);
        background.extend([supervisor.start(erasure), supervisor.start(accounts.service_keys().seal_anew())]);
        let web = Arc::new(AppState {
            authentication: accounts.clone(),
            accounts: accounts.clone(),
            member_rooms: Arc::new(MemberRoomsService::new(base.clone(), accounts.service_keys().clone())),
            messages: Arc::new(MessagesService { base: base.clone() }),
            administration: administration.clone(),
            contacts: Arc::new(ContactsService { base: base.clone() }),
            rooms: Arc::new(RoomsService {
                base: base.clone(),
                lanes: Arc::clone(&lanes),
                cursor_key: CursorKey::new(&cursor_key),
            }),
            operations: Arc::new(OperationsService {
                driver: driver.clone(),
                writer: writer.clone(),
                store: Arc::clone(&store),
                metrics: Arc::clone(&metrics),
                presence: Arc::clone(&presence),
                links: cluster.as_ref().map(|joined| Arc::clone(&joined.links)),
                public_url: config.http.public_url.clone(),
                supervisor: Arc::clone(&supervisor),
            }),
            live: Arc::new(LiveService { base: base.clone(), presence: Arc::clone(&presence) }),
            presence: presence.clone(),
            lanes,
            guard: guard(config, &metrics),
            metrics: metrics.web.clone(),
            settings: settings(config, identity),
            drain,
        });
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

    /// What operators ask for over the control socket.
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
            links: self.cluster.as_ref().map(|joined| Arc::clone(&joined.links)),
            presence: Arc::clone(&self.presence),
            operations: Arc::clone(&self.web.operations),
            drain: self.web.drain.clone(),
            web: self.web.metrics.clone(),
        }
    }

    /// Tells sessions to resume elsewhere.
    pub fn drain(&self) {
        self.serving.send_replace(Serving::Stopping);
    }

    /// Stops: peers get what only this node holds, then everything ends in order.
    pub async fn stop(self) {
        if self.cluster.is_some() {
            // All that is here, not only what this process wrote: one before it may have ended too early for its peers.
            let vector = self.web.lanes.commit_point().vector;
            let handed_over =
                |(origin, head)| self.driver.wait(origin, head, Until::Copies(self.copies), HAND_OVER_MS);
            let copies = join_all(vector.iter().map(handed_over)).await.into_iter().min();
            if let Some(copies) = copies.filter(|&copies| copies < self.copies) {
                tracing::warn!(
                    copies,
                    wanted = self.copies,
                    "stopping although fewer nodes hold the newest messages"
                );
            }
        }
        for task in &self.background {
            task.abort();
        }
        if let Some(Joined { links, endpoint, .. }) = self.cluster {
            links.close_all();
            endpoint.close(quinn::VarInt::from_u32(0), b"stopping");
            let _ = tokio::time::timeout(Duration::from_secs(1), endpoint.wait_idle()).await;
        }
        for task in self.background {
            let _ = task.await;
        }
        let ended = async {
            self.writer.end().await;
            self.writer_thread.await
        };
        if tokio::time::timeout(Duration::from_secs(5), ended).await.is_err() {
            tracing::warn!("the writer did not end in time; everything acked is durable all the same");
        }
    }
}

/// The writer's part of a store, the first to read most of it.
fn committer(
    store: &Arc<Store>,
    identity: &Identity,
    config: &Config,
    now_ms: u64,
) -> Result<Committer, StartError> {
    store
        .guarded(|_| Committer::new(Arc::clone(store), identity.node(), now_ms))
        .map_err(|error| StartError::store(&config.data_dir, error))
}

fn accounts(
    config: &Config,
    identity: &Identity,
    base: &ServiceContext,
    token_secret: [u8; 32],
    cluster: Option<&Joined>,
) -> Result<(Arc<AccountsService>, Arc<AdministrationService>), ConfigError> {
    let passwords = Arc::new(Passwords::start(&base.machine, config.auth.cost, config.auth.workers)?);
    let administration = AdministrationService::new(base.clone(), Arc::clone(&passwords), &token_secret);
    let accounts = AccountsService::new(AccountsStart {
        base: base.clone(),
        token_secret,
        service_keys: service_keys(identity, cluster),
        passwords,
        mode: config.registration,
        members: cluster.map(|joined| Arc::clone(&joined.members)),
    });
    Ok((Arc::new(accounts), Arc::new(administration)))
}

/// Seals under the cluster's secret, if there is one. What the node sealed while it was alone opens by its own.
fn service_keys(identity: &Identity, cluster: Option<&Joined>) -> ServiceKeys {
    match cluster {
        Some(joined) => ServiceKeys::new(joined.keys.sealing_key, &[identity.sealing_key()]),
        None => ServiceKeys::new(identity.sealing_key(), &[]),
    }
}

fn settings(config: &Config, identity: &Identity) -> WebSettings {
    WebSettings {
        node: identity.node().to_string(),
        guests_enabled: config.guests_enabled,
        registration: config.registration,
        public_url: config.http.public_url.clone(),
        // Without a token, figures are not for everybody whom a public address lets in.
        metrics: config.metrics_listen.is_none() && config.http.public_url.is_none(),
    }
}

/// What keeps presence the same on all nodes.
fn start_presence(supervisor: &Arc<Supervisor>, presence: &Arc<PresenceMap>) -> [Task<()>; 2] {
    [
        supervisor.start(PresenceRepair(Arc::clone(presence))),
        supervisor.start(PresenceNews(Arc::clone(presence))),
    ]
}

fn guard(config: &Config, metrics: &Metrics) -> Guard {
    Guard {
        proxies: TrustedProxies::new(config.http.trusted_proxies.clone()),
        origins: Origins::new(config.http.public_url.as_deref(), config.http.allowed_origins.clone()),
        hosts: Hosts::new(config.http.public_url.as_deref(), config.http.allowed_hosts.clone()),
        https: config.http.public_url.as_deref().is_some_and(|url| url.starts_with("https://")),
        rates: Rates::new(&config.limits, metrics.web.rate_limited.clone()),
        shares: Shares::new(config.connections_per_address),
    }
}

/// Tells links whose queue was full all of presence afresh.
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
