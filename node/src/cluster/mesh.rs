//! What peers tell each other of the cluster while they are linked: descriptions that have changed, and who is linked
//! to whom, so that any node can say which pairs lack a link.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use starling_protocol::{
    NodeId,
    frame::peer::{Member, MeshNews, PeerFrame},
};

use super::{LinkSender, Links};

/// Changes within so long are told together; a link whose queue is full is tried again after the same time.
const TELL_EVERY: Duration = Duration::from_millis(100);

impl Links {
    /// Tells a peer what changes, as long as the link lives. `told` is what it knows from this node's hello.
    pub(super) async fn tell_mesh(&self, sender: &LinkSender, told: Vec<Member>) {
        let mut told: BTreeMap<_, _> = told.into_iter().map(|member| (member.node, member)).collect();
        let mut told_linked = None;
        loop {
            let mut seen = Some(self.members.version());
            let linked: Vec<_> = self.links().keys().copied().collect();
            let members = self.members.all().into_iter().chain([self.members.own()]);
            let members: Vec<_> = members.filter(|member| told.get(&member.node) != Some(member)).collect();
            if !members.is_empty() || told_linked.as_ref() != Some(&linked) {
                let news = MeshNews { linked: linked.clone(), members: members.clone() };
                if sender.try_send(PeerFrame::Mesh(news).encode()).is_ok() {
                    told.extend(members.into_iter().map(|member| (member.node, member)));
                    told_linked = Some(linked);
                } else {
                    seen = None;
                }
            }
            tokio::time::sleep(TELL_EVERY).await;
            if let Some(seen) = seen {
                self.members.changed_since(seen).await;
            }
        }
    }

    /// Pairs of nodes that are heard by somebody and have no link between them, as far as this node was told.
    pub fn unlinked_pairs(&self) -> Vec<(NodeId, NodeId)> {
        let links = self.links();
        let mut linked: BTreeMap<_, _> =
            links.iter().filter_map(|(&node, entry)| Some((node, entry.linked.clone()?))).collect();
        linked.insert(self.me(), links.keys().copied().collect());
        drop(links);
        unlinked_pairs(&linked)
    }
}

/// Pairs without a link, from what some nodes say: to whom each is linked.
fn unlinked_pairs(linked: &BTreeMap<NodeId, BTreeSet<NodeId>>) -> Vec<(NodeId, NodeId)> {
    let heard: BTreeSet<_> = linked.keys().chain(linked.values().flatten()).copied().collect();
    let mut pairs = BTreeSet::new();
    for (&node, peers) in linked {
        for &other in heard.iter().filter(|&&other| other != node && !peers.contains(&other)) {
            // A link that only one side knows of is coming up or going down.
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

    /// Any node can name the pairs that lack a link, also those that it is no part of; a node that nobody hears is none.
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
