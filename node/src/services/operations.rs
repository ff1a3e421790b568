//! Health and metrics, for load balancers and operators.

use std::sync::Arc;

use starling_protocol::clock_majority::ClockVerdict;
use starling_web::service::Operations;

use crate::{
    cluster::{DriverHandle, Links, PresenceMap},
    metrics::Metrics,
    store::Store,
    supervisor::Supervisor,
    texts,
    writer::WriterHandle,
};

/// Implements [`Operations`].
pub struct OperationsService {
    /// Knows whether the node has caught up.
    pub driver: DriverHandle,
    /// Knows whether the disk keeps up.
    pub writer: WriterHandle,
    /// Knows whether the store is damaged.
    pub store: Arc<Store>,
    /// All metrics of the node.
    pub metrics: Arc<Metrics>,
    /// Counts the people present.
    pub presence: Arc<PresenceMap>,
    /// The linked nodes, if there is a cluster.
    pub links: Option<Arc<Links>>,
    /// The configured public address of this node.
    pub public_url: Option<String>,
    /// Knows the tasks that are down.
    pub supervisor: Arc<Supervisor>,
}

impl Operations for OperationsService {
    fn not_ready(&self) -> Vec<String> {
        let down = self.supervisor.tasks_down();
        let mut reasons: Vec<_> = down.iter().map(texts::task_down).collect();
        if let Some(by) = self.links.as_ref().and_then(|links| links.copy_reported_by()) {
            reasons.push(texts::identity_copied(by));
        }
        if self.links.as_ref().is_some_and(|links| links.is_waiting_for_peer()) {
            reasons.push(texts::NO_PEER_YET.to_owned());
        } else if self.driver.is_refilling() {
            reasons.push(texts::REFILLING.to_owned());
        } else if !self.driver.is_ready() {
            reasons.push(texts::CATCHING_UP.to_owned());
        }
        if let Some(damage) = self.store.damage() {
            reasons.push(texts::store_damaged(damage));
        }
        if self.writer.is_stalled() {
            reasons.push(texts::COMMIT_STALLED.to_owned());
        }
        if let ClockVerdict::Wrong(ms) = self.driver.report().clock {
            reasons.push(texts::clock_wrong(ms));
        }
        reasons
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let report = self.driver.report();
        if let ClockVerdict::Disputed(ms) = report.clock {
            problems.push(texts::clocks_differ(ms / 1_000));
        }
        for peer in report.peers.iter().filter(|peer| peer.shards_diverged > 0) {
            let scopes = self.driver.differences().into_iter().filter(|(node, _)| *node == peer.peer);
            let scopes = scopes.map(|(_, scopes)| scopes).collect::<Vec<_>>().join(", ");
            problems.push(texts::views_differ(peer.peer, peer.shards_diverged, &scopes));
        }
        problems
    }

    fn metrics(&self) -> String {
        if let Some(links) = &self.links {
            self.metrics.cluster.measure_links(links);
        }
        self.metrics.present.set(i64::try_from(self.presence.count()).unwrap_or(i64::MAX));
        self.metrics.text()
    }

    fn public_urls(&self) -> Vec<String> {
        let linked = self.links.iter().flat_map(|links| links.public_urls());
        self.public_url.clone().into_iter().chain(linked).collect()
    }
}
