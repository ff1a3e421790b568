//! Start and stop of a node, in order, on one screen: look, bind, ask the cluster, open the store, wire, serve.
//! Nothing is written to disk before everything that could refuse the start has spoken.

mod cluster_start;

use std::{io, net::SocketAddr, path::Path, sync::Arc, thread::JoinHandle, time::Duration};

use starling_protocol::{CursorKey, NodeId, VersionVector, replica::Until};
use starling_web::{
    Web, WebSettings,
    drain::{Drain, Serving},
    lane::{CommitPoint, Lanes},
    server::{Server, ServerLimits},
};
use thiserror::Error;
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinHandle as Task,
};

use self::cluster_start::{ClusterStart, Joined};
use crate::{
    clock::now_ms,
    cluster::{Driver, DriverHandle, DriverParts, KeyError, Links, PresenceMap},
    config::{Config, ConfigError},
    data_dir::{DataDir, DataDirError, Identity},
    disk_space::DiskWatch,
    metrics::Metrics,
    services::{OperationsService, RoomsService},
    store::{Committer, Store, StoreError},
    supervisor::{Part, Supervisor},
    writer::{Writer, WriterHandle},
};

/// Inputs that wait for the driver, at most.
const DRIVER_INBOX: usize = 1_024;
/// How long listeners and their sessions may take to end.
const SERVERS_END_MAX: Duration = Duration::from_secs(6);
/// How long a stopping node waits for its peers to hold its log.
const HAND_OVER_MS: u64 = 20_000;

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
    serving: watch::Sender<Serving>,
    servers: Vec<Task<()>>,
    background: Vec<Task<()>>,
    driver: DriverHandle,
    writer: WriterHandle,
    writer_thread: JoinHandle<()>,
    lanes: Arc<Lanes>,
    links: Option<(Arc<Links>, quinn::Endpoint)>,
    copies: usize,
}

impl Node {
    /// Starts a node.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let (dir, found) = DataDir::inspect(&config.data_dir)?;
        let listeners = Listeners::bind(&config).await?;
        let identity = found.clone().unwrap_or_else(|| Identity::new(NodeId(rand::random()), rand::random()));
        let lanes = Arc::new(Lanes::new(CommitPoint { number: 0, vector: Arc::default() }));
        let presence = PresenceMap::new(Arc::clone(&lanes));
        let supervisor = Arc::new(Supervisor::default());
        let inbox = mpsc::channel(DRIVER_INBOX);

        // Ask the cluster before anything is written: it may know better than to let this node in.
        let joined = match &config.cluster {
            Some(cluster) => {
                let start = ClusterStart { config: &config, cluster, identity: &identity, dir: &dir };
                Some(start.join(&supervisor, Arc::clone(&presence), inbox.0.clone()).await?)
            }
            None if identity.cluster.is_some() => {
                return Err(StartError::OtherCluster(config.data_dir.display().to_string()));
            }
            None => None,
        };

        let fingerprint = joined.as_ref().map(|joined| joined.keys.fingerprint.clone());
        let store = open_store(&dir, found.is_none(), &identity, fingerprint)?;
        let committer = Committer::new(Arc::clone(&store), identity.node(), now_ms())
            .map_err(|error| StartError::store(&dir.store_file(), error))?;
        let held = VersionVector::clone(committer.vector());
        let digests = committer.digests();
        lanes.publish(CommitPoint { number: 0, vector: Arc::clone(committer.vector()) });

        let metrics = Metrics::new(&supervisor.restarts);
        let (serving, drain) = Drain::new();
        let disk_watch = DiskWatch::new(&config, serving.clone(), metrics.store.disk_free.clone());
        let space = disk_watch.space.clone();
        let (writer_start, writer) =
            Writer::new(committer, Arc::clone(&lanes), config.durability, space, metrics.store.clone());
        let cursor_key = joined.as_ref().map_or(identity.cursor_key(), |joined| joined.keys.cursor_key);
        let knows_peers = joined.as_ref().is_some_and(|joined| joined.knows_peers);
        let (links, mut background) = match joined {
            Some(Joined { links, linked, endpoint, tasks, members, .. }) => {
                members.keep_in(dir);
                metrics.register_links(&links.metrics);
                (Some((links, linked, endpoint)), tasks)
            }
            None => (None, Vec::new()),
        };
        let (driver_task, driver) = Driver::new(DriverParts {
            held,
            digests,
            inbox,
            writer: writer.clone(),
            store: Arc::clone(&store),
            links: links.as_ref().map(|(links, linked, _)| (Arc::clone(links), linked.clone())),
            knows_peers,
            metrics: metrics.cluster.clone(),
        });
        let writer_thread = writer_start.start(driver.clone());
        background.push(tokio::spawn(driver_task.run()));
        background.push(supervisor.start(PresenceRepair(Arc::clone(&presence))));
        background.push(supervisor.start(disk_watch));

        let links = links.map(|(links, _, endpoint)| (links, endpoint));
        let web = Arc::new(Web {
            rooms: Arc::new(RoomsService {
                store,
                writer: writer.clone(),
                driver: driver.clone(),
                lanes: Arc::clone(&lanes),
                cursor_key: CursorKey::new(&cursor_key),
            }),
            operations: Arc::new(OperationsService {
                driver: driver.clone(),
                metrics: Arc::clone(&metrics),
                presence: Arc::clone(&presence),
                links: links.as_ref().map(|(links, _)| Arc::clone(links)),
                public_url: config.http.public_url.clone(),
                supervisor: Arc::clone(&supervisor),
            }),
            presence,
            lanes: Arc::clone(&lanes),
            metrics: metrics.web.clone(),
            settings: WebSettings {
                node: identity.node().to_string(),
                guests_enabled: config.guests_enabled,
                // Without a token, figures are not for everybody whom a public address lets in.
                metrics: config.metrics_listen.is_none() && config.http.public_url.is_none(),
            },
            drain,
        });
        let http = listeners.public.local_addr().unwrap_or(config.http.listen);
        let servers = listeners.serve(&web, &config, &supervisor);
        let copies = config.durability.copies;
        Ok(Self { http, serving, servers, background, driver, writer, writer_thread, lanes, links, copies })
    }

    /// Stops: sessions are sent elsewhere, peers get what only this node holds, then everything ends in order.
    pub async fn stop(self) {
        tracing::info!("stopping: sessions are told to resume elsewhere");
        self.serving.send_replace(Serving::Stopping);
        for server in self.servers {
            // It bounds its own end, unless it has just failed and waits to be restarted.
            let _ = tokio::time::timeout(SERVERS_END_MAX, server).await;
        }
        if let (Some(own), true) = (self.writer.own_origin(), self.links.is_some()) {
            let head = self.lanes.commit_point().vector.get(own);
            let copies = self.driver.wait(own, head, Until::Copies(self.copies), HAND_OVER_MS).await;
            if copies < self.copies {
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
        if let Some((links, endpoint)) = self.links {
            links.close_all();
            endpoint.close(quinn::VarInt::from_u32(0), b"stopping");
            let _ = tokio::time::timeout(Duration::from_secs(1), endpoint.wait_idle()).await;
        }
        for task in self.background {
            let _ = task.await;
        }
        self.writer.end().await;
        let joined = tokio::task::spawn_blocking(move || self.writer_thread.join());
        if tokio::time::timeout(Duration::from_secs(5), joined).await.is_err() {
            tracing::warn!("the writer did not end in time; everything acked is durable all the same");
        }
        tracing::info!("stopped");
    }
}

/// The node may write now: makes the directory, says who the node is, opens the store.
fn open_store(
    dir: &DataDir,
    fresh: bool,
    identity: &Identity,
    fingerprint: Option<String>,
) -> Result<Arc<Store>, StartError> {
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
    Ok(Arc::new(store))
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

/// Tells links whose queue was full all of presence afresh.
struct PresenceRepair(Arc<PresenceMap>);

impl Part for PresenceRepair {
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
