//! Starts and stops a node: inspects the data directory, binds, joins the cluster, opens the store, wires the parts, serves.
//! Writes nothing to disk until settings, ports and peers have let the start pass; only then is the store opened, which
//! may still refuse.

mod cluster_start;
mod core;
mod departure;
mod services;
mod start_mode;
mod starting;

use std::{
    io,
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use starling_protocol::{NodeId, frame::peer::Member};
use starling_web::{
    AppState,
    server::{Server, ServerLimits},
};
use thiserror::Error;
use tokio::{
    net::TcpListener,
    sync::{Mutex, mpsc},
    task::{JoinHandle as Task, block_in_place},
};

pub use self::{
    cluster_start::ClusterHandle,
    core::{Core, CoreStart},
    departure::{Departed, Departure, renew_identity},
};
use self::{start_mode::StartMode, starting::Starting};
use crate::{
    cluster::{CertificateError, EndRefill, KeyError, NoCommonVersion},
    config::{Config, ConfigError, StorageConfig, openable},
    control::{ControlServer, LeaveRequest, MemberCommands, UserCommands},
    data_dir::{DataDir, DataDirError, Identity},
    disk_space::{DiskSpace, DiskWatch, free_bytes},
    environment::{Environment, ThisMachine},
    store::{SCRUB_STEP_BYTES, STEPS, Store, StoreError, UnusableStore},
    supervisor::{SupervisedTask, Supervisor},
};

/// The time for listeners and their sessions to end.
const SERVERS_END_MAX: Duration = Duration::from_secs(6);
/// The time that overwriting erased text may delay a start.
const SCRUB_AT_START_MAX: Duration = Duration::from_secs(1);
/// The interval at which a node that is catching up looks for an administrator.
const LOOK_FOR_ADMINISTRATORS: Duration = Duration::from_millis(200);

/// The reason why a node does not start: one line that says what to do. Refusals by settings, ports and peers come before
/// anything is written.
#[derive(Debug, Error)]
pub enum StartError {
    /// The settings are wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The log filter is wrong.
    #[error("{0}")]
    Log(String),
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] UnusableStore),
    /// The store is gone, and no other node can refill it.
    #[error(
        "the store {0} is missing or empty, although this node had one: restore the file, start another node of its \
         cluster first so that it is refilled, or begin with an empty store with --fresh"
    )]
    StoreLost(String),
    /// `--fresh` was given, but the store is there.
    #[error(
        "--fresh is for a node whose store was lost, but {0} exists: omit the flag, or move that file away"
    )]
    NotLost(String),
    /// A port cannot be bound.
    #[error("cannot listen on {0}: {1}; is another process using the port? Choose another with {2}")]
    Bind(SocketAddr, io::Error, &'static str),
    /// The keys of the cluster cannot be derived.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The operator's CA or certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// A peer has a different cluster secret.
    #[error(
        "the node at {0} belongs to another cluster: the cluster secrets differ, or the CAs; give this node the same \
         --cluster-secret as the others, and the same --cluster-ca if they have one"
    )]
    WrongSecret(SocketAddr),
    /// A peer speaks no wire version that this build speaks.
    #[error(
        "the node at {} and this one have no wire version in common (its versions: {}; this one's: {}): upgrade the \
         older of the two, and a cluster that is far behind version by version",
        .0.peer, .0.theirs, .0.ours
    )]
    NoCommonVersion(NoCommonVersion),
    /// The cluster has switched to another secret.
    #[error(
        "the node at {0} no longer accepts the cluster secret given, which was rotated: put the new secret into the first \
         line of this node's secret file, and keep this one in the second"
    )]
    RetiredSecret(SocketAddr),
    /// The data directory is a copy of a running node's.
    #[error(
        "the node at {0} knows a running node with this node's identity: was the data directory copied? \
         Stop the other one, or start this one with an empty --data-dir"
    )]
    NodeIdInUse(SocketAddr),
    /// The data directory belongs to a cluster, but a different secret or none was given.
    #[error(
        "the data directory {0} belongs to a cluster, but the secret given is not that cluster's, or none was given; \
         give that cluster's --cluster-secret, or another --data-dir. If the secret is being rotated: the new one in the \
         first line of the secret file, the one that this node used last in the second"
    )]
    OtherCluster(String),
    /// The cluster has forgotten this node: it has to start under a new id.
    #[error("{}", crate::texts::FORGOTTEN)]
    Forgotten,
}

impl StartError {
    /// A store that cannot be used.
    pub fn store(file: &Path, error: StoreError) -> Self {
        UnusableStore::new(file, error).into()
    }
}

/// A running node.
pub struct Node {
    /// The address of the public listener, with the port that was bound.
    pub http: SocketAddr,
    /// The URL of the service for users, without a slash at its end.
    pub url: String,
    id: NodeId,
    dir: DataDir,
    servers: Vec<Task<()>>,
    leave_requests: Mutex<mpsc::Receiver<LeaveRequest>>,
    core: Core,
}

impl Node {
    /// Starts a node.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        if let Some(cluster) = &config.cluster {
            cluster.warn_if_secret_is_readable();
        }
        let (dir, found) = DataDir::inspect(&config.data_dir)?;
        let mode = StartMode::choose(&dir, found.as_ref(), &config)?;
        let listeners = Listeners::bind(&config).await?;
        let environment: Arc<dyn Environment> = Arc::new(ThisMachine);
        let old = found.filter(|_| matches!(mode, StartMode::KeepIdentity | StartMode::Refill));
        let identity =
            old.unwrap_or_else(|| Identity::new(NodeId(environment.random()), environment.random()));
        let identity = if let StartMode::Refill = mode { identity.into_refilling() } else { identity };
        let space = DiskSpace::new(config.storage.reserve_bytes);
        let mut starting = Starting::new(
            &config,
            identity.node().to_string(),
            &listeners.public,
            dir.store_file(),
            space.clone(),
        );
        let core = Core::start(CoreStart {
            environment,
            config: &config,
            identity: &identity,
            known: if config.cluster.is_some() { known_members(&dir) } else { Vec::new() },
            space: space.clone(),
            refill: identity.is_refilling().then(|| refill_recorder(&dir)),
            open_store: Box::new(|cluster| {
                open_store(&dir, mode, &identity, config.storage, cluster, &mut starting)
            }),
            save_members: {
                let dir = dir.clone();
                Box::new(move |members| dir.write_members(members))
            },
            save_secret: {
                let dir = dir.clone();
                Arc::new(move |secret| dir.set_cluster(secret))
            },
        })
        .await?;
        drop(starting);
        let serving = core.serving.clone();
        let http = listeners.public.local_addr().unwrap_or(config.http.listen);
        let status = core.status_source(
            identity.node().to_string(),
            openable(http).to_string(),
            dir.store_file(),
            space.clone(),
        );
        let url = config.http.public_url.clone().unwrap_or_else(|| format!("http://{}", openable(http)));
        let users = UserCommands {
            accounts: Arc::clone(&core.accounts),
            administration: Arc::clone(&core.administration),
            url: url.clone(),
        };
        let (members, leave_requests) = MemberCommands::new(Arc::clone(&core.membership));
        core.supervisor.start(ControlServer::new(
            &config.data_dir,
            Arc::new(status),
            Arc::new(users),
            Arc::new(members),
        ));
        let disk_watch = DiskWatch { data_dir: config.data_dir.clone(), space, serving };
        disk_watch.look();
        core.supervisor.start(disk_watch);
        let servers = listeners.serve(&core.web, &config, &core.supervisor);
        log_start(&config, identity.node(), http);
        let leave_requests = Mutex::new(leave_requests);
        Ok(Self { http, url, id: identity.node(), dir, servers, leave_requests, core })
    }

    /// The address at which the first administrator creates their account; `None` if there is one. Waits until this node
    /// has caught up.
    pub async fn setup_address(&self) -> Option<String> {
        let mut every = tokio::time::interval(LOOK_FOR_ADMINISTRATORS);
        loop {
            every.tick().await;
            // An error means that the node has not caught up yet.
            if let Ok(code) = self.core.administration.setup_code().await {
                return code.map(|code| format!("{}/setup/{code}", self.url));
            }
        }
    }

    /// Sends sessions to other nodes, and waits until they have ended.
    async fn drain(&mut self) {
        self.core.drain();
        for server in std::mem::take(&mut self.servers) {
            // A server ends in bounded time, unless it has just panicked and waits for its restart.
            let _ = tokio::time::timeout(SERVERS_END_MAX, server).await;
        }
    }

    /// Stops: sends sessions to other nodes, waits until peers hold what only this node has, then ends everything in order.
    pub async fn stop(mut self) {
        tracing::info!("stopping: telling sessions to resume on another node");
        self.drain().await;
        self.core.stop().await;
        tracing::info!("stopped");
    }
}

fn log_start(config: &Config, node: NodeId, http: SocketAddr) {
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        node = %node,
        http = %http,
        metrics = config.metrics_listen.map(tracing::field::display),
        cluster = config.cluster.as_ref().map_or("alone".to_owned(), |cluster| cluster.listen.to_string()),
        public_url = config.http.public_url,
        data_dir = %config.data_dir.display(),
        "Starling has started"
    );
}

/// The nodes known at the last run. The file is only a cache, so one that cannot be read is ignored.
fn known_members(dir: &DataDir) -> Vec<Member> {
    dir.read_members().unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot read the known nodes; they are found by --join, or when they dial");
        Vec::new()
    })
}

/// Creates the directory if necessary, writes the identity, and opens the store: the first step that writes.
fn open_store(
    dir: &DataDir,
    mode: StartMode,
    identity: &Identity,
    storage: StorageConfig,
    cluster: Option<&ClusterHandle>,
    starting: &mut Starting<'_>,
) -> Result<Store, StartError> {
    let file = dir.store_file();
    if matches!(mode, StartMode::Refill)
        && cluster.is_none_or(|cluster| cluster.links.verdicts().borrow().admitted == 0)
    {
        return Err(StartError::StoreLost(file.display().to_string()));
    }
    if identity.is_refilling() {
        tracing::warn!(file = %file.display(), "the store was lost: other nodes are refilling it");
    }
    dir.create()?;
    dir.tighten();
    let fingerprint = cluster.map(|cluster| cluster.keys.active.fingerprint.to_string());
    let new = identity.in_cluster(fingerprint);
    match mode {
        StartMode::New => dir.create_identity(&new)?,
        StartMode::Fresh => {
            if dir.has_store()? {
                remove_partial_store(&file).map_err(|error| StartError::store(&file, error))?;
            }
            dir.replace_identity(&new)?;
        }
        // Written before there is a store: if this start is interrupted, the next must not take a partial store for a full one.
        StartMode::Refill => dir.write_identity(&new)?,
        StartMode::KeepIdentity => {}
    }
    // Opening the store locks it, so that what follows never happens to a running node.
    // A migration may take minutes, in which this thread does nothing else.
    let open = || {
        Store::open_file_with(&file, storage.cache_bytes, STEPS, &mut |progress| {
            starting.on_progress(progress);
        })
    };
    let store = block_in_place(open).map_err(|error| StartError::store(&file, error))?;
    if !identity.had_store() || identity.cluster != new.cluster {
        dir.write_identity(&new.with_store())?;
    }
    // On a full disk it is left to the erasure task.
    if free_bytes(&file).is_ok_and(|free| free >= storage.reserve_bytes.saturating_add(SCRUB_STEP_BYTES)) {
        scrub(&store).map_err(|error| StartError::store(&file, error))?;
    }
    Ok(store)
}

/// Removes a partly refilled store. Opening it locks it.
fn remove_partial_store(file: &Path) -> Result<(), StoreError> {
    Store::open_file(file)?.remove()
}

/// Returns the function that records the end of a refill.
fn refill_recorder(dir: &DataDir) -> EndRefill {
    let dir = dir.clone();
    Arc::new(move || dir.end_refill())
}

/// Overwrites erased text for at most [`SCRUB_AT_START_MAX`]; the erasure task does the rest.
fn scrub(store: &Store) -> Result<(), StoreError> {
    let started = Instant::now();
    store.guarded(|store| {
        if let Some(mut scrub) = store.begin_scrub()? {
            while store.scrub_step(&mut scrub)? && started.elapsed() < SCRUB_AT_START_MAX {}
        }
        Ok(())
    })
}

/// The bound TCP listeners.
struct Listeners {
    public: TcpListener,
    metrics: Option<TcpListener>,
}

impl Listeners {
    async fn bind(config: &Config) -> Result<Self, StartError> {
        let bind = async |listen, flag| {
            TcpListener::bind(listen).await.map_err(|error| StartError::Bind(listen, error, flag))
        };
        let public = bind(config.http.listen, "--listen").await?;
        let metrics = match config.metrics_listen {
            Some(listen) => Some(bind(listen, "--metrics-listen").await?),
            None => None,
        };
        Ok(Self { public, metrics })
    }

    /// Serves until the node drains.
    fn serve(self, web: &AppState, config: &Config, supervisor: &Arc<Supervisor>) -> Vec<Task<()>> {
        let limits = ServerLimits {
            connections_max: config.http.connections_max,
            header_timeout: config.http.header_timeout,
        };
        let serve = |name, listener, router| {
            let server = Server::new(listener, router, limits.clone(), web.into());
            supervisor.start(HttpTask { name, server })
        };
        let public = serve("http", self.public, starling_web::router(web.clone()));
        let metrics = self
            .metrics
            .map(|listener| serve("metrics", listener, starling_web::metrics_router(web.clone())));
        [Some(public), metrics].into_iter().flatten().collect()
    }
}

/// An HTTP server, supervised.
struct HttpTask {
    name: &'static str,
    server: Server,
}

impl SupervisedTask for HttpTask {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn run(&mut self) {
        self.server.run().await;
    }
}
