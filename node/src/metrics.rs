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
use starling_protocol::{NodeId, OriginId};
use starling_web::metrics::WebMetrics;

use crate::cluster::LinksMetrics;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PeerLabel {
    peer: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OriginLabel {
    origin: String,
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
    /// Free bytes on the disk of the data directory.
    pub disk_free: Gauge,
}

impl Default for StoreMetrics {
    fn default() -> Self {
        Self {
            commits: Counter::default(),
            events: Counter::default(),
            batch_requests: Histogram::new(exponential_buckets(1.0, 2.0, 12)),
            commit_seconds: Histogram::new(exponential_buckets(0.000_1, 2.0, 16)),
            refused: Counter::default(),
            disk_free: Gauge::default(),
        }
    }
}

/// What is measured of replication.
#[derive(Clone, Debug, Default)]
pub struct ClusterMetrics {
    peer_lag: Family<PeerLabel, Gauge>,
    peer_in_step: Family<PeerLabel, Gauge>,
    origin_lag: Family<OriginLabel, Gauge>,
}

impl ClusterMetrics {
    /// Replaces what was measured before.
    pub fn measure(
        &self,
        peers: impl Iterator<Item = (NodeId, u64, bool)>,
        missing: impl Iterator<Item = (OriginId, u64)>,
    ) {
        let gauge = |lag: u64| i64::try_from(lag).unwrap_or(i64::MAX);
        self.peer_lag.clear();
        self.peer_in_step.clear();
        for (peer, lag, in_step) in peers {
            let label = PeerLabel { peer: peer.to_string() };
            self.peer_lag.get_or_create(&label).set(gauge(lag));
            self.peer_in_step.get_or_create(&label).set(i64::from(in_step));
        }
        self.origin_lag.clear();
        for (origin, lag) in missing {
            let label = OriginLabel { origin: origin.to_string() };
            self.origin_lag.get_or_create(&label).set(gauge(lag));
        }
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
    pub fn new(restarts: &Counter) -> Arc<Self> {
        let mut registry = Registry::with_prefix("starling");
        let (store, cluster, web) =
            (StoreMetrics::default(), ClusterMetrics::default(), WebMetrics::default());
        registry.register("commits", "Batches made durable", store.commits.clone());
        registry.register("events", "Events of this process made durable", store.events.clone());
        registry.register("commit_batch_requests", "Requests in a commit", store.batch_requests.clone());
        registry.register("commit_seconds", "Duration of a commit", store.commit_seconds.clone());
        registry.register("writes_refused", "Writes refused by a full queue", store.refused.clone());
        registry.register("disk_free_bytes", "Free bytes on the disk", store.disk_free.clone());
        registry.register("peer_lag_events", "Events that a peer lacks", cluster.peer_lag.clone());
        registry.register("peer_in_step", "Whether a peer is in step", cluster.peer_in_step.clone());
        registry.register(
            "origin_lag_events",
            "Events of an origin that this node is known to lack",
            cluster.origin_lag.clone(),
        );
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
    }

    /// All figures as text.
    pub fn text(&self) -> String {
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        encode(&mut text, &registry).expect("writing to a string cannot fail");
        text
    }
}
