//! Health and figures, for balancers and operators.

use std::sync::Arc;

use starling_web::service::Operations;

use crate::{
    cluster::{DriverHandle, Links, PresenceMap},
    metrics::Metrics,
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
}

impl Operations for OperationsService {
    fn not_ready(&self) -> Vec<String> {
        if self.driver.is_ready() {
            return Vec::new();
        }
        vec!["catching up with the other nodes".to_owned()]
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
