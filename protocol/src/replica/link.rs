//! The state of one link to a peer. It is dropped with the link.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    HelloFolds, LinkId, Millis, Output, Replica, SILENCE_MS_MAX, digests::PeerDigests, send,
    vectors::LinkVectors,
};
use crate::{
    Fold, NodeId, OriginId, Seq, VersionVector,
    digest::VIEWS_VERSION,
    frame::{peer::ReplicaFrame, vector_part::VectorFrame, wire::WireVersion},
};

/// Concurrent reads for one peer, at most. A correct peer asks for fewer.
const READS_MAX: usize = 16;
/// Nodes in a peer's list of its own peers, at most.
const PEERS_MAX: usize = 1_024;

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent, and all combinations occur")]
pub(super) struct Link {
    pub(super) peer: NodeId,
    /// The wire version of the link.
    pub(super) version: WireVersion,
    /// The origin of the peer's process, once it has written.
    pub(super) own_origin: Option<OriginId>,
    /// The events that the peer has confirmed as durable on this link.
    pub(super) confirmed: VersionVector,
    /// The heads of events that are durable here of which the peer was not told yet.
    pub(super) unconfirmed: BTreeMap<OriginId, Seq>,
    /// The time of its last frame.
    pub(super) last_heard: Millis,
    /// Whether its first vector has arrived. Until then this node doesn't know what the peer lacks.
    pub(super) vector_received: bool,
    /// Whether the peer sees this node in sync.
    pub(super) peer_sees_us_in_sync: bool,
    /// Whether new commits are pushed to it. Off while it catches up by pulling.
    pub(super) pushing: bool,
    /// Whether pushing may start. After a full queue it must wait for the next heartbeat or read; otherwise every received
    /// frame would fill the queue again.
    pub(super) may_push: bool,
    /// The last event of this process's log that was sent to it in answers to pulls.
    pub(super) served: Seq,
    /// Running reads of this process's log for the peer.
    pub(super) own_log_reads: usize,
    /// Whether a frame was dropped, so that the next heartbeat must send the whole vector.
    pub(super) needs_full_vector: bool,
    /// The events that the peer must confirm before it is in sync: those held here when the link came up, when this
    /// process was last resumed, or when the refill of its store ended. `None` once the peer has confirmed them.
    catch_up_target: Option<VersionVector>,
    /// After a suspension of this process: until the peer answers this probe, received frames may be from before it.
    resume_probe: Option<u64>,
    /// Whether its writer has been busy with one commit for too long.
    pub(super) stalled: bool,
    /// Whether it lost its store and is still refilling it.
    pub(super) refilling: bool,
    /// How far its wall clock was ahead of this node's, at its last confirmation.
    pub(super) peer_clock_ahead_ms: Option<i64>,
    pub(super) digests: PeerDigests,
    /// How vectors are written on this link.
    pub(super) vectors: LinkVectors,
    /// Other nodes that are in sync both ways with the peer, with the times of their last frames to it.
    pub(super) peers: BTreeMap<NodeId, Millis>,
    /// The origins of the processes to which the peer has links, and the time when it said so.
    live_origins: (Vec<OriginId>, Millis),
    /// Claims that the peer asked this node to confirm and that are not durable here yet.
    pub(super) asked: BTreeSet<(OriginId, Seq)>,
    reads: usize,
}

impl Link {
    pub(super) fn new(
        (peer, version): (NodeId, WireVersion),
        now: Millis,
        held: &VersionVector,
        folds: Option<HelloFolds>,
    ) -> Self {
        Self {
            peer,
            version,
            own_origin: None,
            // Over the same fold, so that both are compared cheaply.
            confirmed: VersionVector::default().written_over(held.base()),
            unconfirmed: BTreeMap::new(),
            last_heard: now,
            vector_received: false,
            peer_sees_us_in_sync: false,
            pushing: false,
            may_push: true,
            served: Seq::NONE,
            own_log_reads: 0,
            needs_full_vector: false,
            catch_up_target: Some(held.clone()),
            resume_probe: None,
            stalled: false,
            refilling: false,
            peer_clock_ahead_ms: None,
            digests: PeerDigests::default(),
            vectors: LinkVectors::new(folds),
            peers: BTreeMap::new(),
            live_origins: (Vec::new(), now),
            asked: BTreeSet::new(),
            reads: 0,
        }
    }

    pub(super) fn is_heard(&self, now: Millis) -> bool {
        now.ms_since(self.last_heard) <= SILENCE_MS_MAX
    }

    /// Whether the peer was heard recently, has confirmed the catch-up target, and is not stalled.
    pub(super) fn is_in_sync(&self, now: Millis) -> bool {
        self.catch_up_target.is_none() && !self.stalled && self.is_heard(now)
    }

    /// Whether both nodes see each other in sync.
    pub(super) fn is_in_sync_both_ways(&self, now: Millis) -> bool {
        self.is_in_sync(now) && self.peer_sees_us_in_sync
    }

    /// Whether the peer is in sync both ways with another node, which it heard recently.
    pub(super) fn reaches(&self, now: Millis, node: NodeId) -> bool {
        self.is_in_sync_both_ways(now)
            && self.peers.get(&node).is_some_and(|&heard| now.ms_since(heard) <= SILENCE_MS_MAX)
    }

    /// Stores the peer's list of nodes that are in sync both ways with it, with the ages of their last frames.
    pub(super) fn set_peers(&mut self, now: Millis, peers: &[(NodeId, u32)]) {
        // Frames from before the suspension are outdated.
        if self.resume_probe.is_none() {
            let heard = |&(node, age_ms): &(NodeId, u32)| (node, now.saturating_sub_ms(age_ms.into()));
            self.peers = peers.iter().take(PEERS_MAX).map(heard).collect();
        }
    }

    /// Stores the origins of the processes to which the peer has links.
    pub(super) fn set_live_origins(&mut self, now: Millis, mut origins: Vec<OriginId>) {
        origins.truncate(PEERS_MAX);
        self.live_origins = (origins, now);
    }

    /// Returns the origins of live processes: the peer's, and those to which it lately said that it has links.
    pub(super) fn live_origins(&self, now: Millis) -> impl Iterator<Item = OriginId> {
        let (origins, said_at) = &self.live_origins;
        let known = if now.ms_since(*said_at) <= SILENCE_MS_MAX { &origins[..] } else { &[] };
        self.own_origin.into_iter().chain(known.iter().copied())
    }

    /// Takes the peer out of sync after a suspension of this process, until it has answered `probe` and caught up to
    /// `held`. Frames from before the suspension may still arrive, so only those after the answer count. What the peer
    /// confirmed stays confirmed.
    pub(super) fn reset(&mut self, held: VersionVector, probe: u64) {
        self.catch_up_target = Some(held);
        self.vector_received = false;
        self.peer_sees_us_in_sync = false;
        self.peers.clear();
        self.resume_probe = Some(probe);
    }

    /// Returns the probe that must be answered first after a suspension.
    pub(super) fn resume_probe(&self) -> Option<u64> {
        self.resume_probe
    }

    /// Handles the answer to a probe.
    pub(super) fn on_probed(&mut self, probe: u64) {
        if self.resume_probe == Some(probe) {
            self.resume_probe = None;
            // The answer is the peer's whole vector.
            self.vector_received = true;
        }
    }

    /// Stores whether the peer sees this node in sync.
    pub(super) fn set_peer_sees_us_in_sync(&mut self, in_sync: bool) {
        self.peer_sees_us_in_sync = in_sync && self.resume_probe.is_none();
    }

    /// Updates whether the peer has caught up. Returns whether it just did.
    pub(super) fn update_caught_up(&mut self) -> bool {
        let caught_up = self.vector_received
            && self.resume_probe.is_none()
            && self.catch_up_target.as_ref().is_some_and(|target| self.confirmed.covers(target));
        if caught_up {
            self.catch_up_target = None;
        }
        caught_up
    }

    /// Requires the peer to catch up to `held` before it is in sync.
    pub(super) fn catch_up_to(&mut self, held: VersionVector) {
        self.catch_up_target = Some(held);
        self.update_caught_up();
    }

    /// Writes the vectors over another fold.
    pub(super) fn rebase(&mut self, fold: &Arc<Fold>) {
        self.confirmed.rebase(fold);
        if let Some(target) = &mut self.catch_up_target {
            target.rebase(fold);
        }
    }

    pub(super) fn on_send_refused(&mut self) {
        self.pushing = false;
        self.may_push = false;
        self.needs_full_vector = true;
        self.digests.resend_all();
        self.vectors.name_all_again();
        // The dropped frame may be the last answer to a pull.
        self.served = Seq::NONE;
    }

    /// Starts a read if fewer than the limit are running. Returns whether it may run.
    pub(super) fn begin_read(&mut self) -> bool {
        let may_run = self.reads < READS_MAX;
        self.reads += usize::from(may_run);
        may_run
    }

    pub(super) fn end_read(&mut self) {
        self.reads = self.reads.saturating_sub(1);
    }
}

impl Replica {
    pub(super) fn on_link_up(&mut self, now: Millis, id: LinkId, link: Link, out: &mut Vec<Output>) {
        let replaced: Vec<_> =
            self.links.iter().filter(|(_, old)| old.peer == link.peer).map(|(&id, _)| id).collect();
        for old in replaced {
            self.links.remove(&old);
            self.barrier.remove_link(old);
        }
        let version = link.version;
        self.links.insert(id, link);
        // There may be newer folds than when the hello was sent.
        self.name_folds(id, out);
        self.send_held(id, VectorFrame::Vector, out);
        if version >= WireVersion::V2 {
            out.push(send(id, ReplicaFrame::Views(VIEWS_VERSION)));
        }
        self.settle_all(now, out);
        self.drive_barrier(now, out);
    }

    pub(super) fn on_link_down(&mut self, now: Millis, link: LinkId, out: &mut Vec<Output>) {
        if self.links.remove(&link).is_some() {
            self.barrier.remove_link(link);
            self.settle_all(now, out);
            self.drive_barrier(now, out);
            self.pull(now, out);
        }
    }
}
