//! Nodes that leave the cluster or were forgotten: which peers say that they are leaving, which nodes were heard lately, and
//! whether this node is still a member.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use starling_protocol::{
    NodeId,
    frame::{
        peer::{Member, PeerFrame},
        wire::WireVersion,
    },
    replica::LinkId,
};
use tokio::{sync::watch, time::Instant};

use super::{LinkSender, Links};

/// How long a node that was heard is not forgotten: longer than a reboot or an upgrade takes.
pub const HEARD_LATELY: Duration = Duration::from_mins(10);
/// The longest wait for a peer to answer a ping.
const PING_MAX: Duration = Duration::from_secs(1);

/// When another node was heard, by this node or by a peer that this node hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It is heard now.
    Now,
    /// It was heard this long ago.
    Before(Duration),
    /// Not since this process started, this long ago.
    NotSinceStart(Duration),
}

impl Heard {
    /// Returns for how long the node must not be forgotten yet; `None` if it was silent for long enough.
    pub fn must_wait(self) -> Option<Duration> {
        match self {
            Self::Now => Some(HEARD_LATELY),
            // Before it started, this process heard nobody.
            Self::Before(ago) | Self::NotSinceStart(ago) => {
                HEARD_LATELY.checked_sub(ago).filter(|wait| !wait.is_zero())
            }
        }
    }
}

/// The knowledge of links about nodes that leave or were forgotten.
#[derive(Debug, Default)]
pub(super) struct Departures {
    /// Whether this node is leaving.
    leaving: watch::Sender<bool>,
    /// Whether this node was forgotten.
    forgotten: watch::Sender<bool>,
    /// The peers that said that they are leaving, until they link again without saying so: the link to one that has left ends
    /// before it is forgotten here.
    leaving_peers: Mutex<BTreeSet<NodeId>>,
    /// The peers that refused a link because they have forgotten this node: they hold the event that says so.
    forgotten_by: Mutex<BTreeSet<NodeId>>,
    /// When members were last heard, by this node or by a peer.
    last_heard: Mutex<BTreeMap<NodeId, Instant>>,
}

impl Links {
    /// Sets which nodes were forgotten before this process started; this node is none of them.
    pub fn set_forgotten(&self, nodes: BTreeSet<NodeId>) {
        for node in nodes {
            self.members.forget(node);
        }
    }

    /// Forgets nodes for ever: they are not listed or dialled any more, and their links are refused.
    pub fn forget_nodes(&self, nodes: impl IntoIterator<Item = NodeId>) {
        for node in nodes {
            if node == self.me() {
                self.departures.forgotten.send_replace(true);
            }
            if self.members.forget(node) {
                tracing::info!(%node, "this node is forgotten: it is no member of the cluster any more");
            }
            self.departures.leaving_peers.lock().unwrap_or_else(PoisonError::into_inner).remove(&node);
        }
    }

    /// Records that a peer refuses links because it has forgotten this node.
    pub(super) fn on_told_forgotten(&self, by: Option<NodeId>) {
        let mut forgotten_by = self.departures.forgotten_by.lock().unwrap_or_else(PoisonError::into_inner);
        forgotten_by.extend(by);
        drop(forgotten_by);
        self.departures.forgotten.send_replace(true);
    }

    /// The peers that are known to have forgotten this node.
    pub fn forgotten_by(&self) -> BTreeSet<NodeId> {
        self.departures.forgotten_by.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether this node was forgotten, as far as it knows.
    pub fn is_forgotten(&self) -> bool {
        *self.departures.forgotten.borrow()
    }

    /// Whether another node was forgotten.
    pub fn has_forgotten(&self, node: NodeId) -> bool {
        self.members.is_forgotten(node)
    }

    /// Waits until this node learns that it was forgotten.
    pub async fn forgotten(&self) {
        // The sender lives as long as `self`.
        let _ = self.departures.forgotten.subscribe().wait_for(|forgotten| *forgotten).await;
    }

    /// Returns once a linked peer was forgotten. Its link ends at once: the close code tells it, and under its next id it would
    /// count as two copies.
    pub(super) async fn until_forgotten(&self, peer: NodeId) {
        loop {
            let seen = self.members.version();
            if self.members.is_forgotten(peer) {
                return;
            }
            self.members.changed_since(seen).await;
        }
    }

    /// Logs that a forgotten node was refused.
    pub(super) fn log_forgotten(&self, peer: NodeId, sender: &LinkSender) {
        self.metrics.refused.inc();
        let address = sender.connection().remote_address();
        if let Some(times) = self.refusal_log.note(address) {
            tracing::warn!(
                %peer, %address, times,
                "refused a forgotten node: it joins again under a new id with its data; if it is of an older version, \
                 upgrade it first"
            );
        }
    }

    /// Merges descriptions of members; returns whether anything was new.
    pub(super) fn learn(&self, members: &[Member]) -> bool {
        self.members.learn(members, || self.live_nodes())
    }

    /// All nodes that this node, or a peer that it hears, hears now.
    pub fn live_nodes(&self) -> BTreeSet<NodeId> {
        let links = self.links();
        let reported = links.values().filter_map(|entry| entry.peer_reports_links_to.as_ref()).flatten();
        links.keys().chain(reported).copied().filter(|node| *node != self.me()).collect()
    }

    /// Records which nodes are heard now, and returns them.
    pub(super) fn note_live_nodes(&self) -> BTreeSet<NodeId> {
        let (live, now) = (self.live_nodes(), Instant::now());
        let mut last_heard = self.departures.last_heard.lock().unwrap_or_else(PoisonError::into_inner);
        last_heard.retain(|_, at| now < *at + HEARD_LATELY);
        last_heard.extend(live.iter().map(|&node| (node, now)));
        live
    }

    /// When a node was last heard.
    pub fn heard(&self, node: NodeId) -> Heard {
        if self.live_nodes().contains(&node) {
            return Heard::Now;
        }
        let last_heard = self.departures.last_heard.lock().unwrap_or_else(PoisonError::into_inner);
        match last_heard.get(&node) {
            Some(at) => Heard::Before(at.elapsed()),
            None => Heard::NotSinceStart(self.started.elapsed()),
        }
    }

    /// Tells peers from now on whether this node is leaving.
    pub fn set_leaving(&self, leaving: bool) {
        self.departures.leaving.send_replace(leaving);
    }

    /// Whether this node is leaving, for a link's task.
    pub(super) fn watch_leaving(&self) -> watch::Receiver<bool> {
        self.departures.leaving.subscribe()
    }

    pub(super) fn set_peer_leaving(&self, peer: NodeId, link: LinkId, leaving: bool) {
        if !self.is_current(peer, link) {
            return;
        }
        let mut peers = self.departures.leaving_peers.lock().unwrap_or_else(PoisonError::into_inner);
        if leaving {
            peers.insert(peer);
        } else {
            peers.remove(&peer);
        }
    }

    /// The peers that said that they are leaving, linked or not.
    pub fn leaving_peers(&self) -> BTreeSet<NodeId> {
        self.departures.leaving_peers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells all linked peers that this node is leaving, and waits until each has answered. Of two nodes that leave at the
    /// same time, at least one then knows of the other. Returns the peers that did not answer within a second.
    pub async fn confirm_leaving(&self) -> BTreeSet<NodeId> {
        let senders: Vec<_> =
            self.links().iter().map(|(&node, entry)| (node, entry.sender.clone())).collect();
        let mut silent = BTreeSet::new();
        for (node, sender) in senders.into_iter().filter(|(_, sender)| sender.version() >= WireVersion::V2) {
            // A link's frames arrive in order: the peer has read this one when it answers the ping after it, and what it
            // sent before has arrived here then.
            let told = sender.try_send(PeerFrame::Leaving(true).encode()).is_ok();
            let nonce = self.next_nonce.fetch_add(1, Ordering::Relaxed);
            if !told || !sender.answers(nonce, PING_MAX).await {
                silent.insert(node);
            }
        }
        silent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Membership (design, section 3): no node is forgotten while it is heard, and for 10 minutes after; a process that
    /// has just started can't know.
    #[test]
    fn a_node_that_was_heard_lately_is_not_forgotten() {
        let minutes = Duration::from_mins;
        assert_eq!(Heard::Now.must_wait(), Some(minutes(10)));
        for heard in [Heard::Before, Heard::NotSinceStart] {
            assert_eq!(heard(minutes(0)).must_wait(), Some(minutes(10)));
            assert_eq!(heard(minutes(4)).must_wait(), Some(minutes(6)));
            assert_eq!(heard(minutes(10)).must_wait(), None);
            assert_eq!(heard(minutes(60)).must_wait(), None);
        }
    }
}
