//! Start and stop of a node, in order, on one screen: look, bind, ask the cluster, open the store, wire, serve.
//! Nothing is written to disk before everything that could refuse the start has spoken.

mod cluster_start;
mod core;

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
use tokio::{net::TcpListener, task::JoinHandle as Task};

pub use self::{
    cluster_start::Joined,
    core::{Core, CoreStart},
};
use crate::{
    cluster::{EndRefill, KeyError},
    config::{Config, ConfigError, openable},
    control::{ControlServer, UserCommands},
    data_dir::{DataDir, DataDirError, Identity},
    disk_space::{DiskSpace, DiskWatch, free_bytes},
    environment::{Environment, ThisMachine},
    store::{SCRUB_STEP_BYTES, Store, StoreError},
    supervisor::{SupervisedTask, Supervisor},
};

/// How long listeners and their sessions may take to end.
const SERVERS_END_MAX: Duration = Duration::from_secs(6);
/// How long a start may be delayed by overwriting what was erased before.
const SCRUB_AT_START_MAX: Duration = Duration::from_secs(1);
/// How often a node that is still catching up looks whether there is an administrator.
const LOOK_FOR_ADMINISTRATORS: Duration = Duration::from_millis(200);

/// Why a node does not start: one line that says what to do. Nothing was changed on disk.
#[derive(Debug, Error)]
pub enum StartError {
    /// Settings.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The log filter.
    #[error("{0}")]
    Log(String),
    /// The data directory.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The store in it.
    #[error("cannot use the store {file}: {error}{advice}", advice = advice(error))]
    Store {
        /// Its file.
        file: String,
        /// What is wrong.
        error: Box<StoreError>,
    },
    /// The store is gone, and nobody is there from whom it could be refilled.
    #[error(
        "the store {0} is missing or empty, although this node had one: put the file back, start a node of its cluster \
         first so that it is refilled, or begin with an empty store by --fresh"
    )]
    StoreLost(String),
    /// Nothing is lost that could begin anew.
    #[error(
        "--fresh is for a node whose store was lost, and {0} is there: leave the flag out, or move that file away"
    )]
    NotLost(String),
    /// A port.
    #[error("cannot listen on {0}: {1}; is another process using the port? Choose another with {2}")]
    Bind(SocketAddr, io::Error, &'static str),
    /// TLS.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The join address answers, under another secret.
    #[error(
        "the node at {0} belongs to another cluster: the cluster secrets differ; give this node the same \
         --cluster-secret as the others"
    )]
    WrongSecret(SocketAddr),
    /// A copy of a running node's data.
    #[error(
        "the node at {0} knows a running node with this node's identity: was the data directory copied? \
         Stop the other one, or start this one with an empty --data-dir"
    )]
    NodeIdInUse(SocketAddr),
    /// The directory belongs to a cluster, and no or another secret was given.
    #[error(
        "the data directory {0} belongs to a cluster with another secret; give that cluster's \
         --cluster-secret, or another --data-dir"
    )]
    OtherCluster(String),
}

/// What to do about a store that cannot be read.
fn advice(error: &StoreError) -> &'static str {
    match error {
        StoreError::Io(_) => "",
        error if error.is_damage() => {
            "; put a backup in its place, or move it away: a node of a cluster is then refilled by its peers, and any \
             node begins with an empty store by --fresh"
        }
        _ => "",
    }
}

impl StartError {
    /// The store cannot be used.
    pub fn store(file: &Path, error: StoreError) -> Self {
        Self::Store { file: file.display().to_string(), error: Box::new(error) }
    }
}

/// A running node.
pub struct Node {
    /// Where it listens, now that the ports are known.
    pub http: SocketAddr,
    /// Under which address users reach the service, without a slash at its end.
    pub url: String,
    servers: Vec<Task<()>>,
    core: Core,
}

impl Node {
    /// Starts a node.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        if let Some(cluster) = &config.cluster {
            cluster.warn_of_open_secret();
        }
        let (dir, found) = DataDir::inspect(&config.data_dir)?;
        let beginning = Beginning::of(&dir, found.as_ref(), &config)?;
        let listeners = Listeners::bind(&config).await?;
        let environment: Arc<dyn Environment> = Arc::new(ThisMachine);
        let old = found.filter(|_| matches!(beginning, Beginning::Again | Beginning::Refilled));
        let identity =
            old.unwrap_or_else(|| Identity::new(NodeId(environment.random()), environment.random()));
        let identity = if let Beginning::Refilled = beginning { identity.refilling() } else { identity };
        let space = DiskSpace::new(config.storage_reserve_bytes);
        let core = Core::start(CoreStart {
            environment,
            config: &config,
            identity: &identity,
            known: if config.cluster.is_some() { known_members(&dir) } else { Vec::new() },
            space: space.clone(),
            refill: identity.is_refilling().then(|| end_refill(&dir)),
            open_store: Box::new(|joined| {
                open_store(&dir, beginning, &identity, config.storage_reserve_bytes, joined)
            }),
            keep_members: {
                let dir = dir.clone();
                Box::new(move |members| dir.write_members(members))
            },
        })
        .await?;
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
        core.supervisor.start(ControlServer::new(&config.data_dir, Arc::new(status), Arc::new(users)));
        let disk_watch = DiskWatch { data_dir: config.data_dir.clone(), space, serving };
        disk_watch.look();
        core.supervisor.start(disk_watch);
        let servers = listeners.serve(&core.web, &config, &core.supervisor);
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            node = %identity.node(),
            http = %http,
            metrics = config.metrics_listen.map(tracing::field::display),
            cluster = config.cluster.as_ref().map_or("alone".to_owned(), |cluster| cluster.listen.to_string()),
            public_url = config.http.public_url,
            data_dir = %config.data_dir.display(),
            "Starling has started"
        );
        Ok(Self { http, url, servers, core })
    }

    /// Where the first administrator makes his account, once this node has caught up and knows of none; nothing if there
    /// is one.
    pub async fn setup_address(&self) -> Option<String> {
        let mut every = tokio::time::interval(LOOK_FOR_ADMINISTRATORS);
        loop {
            every.tick().await;
            // Until it has caught up it does not know.
            if let Ok(code) = self.core.administration.setup_code().await {
                return code.map(|code| format!("{}/setup/{code}", self.url));
            }
        }
    }

    /// Stops: sessions are sent elsewhere, peers get what only this node holds, then everything ends in order.
    pub async fn stop(self) {
        tracing::info!("stopping: sessions are told to resume elsewhere");
        self.core.drain();
        for server in self.servers {
            // It bounds its own end, unless it has just failed and waits to be restarted.
            let _ = tokio::time::timeout(SERVERS_END_MAX, server).await;
        }
        self.core.stop().await;
        tracing::info!("stopped");
    }
}

/// With what a node begins.
#[derive(Clone, Copy, Debug)]
enum Beginning {
    /// With nothing, in a new directory.
    New,
    /// With what it had.
    Again,
    /// With its identity alone: its store is lost, and its peers refill it. Each start writes under an origin of its own,
    /// so it may stay the same node.
    Refilled,
    /// With nothing, as another node, where one has lost its store.
    Fresh,
}

impl Beginning {
    fn of(dir: &DataDir, found: Option<&Identity>, config: &Config) -> Result<Self, StartError> {
        let file = || dir.store_file().display().to_string();
        match found {
            None => Ok(Self::New),
            Some(identity) if dir.has_store()? => match config.fresh {
                false => Ok(Self::Again),
                // What is there is a part of what was lost.
                true if identity.is_refilling() => Ok(Self::Fresh),
                true => Err(StartError::NotLost(file())),
            },
            Some(_) if config.fresh => Ok(Self::Fresh),
            Some(identity) if !identity.had_store() => Ok(Self::Again),
            Some(_) if config.cluster.is_some() => Ok(Self::Refilled),
            Some(_) => Err(StartError::StoreLost(file())),
        }
    }
}

/// Whom the node knew. A file that cannot be read is only a cache.
fn known_members(dir: &DataDir) -> Vec<Member> {
    dir.read_members().unwrap_or_else(|error| {
        tracing::warn!(%error, "not knowing the other nodes: they are found by --join, or when they dial");
        Vec::new()
    })
}

/// The node may write now: makes the directory, says who the node is, opens the store.
fn open_store(
    dir: &DataDir,
    beginning: Beginning,
    identity: &Identity,
    reserve: u64,
    joined: Option<&Joined>,
) -> Result<Store, StartError> {
    let file = dir.store_file();
    if matches!(beginning, Beginning::Refilled)
        && joined.is_none_or(|joined| joined.links.verdicts().borrow().admitted == 0)
    {
        return Err(StartError::StoreLost(file.display().to_string()));
    }
    if identity.is_refilling() {
        tracing::warn!(file = %file.display(), "the store was lost: it is refilled by the other nodes");
    }
    dir.create()?;
    dir.tighten();
    let fingerprint = joined.map(|joined| joined.keys.fingerprint.clone());
    let new = identity.in_cluster(fingerprint);
    match beginning {
        Beginning::New => dir.create_identity(&new)?,
        Beginning::Fresh => {
            if dir.has_store()? {
                remove_part(&file).map_err(|error| StartError::store(&file, error))?;
            }
            dir.replace_identity(&new)?;
        }
        // Before there is a store: whatever ends this start, the next one must not take a part for the whole.
        Beginning::Refilled => dir.write_identity(&new)?,
        Beginning::Again => {}
    }
    // Opening locks it: what follows is not done to a running node.
    let store = Store::open_file(&file).map_err(|error| StartError::store(&file, error))?;
    if !identity.had_store() || identity.cluster != new.cluster {
        dir.write_identity(&new.with_store())?;
    }
    // Without room for it, it is done once there is some.
    if free_bytes(&file).is_ok_and(|free| free >= reserve.saturating_add(SCRUB_STEP_BYTES)) {
        scrub(&store).map_err(|error| StartError::store(&file, error))?;
    }
    Ok(store)
}

/// Removes what a refill that has not ended has brought back. Opening it locks it.
fn remove_part(file: &Path) -> Result<(), StoreError> {
    Store::open_file(file)?.remove()
}

/// How to keep that the store is refilled.
fn end_refill(dir: &DataDir) -> EndRefill {
    let dir = dir.clone();
    Arc::new(move || dir.end_refill())
}

/// Overwrites what was erased before, as far as that delays the start only a little; the rest is done afterwards.
fn scrub(store: &Store) -> Result<(), StoreError> {
    let begun = Instant::now();
    store.guarded(|store| {
        if let Some(mut scrub) = store.scrub()? {
            while store.scrub_step(&mut scrub)? && begun.elapsed() < SCRUB_AT_START_MAX {}
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
    fn serve(self, web: &Arc<AppState>, config: &Config, supervisor: &Arc<Supervisor>) -> Vec<Task<()>> {
        let limits = ServerLimits {
            connections_max: config.http.connections_max,
            header_timeout: config.http.header_timeout,
        };
        let serve = |name, listener, router| {
            let server = Server::new(listener, router, limits.clone(), Arc::clone(web));
            supervisor.start(Http { name, server })
        };
        let public = serve("http", self.public, starling_web::router(Arc::clone(web)));
        let metrics = self
            .metrics
            .map(|listener| serve("metrics", listener, starling_web::metrics_router(Arc::clone(web))));
        [Some(public), metrics].into_iter().flatten().collect()
    }
}

/// A listener of HTTP.
struct Http {
    name: &'static str,
    server: Server,
}

impl SupervisedTask for Http {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn run(&mut self) {
        self.server.run().await;
    }
}
