//! Health and figures, for balancers and operators.

use std::sync::Arc;

use starling_web::service::Operations;

use crate::{
    cluster::{DriverHandle, Links, PresenceMap},
    metrics::Metrics,
    supervisor::Supervisor,
};

/// Implements [`Operations`].
pub struct OperationsService {
    /// Whether the node has caught up.
    pub driver: DriverHandle,
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
        if !self.driver.is_ready() {
            reasons.push("catching up with the other nodes".to_owned());
        }
        reasons
    }

    fn metrics(&self) -> String {
        self.metrics.present.set(i64::try_from(self.presence.count()).unwrap_or(i64::MAX));
        self.metrics.text()
    }

    fn public_urls(&self) -> Vec<String> {
        let linked = self.links.iter().flat_map(|links| links.public_urls());
        self.public_url.clone().into_iter().chain(linked).collect()
    }
}
