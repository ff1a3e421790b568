//! What a node counts: commits, batch sizes, links, lag. Registered once, served by `web` under `/metrics`.

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

/// What the writer counts.
#[derive(Clone, Debug)]
pub struct StoreMetrics {
    /// Batches made durable.
    pub commits: Counter,
    /// Events made durable.
    pub events: Counter,
    /// Requests in a batch.
    pub batch_requests: Histogram,
    /// Seconds that a commit takes, fsync included.
    pub commit_seconds: Histogram,
    /// Requests that were refused because the queue was full.
    pub refused: Counter,
}

impl Default for StoreMetrics {
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

/// What is counted of links.
#[derive(Clone, Debug, Default)]
pub struct LinksMetrics {
    /// Links closed because the peer broke the protocol.
    pub broken: Counter,
    /// Handshakes refused, here or there: another secret, or no Starling node.
    pub refused: Counter,
    /// Connections that were asked to prove their address, because many were opened at once.
    pub retries: Counter,
}

/// What is measured of replication.
#[derive(Clone, Debug, Default)]
pub struct ClusterMetrics {
    pub(crate) peer_lag: Family<PeerLabel, Gauge>,
    pub(crate) peer_in_sync: Family<PeerLabel, Gauge>,
    pub(crate) origin_lag: Family<OriginLabel, Gauge>,
    pub(crate) parts_equal: Family<PeerLabel, Gauge>,
    pub(crate) parts_diverged: Family<PeerLabel, Gauge>,
    pub(crate) clock_ahead_ms: Gauge,
    pub(crate) waiting: Gauge,
    pub(crate) peers_known: Gauge,
    pub(crate) peers_linked: Gauge,
    pub(crate) peer_linked: Family<PeerLabel, Gauge>,
    pub(crate) pairs_unlinked: Gauge,
    pub(crate) join_failing: Gauge,
}

impl ClusterMetrics {
    fn register(&self, registry: &mut Registry) {
        registry.register("peer_lag_events", "Events that a peer lacks", self.peer_lag.clone());
        registry.register("peer_in_sync", "Whether a peer is in sync", self.peer_in_sync.clone());
        registry.register(
            "origin_lag_events",
            "Events of an origin that this node is known to lack",
            self.origin_lag.clone(),
        );
        registry.register(
            "digest_parts_equal",
            "Parts of all views, of 256 and without empty ones, that a peer is known to show as this node does",
            self.parts_equal.clone(),
        );
        registry.register(
            "digest_parts_diverged",
            "Parts in which a peer shows something else although the same events were applied",
            self.parts_diverged.clone(),
        );
        registry.register(
            "clock_ahead_milliseconds",
            "How far this node's clock is ahead of an agreeing majority, if that is too far",
            self.clock_ahead_ms.clone(),
        );
        registry.register("pending_replies", "Answers that wait for other nodes", self.waiting.clone());
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
            "Pairs of running nodes that have no link, as far as this node was told",
            self.pairs_unlinked.clone(),
        );
        registry.register(
            "join_addresses_failing",
            "Join addresses at which no node was found for more than 5 s",
            self.join_failing.clone(),
        );
    }
}

/// All figures of a node.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    /// Of the writer.
    pub store: StoreMetrics,
    /// Of replication.
    pub cluster: ClusterMetrics,
    /// Of sessions.
    pub web: WebMetrics,
    /// People present, on this node and those it is linked to.
    pub present: Gauge,
}

impl Metrics {
    /// Registers all figures under the prefix `starling`.
    pub fn new(restarts: &Counter, space: &DiskSpace) -> Arc<Self> {
        let mut registry = Registry::with_prefix("starling");
        let (store, cluster, web) =
            (StoreMetrics::default(), ClusterMetrics::default(), WebMetrics::default());
        registry.register("commits", "Batches made durable", store.commits.clone());
        registry.register("events", "Events of this process made durable", store.events.clone());
        registry.register("commit_batch_requests", "Requests in a commit", store.batch_requests.clone());
        registry.register("commit_seconds", "Duration of a commit", store.commit_seconds.clone());
        registry.register("writes_refused", "Writes refused by a full queue", store.refused.clone());
        registry.register("disk_free_bytes", "Free bytes on the disk", space.free.clone());
        cluster.register(&mut registry);
        registry.register("part_restarts", "Restarts of parts that panicked", restarts.clone());
        web.register(&mut registry);
        let build: Family<[(&str, &str); 1], Gauge<u64, AtomicU64>> = Family::default();
        build.get_or_create(&[("version", env!("CARGO_PKG_VERSION"))]).set(1);
        registry.register("build_info", "The version that runs", build);
        let present = Gauge::default();
        registry.register("people_present", "People present on all linked nodes", present.clone());
        Arc::new(Self { registry: Mutex::new(registry), store, cluster, web, present })
    }

    /// Adds the figures of links.
    pub fn register_links(&self, links: &LinksMetrics) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        registry.register("links_broken", "Links closed for breaking the protocol", links.broken.clone());
        registry.register("handshakes_refused", "Peers of another secret", links.refused.clone());
        registry.register(
            "handshakes_retried",
            "Connections that were asked to prove their address, because many were opened at once",
            links.retries.clone(),
        );
    }

    /// All figures as text.
    pub fn text(&self) -> String {
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        encode(&mut text, &registry).expect("writing to a string cannot fail");
        text
    }
}
