//! Start and stop of a node, in order, on one screen: look, bind, ask the cluster, open the store, wire, serve.
//! Nothing is written to disk before everything that could refuse the start has spoken.

mod cluster_start;
mod core;

use std::{io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use starling_protocol::NodeId;
use starling_web::{
    Web,
    server::{Server, ServerLimits},
};
use thiserror::Error;
use tokio::{net::TcpListener, task::JoinHandle as Task};

pub use self::{
    cluster_start::Joined,
    core::{Core, CoreStart},
};
use crate::{
    cluster::KeyError,
    config::{Config, ConfigError, openable},
    control::{ControlServer, UserCommands},
    data_dir::{DataDir, DataDirError, Identity},
    disk_space::{DiskSpace, DiskWatch},
    machine::{Machine, ThisMachine},
    store::{Store, StoreError},
    supervisor::{Part, Supervisor},
};

/// How long listeners and their sessions may take to end.
const SERVERS_END_MAX: Duration = Duration::from_secs(6);
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
    #[error("cannot use the store {file}: {error}")]
    Store {
        /// Its file.
        file: String,
        /// What is wrong.
        error: Box<StoreError>,
    },
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
        let (dir, found) = DataDir::inspect(&config.data_dir)?;
        let listeners = Listeners::bind(&config).await?;
        let machine: Arc<dyn Machine> = Arc::new(ThisMachine);
        let fresh = found.is_none();
        let identity = found.unwrap_or_else(|| Identity::new(NodeId(machine.random()), machine.random()));
        let space = DiskSpace::new(config.storage_reserve_bytes);
        let core = Core::start(CoreStart {
            machine,
            config: &config,
            identity: &identity,
            known: if config.cluster.is_some() { dir.read_members()? } else { Vec::new() },
            space: space.clone(),
            open_store: Box::new(|fingerprint| open_store(&dir, fresh, &identity, fingerprint)),
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

/// The node may write now: makes the directory, says who the node is, opens the store.
fn open_store(
    dir: &DataDir,
    fresh: bool,
    identity: &Identity,
    fingerprint: Option<String>,
) -> Result<Store, StartError> {
    dir.create()?;
    if fresh {
        dir.create_identity(&identity.in_cluster(fingerprint.clone()))?;
    }
    // Opening locks it: what follows is not done to a running node.
    let file = dir.store_file();
    let store = Store::open_file(&file).map_err(|error| StartError::store(&file, error))?;
    if !fresh && identity.cluster != fingerprint {
        dir.write_identity(&identity.in_cluster(fingerprint))?;
    }
    Ok(store)
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
    fn serve(self, web: &Arc<Web>, config: &Config, supervisor: &Arc<Supervisor>) -> Vec<Task<()>> {
        let limits = ServerLimits {
            connections_max: config.http.connections_max,
            header_timeout: config.http.header_timeout,
        };
        let serve = |name, listener, router| {
            let connections = web.metrics.connections.clone();
            let drain = web.drain.clone();
            let server = Server::new(listener, router, limits.clone(), connections, drain);
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

impl Part for Http {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn run(&mut self) {
        self.server.run().await;
    }
}
