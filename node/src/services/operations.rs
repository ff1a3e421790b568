//! Health and metrics, for load balancers and operators.

use std::sync::Arc;

use starling_protocol::clock_majority::ClockVerdict;
use starling_web::service::Operations;

use crate::{
    cluster::{DriverHandle, Links, PresenceMap},
    metrics::Metrics,
    store::Store,
    supervisor::Supervisor,
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
        let mut reasons: Vec<_> =
            down.iter().map(|task| format!("{task} has failed and is being restarted")).collect();
        if let Some(by) = self.links.as_ref().and_then(|links| links.copy_reported_by()) {
            reasons.push(format!(
                "the node at {by} knows another running node with this node's identity: was the data directory copied? \
                 Stop one of the two, and start it with an empty --data-dir"
            ));
        }
        if self.links.as_ref().is_some_and(|links| links.is_waiting_for_peer()) {
            reasons.push("no other node was reached yet, and cluster.expect_peers is set".to_owned());
        } else if self.driver.is_refilling() {
            reasons.push(
                "the store was lost, and the other nodes are refilling it; if no node with the data is running, start \
                 one, or restart this node with --fresh to begin with an empty store"
                    .to_owned(),
            );
        } else if !self.driver.is_ready() {
            reasons.push("catching up with the other nodes".to_owned());
        }
        if let Some(damage) = self.store.damage() {
            reasons.push(format!(
                "the store cannot be read: {damage}; stop the node, run 'starling verify', then restore a backup, or move \
                 the store away so that the peers refill it"
            ));
        }
        if self.writer.is_stalled() {
            reasons.push("one commit has kept the disk busy for more than a second".to_owned());
        }
        if let ClockVerdict::Wrong(ms) = self.driver.report().clock {
            let (seconds, side) = (ms.unsigned_abs() / 1_000, if ms > 0 { "ahead of" } else { "behind" });
            reasons.push(format!(
                "this node's clock is {seconds} s {side} the clocks of most other nodes; correct it"
            ));
        }
        reasons
    }

    fn troubles(&self) -> Vec<String> {
        let mut troubles = Vec::new();
        let report = self.driver.report();
        if let ClockVerdict::Disputed(ms) = report.clock {
            troubles.push(format!("the clocks of the nodes differ by {} s; correct them", ms / 1_000));
        }
        for peer in report.peers.iter().filter(|peer| peer.shards_diverged > 0) {
            let scopes = self.driver.differences().into_iter().filter(|(node, _)| *node == peer.peer);
            let scopes = scopes.map(|(_, scopes)| scopes).collect::<Vec<_>>().join(", ");
            let (peer, shards) = (peer.peer, peer.shards_diverged);
            troubles.push(format!(
                "this node and {peer} differ in {shards} of 256 shards ({scopes}); run 'starling verify' on both"
            ));
        }
        troubles
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
