//! The metrics of a node: commits, batch sizes, links, lag. `web` serves them under `/metrics`.

use std::sync::{Arc, Mutex, PoisonError, atomic::AtomicU64};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use starling_web::metrics::WebMetrics;

use crate::disk_space::DiskSpace;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct PeerLabel {
    pub(crate) peer: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OriginLabel {
    pub(crate) origin: String,
}

/// The metrics of the writer.
#[derive(Clone, Debug)]
pub struct WriterMetrics {
    /// Batches made durable.
    pub commits: Counter,
    /// Events of this process made durable.
    pub events: Counter,
    /// Requests in each batch.
    pub batch_requests: Histogram,
    /// Seconds for each commit, fsync included.
    pub commit_seconds: Histogram,
    /// Requests refused because the queue was full.
    pub refused: Counter,
}

impl Default for WriterMetrics {
    fn default() -> Self {
        Self {
            commits: Counter::default(),
            events: Counter::default(),
            batch_requests: Histogram::new(exponential_buckets(1.0, 2.0, 12)),
            commit_seconds: Histogram::new(exponential_buckets(0.000_1, 2.0, 16)),
            refused: Counter::default(),
        }
    }
}

/// The metrics of links.
#[derive(Clone, Debug, Default)]
pub struct LinksMetrics {
    /// Links closed because the peer broke the protocol.
    pub broken: Counter,
    /// Handshakes that failed because one side did not trust the other's certificate.
    pub refused: Counter,
    /// Connections that were asked to prove their address, because many were opened at once.
    pub retries: Counter,
}

/// The metrics of replication.
#[derive(Clone, Debug, Default)]
pub struct ClusterMetrics {
    pub(crate) peer_lag: Family<PeerLabel, Gauge>,
    pub(crate) peer_in_sync: Family<PeerLabel, Gauge>,
    pub(crate) origin_lag: Family<OriginLabel, Gauge>,
    pub(crate) shards_equal: Family<PeerLabel, Gauge>,
    pub(crate) shards_diverged: Family<PeerLabel, Gauge>,
    pub(crate) clock_offset_seconds: Gauge<f64, AtomicU64>,
    pub(crate) pending_replies: Gauge,
    pub(crate) peers_known: Gauge,
    pub(crate) peers_linked: Gauge,
    pub(crate) peer_linked: Family<PeerLabel, Gauge>,
    pub(crate) pairs_unlinked: Gauge,
    pub(crate) join_failing: Gauge,
}

impl ClusterMetrics {
    fn register(&self, registry: &mut Registry) {
        registry.register(
            "peer_lag_events",
            "Events here that a peer has not confirmed",
            self.peer_lag.clone(),
        );
        registry.register("peer_in_sync", "Whether a peer is in sync", self.peer_in_sync.clone());
        registry.register(
            "origin_lag_events",
            "Events of an origin that this node is known to lack",
            self.origin_lag.clone(),
        );
        registry.register(
            "digest_shards_equal",
            "Non-empty shards, of 256, in which a peer's views are known to equal this node's",
            self.shards_equal.clone(),
        );
        registry.register(
            "digest_shards_diverged",
            "Shards in which a peer's views differ although it has applied the same events",
            self.shards_diverged.clone(),
        );
        registry.register(
            "clock_offset_seconds",
            "Offset of this node's clock from an agreeing majority, positive if it is ahead; 0 within the tolerance",
            self.clock_offset_seconds.clone(),
        );
        registry.register("pending_replies", "Replies waiting for other nodes", self.pending_replies.clone());
        registry.register(
            "peers_known",
            "Other nodes of the cluster that are known",
            self.peers_known.clone(),
        );
        registry.register("peers_linked", "Other nodes to which there is a link", self.peers_linked.clone());
        registry.register(
            "peer_linked",
            "Whether there is a link to a known node: 0 for one that is down",
            self.peer_linked.clone(),
        );
        registry.register(
            "pairs_unlinked",
            "Pairs of running nodes without a link, as far as this node knows",
            self.pairs_unlinked.clone(),
        );
        registry.register(
            "join_addresses_failing",
            "Join addresses at which no node was found for more than 5 s",
            self.join_failing.clone(),
        );
    }
}

/// All metrics of a node.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    /// The metrics of the writer.
    pub writer: WriterMetrics,
    /// The metrics of replication.
    pub cluster: ClusterMetrics,
    /// The metrics of sessions and requests.
    pub web: WebMetrics,
    /// Entries of presence in quick rooms, on all linked nodes; somebody in two rooms counts twice.
    pub present: Gauge,
}

impl Metrics {
    /// Registers all metrics, with the prefix `starling`.
    pub fn new(restarts: &Counter, space: &DiskSpace) -> Arc<Self> {
        let mut registry = Registry::with_prefix("starling");
        let (writer, cluster, web) =
            (WriterMetrics::default(), ClusterMetrics::default(), WebMetrics::default());
        registry.register("commits", "Batches made durable", writer.commits.clone());
        registry.register("events", "Events of this process made durable", writer.events.clone());
        registry.register("commit_batch_requests", "Requests in a commit", writer.batch_requests.clone());
        registry.register("commit_seconds", "Duration of a commit", writer.commit_seconds.clone());
        registry.register("writes_refused", "Writes refused by a full queue", writer.refused.clone());
        registry.register("disk_free_bytes", "Free bytes on the disk", space.free.clone());
        cluster.register(&mut registry);
        registry.register("task_restarts", "Restarts of tasks that panicked", restarts.clone());
        web.register(&mut registry);
        let build: Family<[(&str, &str); 1], Gauge<u64, AtomicU64>> = Family::default();
        build.get_or_create(&[("version", env!("CARGO_PKG_VERSION"))]).set(1);
        registry.register("build_info", "The version that runs", build);
        let present = Gauge::default();
        registry.register(
            "people_present",
            "Entries of presence in quick rooms, on all linked nodes; somebody in two rooms counts twice",
            present.clone(),
        );
        Arc::new(Self { registry: Mutex::new(registry), writer, cluster, web, present })
    }

    /// Registers the metrics of links.
    pub fn register_links(&self, links: &LinksMetrics) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        registry.register(
            "links_broken",
            "Links closed because the peer broke the protocol",
            links.broken.clone(),
        );
        registry.register(
            "handshakes_refused",
            "Handshakes that failed because one side did not trust the other's certificate",
            links.refused.clone(),
        );
        registry.register(
            "handshakes_retried",
            "Connections that were asked to prove their address, because many were opened at once",
            links.retries.clone(),
        );
    }

    /// All metrics in the text format of `OpenMetrics`.
    pub fn text(&self) -> String {
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        encode(&mut text, &registry).expect("writing to a string cannot fail");
        text
    }
}
