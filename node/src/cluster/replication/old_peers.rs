//! Remembers which peers have a build of wire version 1, which knows no messages of kind 43.

use std::collections::BTreeSet;

use starling_protocol::{NodeId, frame::wire::WireVersion, limits::CLUSTER_MEMBERS_MAX};

/// The peers whose last link since this process started had wire version 1. One that is gone counts on: it may return
/// with the same build, and its users should see what was said meanwhile before its upgrade.
#[derive(Debug, Default)]
pub struct OldPeers(BTreeSet<NodeId>);

impl OldPeers {
    /// Records the wire version of a new link.
    pub fn link_up(&mut self, peer: NodeId, version: WireVersion) {
        if version >= WireVersion::V2 {
            self.0.remove(&peer);
        } else if self.0.len() < CLUSTER_MEMBERS_MAX {
            self.0.insert(peer);
        }
    }

    /// Drops those that were forgotten: a process of such a node returns under another id. Returns whether there were any.
    pub fn drop_forgotten(&mut self, is_forgotten: impl Fn(NodeId) -> bool) -> bool {
        let before = self.0.len();
        self.0.retain(|peer| !is_forgotten(*peer));
        self.0.len() < before
    }

    /// Whether there are any.
    pub fn any(&self) -> bool {
        !self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise 12: an older node lists what is posted, also after a pause of its link; once all are upgraded, messages
    /// say all that the new kind can say.
    #[test]
    fn a_peer_counts_as_old_until_it_returns_with_a_newer_version() {
        let [one, two] = [1, 2].map(|n| NodeId([n; 16]));
        let mut peers = OldPeers::default();
        assert!(!peers.any(), "a node alone");
        peers.link_up(one, WireVersion::V2);
        assert!(!peers.any());
        peers.link_up(one, WireVersion::V1);
        peers.link_up(two, WireVersion::V1);
        peers.link_up(one, WireVersion::V2);
        assert!(peers.any(), "the other one is still old");
        peers.link_up(two, WireVersion::V2);
        assert!(!peers.any());
    }

    /// Promise: a peer of version 1 that is gone for good doesn't hold the new kind back for ever.
    #[test]
    fn a_forgotten_peer_does_not_count() {
        let [one, two] = [1, 2].map(|n| NodeId([n; 16]));
        let mut peers = OldPeers::default();
        peers.link_up(one, WireVersion::V1);
        assert!(!peers.drop_forgotten(|node| node == two) && peers.any());
        assert!(peers.drop_forgotten(|node| node == one) && !peers.any());
    }

    #[test]
    fn no_more_than_the_members_of_a_cluster_are_remembered() {
        let mut peers = OldPeers::default();
        let node = |n: usize| {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&n.to_be_bytes());
            NodeId(id)
        };
        (0..2 * CLUSTER_MEMBERS_MAX).for_each(|n| peers.link_up(node(n), WireVersion::V1));
        assert_eq!(peers.0.len(), CLUSTER_MEMBERS_MAX);
    }
}
