//! Health and figures, for balancers and operators.

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
    /// Whether the node has caught up.
    pub driver: DriverHandle,
    /// Whether it can write.
    pub writer: WriterHandle,
    /// Whether it can read.
    pub store: Arc<Store>,
    /// All figures.
    pub metrics: Arc<Metrics>,
    /// Who is where.
    pub presence: Arc<PresenceMap>,
    /// The linked nodes, if there is a cluster.
    pub links: Option<Arc<Links>>,
    /// Where users reach this node, if it was told.
    pub public_url: Option<String>,
    /// Which parts of the node are down.
    pub supervisor: Arc<Supervisor>,
}

impl Operations for OperationsService {
    fn not_ready(&self) -> Vec<String> {
        let down = self.supervisor.parts_down();
        let mut reasons: Vec<_> = down.iter().map(|part| format!("{part} has failed and restarts")).collect();
        if let Some(by) = self.links.as_ref().and_then(|links| links.copied()) {
            reasons.push(format!(
                "another running node has this node's identity, says the node at {by}: was the data directory copied? \
                 Stop one of the two, and start it with an empty --data-dir"
            ));
        }
        if self.links.as_ref().is_some_and(|links| links.expects_peer()) {
            reasons.push("no other node was reached yet, and cluster.expect_peers is set".to_owned());
        } else if self.driver.is_refilling() {
            reasons.push(
                "the store was lost, and the other nodes refill it; if none that holds the data answers, start one, or \
                 stop this node and start it with --fresh to begin with an empty store"
                    .to_owned(),
            );
        } else if !self.driver.is_ready() {
            reasons.push("catching up with the other nodes".to_owned());
        }
        if let Some(damage) = self.store.damage() {
            reasons.push(format!(
                "the store cannot be read: {damage}; stop the node, see what 'starling verify' says, and put a backup in \
                 its place or move it away, so that the peers refill it"
            ));
        }
        if self.writer.is_stalled() {
            reasons.push("the disk has been busy with one commit for more than a second".to_owned());
        }
        if let ClockVerdict::Outside(ms) = self.driver.report().clock {
            let (seconds, side) = (ms.unsigned_abs() / 1_000, if ms > 0 { "ahead of" } else { "behind" });
            reasons.push(format!("the clock is {seconds} s {side} those of most other nodes; set it right"));
        }
        reasons
    }

    fn troubles(&self) -> Vec<String> {
        let mut troubles = Vec::new();
        let report = self.driver.report();
        if let ClockVerdict::Disputed(ms) = report.clock {
            troubles.push(format!("the clocks of the nodes are {} s apart; set them right", ms / 1_000));
        }
        for peer in report.peers.iter().filter(|peer| peer.parts_diverged > 0) {
            let named = self.driver.differences().into_iter().filter(|(node, _)| *node == peer.peer);
            let named = named.map(|(_, scopes)| scopes).collect::<Vec<_>>().join(", ");
            let (peer, parts) = (peer.peer, peer.parts_diverged);
            troubles.push(format!(
                "this node and {peer} show something else in {parts} of 256 parts ({named}); run 'starling verify' on both"
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
