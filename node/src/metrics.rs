//! The metrics of a node: commits, batch sizes, links, lag. `web` serves them under `/metrics`.

use std::{
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
    time::Duration,
};

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
use starling_protocol::clock_majority::ClockVerdict;
use starling_web::metrics::WebMetrics;

use crate::{
    cluster::{Links, LinksMetrics, Report},
    disk_space::DiskSpace,
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PeerLabel {
    peer: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OriginLabel {
    origin: String,
}

/// The metrics of the writer.
#[derive(Clone, Debug)]
pub struct StoreMetrics {
    /// Batches made durable.
    pub commits: Counter,
    /// Events made durable.
    pub events: Counter,
    /// Requests in each batch.
    pub batch_requests: Histogram,
    /// Seconds for each commit, fsync included.
    pub commit_seconds: Histogram,
    /// Requests refused because the queue was full.
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

/// The metrics of replication.
#[derive(Clone, Debug, Default)]
pub struct ClusterMetrics {
    peer_lag: Family<PeerLabel, Gauge>,
    peer_in_sync: Family<PeerLabel, Gauge>,
    origin_lag: Family<OriginLabel, Gauge>,
    parts_equal: Family<PeerLabel, Gauge>,
    parts_diverged: Family<PeerLabel, Gauge>,
    clock_offset_seconds: Gauge<f64, AtomicU64>,
    pending_replies: Gauge,
    peers_known: Gauge,
    peers_linked: Gauge,
    peer_linked: Family<PeerLabel, Gauge>,
    pairs_unlinked: Gauge,
    join_failing: Gauge,
}

fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn seconds(ms: i64) -> f64 {
    let seconds = Duration::from_millis(ms.unsigned_abs()).as_secs_f64();
    if ms < 0 { -seconds } else { seconds }
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
            "Non-empty parts of the views, of 256, in which a peer is known to equal this node",
            self.parts_equal.clone(),
        );
        registry.register(
            "digest_parts_diverged",
            "Parts of the views in which a peer differs although it has applied the same events",
            self.parts_diverged.clone(),
        );
        registry.register(
            "clock_offset_seconds",
            "Offset of this node's clock from an agreeing majority, positive if it is ahead; 0 within the tolerance",
            self.clock_offset_seconds.clone(),
        );
        registry.register(
            "pending_replies",
            "Replies that wait for other nodes",
            self.pending_replies.clone(),
        );
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

    /// Updates the metrics of links.
    pub fn measure_links(&self, links: &Links) {
        let known = links.known();
        let mut linked = 0;
        for member in &known {
            let (label, is_linked) = (PeerLabel { peer: member.node.to_string() }, links.has(member.node));
            linked += u64::from(is_linked);
            self.peer_linked.get_or_create(&label).set(i64::from(is_linked));
            if !is_linked {
                // The driver reports only linked nodes.
                self.peer_in_sync.get_or_create(&label).set(0);
            }
        }
        self.peers_known.set(gauge(known.len() as u64));
        self.peers_linked.set(gauge(linked));
        self.pairs_unlinked.set(gauge(links.unlinked_pairs().len() as u64));
        self.join_failing.set(gauge(links.join_problems().len() as u64));
    }

    /// Updates the metrics of replication from a report of the driver.
    pub fn measure(&self, report: &Report) {
        for family in [&self.peer_lag, &self.peer_in_sync, &self.parts_equal, &self.parts_diverged] {
            family.clear();
        }
        for peer in &report.peers {
            let label = PeerLabel { peer: peer.peer.to_string() };
            self.peer_lag.get_or_create(&label).set(gauge(peer.lag));
            self.peer_in_sync.get_or_create(&label).set(i64::from(peer.in_sync));
            self.parts_equal.get_or_create(&label).set(gauge(peer.parts_equal as u64));
            self.parts_diverged.get_or_create(&label).set(gauge(peer.parts_diverged as u64));
        }
        self.origin_lag.clear();
        for (origin, lag) in &report.missing {
            let label = OriginLabel { origin: origin.to_string() };
            self.origin_lag.get_or_create(&label).set(gauge(*lag));
        }
        self.clock_offset_seconds.set(match report.clock {
            ClockVerdict::Outside(ms) => seconds(ms),
            ClockVerdict::Agrees | ClockVerdict::Disputed(_) => 0.0,
        });
        self.pending_replies.set(gauge(report.waiting as u64));
    }
}

/// All metrics of a node.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    /// The metrics of the writer.
    pub store: StoreMetrics,
    /// The metrics of replication.
    pub cluster: ClusterMetrics,
    /// The metrics of sessions and requests.
    pub web: WebMetrics,
    /// People present on this node and its linked peers.
    pub present: Gauge,
}

impl Metrics {
    /// Registers all metrics, with the prefix `starling`.
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
        registry.register("part_restarts", "Restarts of tasks that panicked", restarts.clone());
        web.register(&mut registry);
        let build: Family<[(&str, &str); 1], Gauge<u64, AtomicU64>> = Family::default();
        build.get_or_create(&[("version", env!("CARGO_PKG_VERSION"))]).set(1);
        registry.register("build_info", "The version that runs", build);
        let present = Gauge::default();
        registry.register("people_present", "People present on all linked nodes", present.clone());
        Arc::new(Self { registry: Mutex::new(registry), store, cluster, web, present })
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
            "Peers refused because they have another secret",
            links.refused.clone(),
        );
        registry.register(
            "handshakes_retried",
            "Connections that were asked to prove their address, because many were opened at once",
            links.retries.clone(),
        );
    }

    /// All metrics in the text format of Prometheus.
    pub fn text(&self) -> String {
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        encode(&mut text, &registry).expect("writing to a string cannot fail");
        text
    }
}
