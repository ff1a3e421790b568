//! Passes each commit on to sessions, presence and peers.

use std::sync::Arc;

use starling_web::lane::{CommitPoint, Lanes};

use super::fan_out;
use crate::{
    cluster::{DriverHandle, DriverInput, Links, PresenceMap},
    store::{Change, Commit, Store},
    writer::{CommitListener, PendingAck, replication_inputs},
};

/// The writer's [`CommitListener`].
pub struct FanOut {
    lanes: Arc<Lanes>,
    store: Arc<Store>,
    presence: Arc<PresenceMap>,
    driver: DriverHandle,
    /// `None` for a node without a cluster.
    links: Option<Arc<Links>>,
}

impl FanOut {
    /// Makes the listener for the lanes, presence and peers of one node.
    pub fn new(
        lanes: &Arc<Lanes>,
        store: &Arc<Store>,
        presence: &Arc<PresenceMap>,
        driver: &DriverHandle,
        links: Option<Arc<Links>>,
    ) -> Self {
        let (lanes, store) = (Arc::clone(lanes), Arc::clone(store));
        Self { lanes, store, presence: Arc::clone(presence), driver: driver.clone(), links }
    }
}

impl CommitListener for FanOut {
    /// The commit point follows the frames: a session that sees commit n finds all its frames.
    fn publish(&mut self, commit: &Commit) {
        let point = CommitPoint { number: commit.number, vector: Arc::clone(&commit.vector) };
        self.lanes.publish_commit(point, commit.own.as_ref().map(|own| own.origin), |lanes| {
            fan_out(lanes, &self.store, commit);
            if !commit.renamed.is_empty() {
                self.presence.show_renamed(commit.renamed.iter().copied());
            }
        });
    }

    async fn replicate(&mut self, commit: Commit, waiting: Vec<PendingAck>) {
        if let Some(links) = &self.links {
            links.forget_nodes(commit.changes.iter().filter_map(|change| match change {
                Change::NodeForgotten(node) => Some(*node),
                _ => None,
            }));
        }
        let Commit { own, received, digests, .. } = commit;
        let inputs = replication_inputs(own, received, digests);
        if !inputs.is_empty() || !waiting.is_empty() {
            self.driver.send(DriverInput::Committed(inputs, waiting)).await;
        }
    }
}
