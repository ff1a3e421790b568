//! The news of the cluster that linked peers send each other: changed descriptions, and their own links, so that any node
//! can name the pairs without a link; and each second their status.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use starling_protocol::{
    NodeId,
    frame::{
        peer::{Member, MeshNews, NodeStatus, PeerFrame},
        wire::WireVersion,
    },
    replica::{HEARTBEAT_MS, LinkId},
};

use super::{LinkSender, Links};

/// Changes within this time are sent together; a link whose queue is full is tried again after the same time.
const SEND_EVERY: Duration = Duration::from_millis(100);

/// Bytes of a peer's build that are kept.
const BUILD_BYTES_MAX: usize = 64;

/// Reads this node's status.
pub type StatusReader = Box<dyn Fn() -> NodeStatus + Send + Sync>;

impl Links {
    /// Sends peers this node's status from now on.
    pub fn share_status(&self, read: StatusReader) {
        let _ = self.status.set(read);
    }

    /// Sends a peer this node's status every second until the link ends.
    pub(super) async fn send_status(&self, sender: &LinkSender) {
        if sender.version() < WireVersion::V2 {
            return std::future::pending().await;
        }
        let (mut leaving, mut was_leaving) = (self.watch_leaving(), false);
        loop {
            if let Some(read) = self.status.get() {
                // The next one follows, whether this fits into the queue or not.
                let _ = sender.try_send(PeerFrame::Status(read()).encode());
            }
            let is_leaving = *leaving.borrow_and_update();
            if (is_leaving || was_leaving) && sender.try_send(PeerFrame::Leaving(is_leaving).encode()).is_ok()
            {
                was_leaving = is_leaving;
            }
            let beat = tokio::time::sleep(Duration::from_millis(HEARTBEAT_MS));
            tokio::select! {
                () = beat => {}
                Ok(()) = leaving.changed() => {}
            }
        }
    }

    /// Keeps the status that a peer sent.
    pub(super) fn set_peer_status(&self, peer: NodeId, link: LinkId, status: NodeStatus) {
        if let Some(entry) = self.links().get_mut(&peer).filter(|entry| entry.sender.id() == link) {
            entry.status = (status.build.len() <= BUILD_BYTES_MAX).then_some(status);
        }
    }

    /// The wire version of the link to a node, and the node's last status.
    pub fn peer_status(&self, node: NodeId) -> Option<(WireVersion, Option<NodeStatus>)> {
        self.links().get(&node).map(|entry| (entry.sender.version(), entry.status.clone()))
    }

    /// Sends changes to a peer until the link ends. `known` holds the descriptions that this node's hello contained.
    pub(super) async fn send_mesh_news(&self, sender: &LinkSender, known: Vec<Member>) {
        let mut known: BTreeMap<_, _> = known.into_iter().map(|member| (member.node, member)).collect();
        let mut sent_linked = None;
        loop {
            let mut seen = Some(self.members.version());
            let linked: Vec<_> = self.links().keys().copied().collect();
            let members = self.members.all().into_iter().chain([self.members.own()]);
            let members: Vec<_> = members.filter(|member| known.get(&member.node) != Some(member)).collect();
            if !members.is_empty() || sent_linked.as_ref() != Some(&linked) {
                let news = MeshNews { linked: linked.clone(), members: members.clone() };
                if sender.try_send(PeerFrame::Mesh(news).encode()).is_ok() {
                    known.extend(members.into_iter().map(|member| (member.node, member)));
                    sent_linked = Some(linked);
                } else {
                    seen = None;
                }
            }
            tokio::time::sleep(SEND_EVERY).await;
            if let Some(seen) = seen {
                self.members.changed_since(seen).await;
            }
        }
    }

    /// Known pairs of nodes without a link between them. Each of the two is linked to some node.
    pub fn unlinked_pairs(&self) -> Vec<(NodeId, NodeId)> {
        let links = self.links();
        let mut linked: BTreeMap<_, _> = links
            .iter()
            .filter_map(|(&node, entry)| Some((node, entry.peer_reports_links_to.clone()?)))
            .collect();
        linked.insert(self.me(), links.keys().copied().collect());
        drop(links);
        unlinked_pairs(&linked)
    }
}

/// Returns the pairs without a link, from the links that each node reports.
fn unlinked_pairs(linked: &BTreeMap<NodeId, BTreeSet<NodeId>>) -> Vec<(NodeId, NodeId)> {
    let heard: BTreeSet<_> = linked.keys().chain(linked.values().flatten()).copied().collect();
    let mut pairs = BTreeSet::new();
    for (&node, peers) in linked {
        for &other in heard.iter().filter(|&&other| other != node && !peers.contains(&other)) {
            // A link that only one side reports is coming up or going down.
            if !linked.get(&other).is_some_and(|peers| peers.contains(&node)) {
                pairs.insert((node.min(other), node.max(other)));
            }
        }
    }
    pairs.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Any node can name the pairs without a link, also those of other nodes; an isolated node is in no pair.
    #[test]
    fn pairs_without_a_link_are_named() {
        let id = |node| NodeId([node; 16]);
        let say = |node, peers: &[u8]| (id(node), peers.iter().map(|&peer| id(peer)).collect());
        let pairs = |says: &[(NodeId, BTreeSet<NodeId>)]| unlinked_pairs(&says.iter().cloned().collect());
        assert_eq!(pairs(&[say(1, &[2, 3]), say(2, &[1]), say(3, &[1])]), [(id(2), id(3))]);
        assert_eq!(pairs(&[say(1, &[2, 3]), say(2, &[1, 3]), say(3, &[1, 2])]), []);
        assert_eq!(pairs(&[say(1, &[2]), say(2, &[1, 3])]), [(id(1), id(3))], "only 2 hears 3");
        assert_eq!(pairs(&[say(1, &[2, 3]), say(2, &[1, 3]), say(3, &[1])]), [], "one side knows of it");
        assert_eq!(pairs(&[say(1, &[])]), []);
    }
}
