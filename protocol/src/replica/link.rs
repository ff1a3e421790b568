//! What a node knows of one peer over the present link. All of it is forgotten with the link.

use std::collections::{BTreeMap, BTreeSet};

use super::{Millis, SILENCE_MS_MAX, digests::PeerDigests};
use crate::{NodeId, OriginId, VersionVector};

/// Pulls of one peer that are being read at once, at most; a peer asks for fewer.
const READS_MAX: usize = 16;
/// Other nodes that a peer may say it is in sync with.
const PEERS_MAX: usize = 1_024;

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and all combinations occur")]
pub(super) struct Link {
    pub(super) peer: NodeId,
    /// What the peer has made durable, as it said on this link.
    pub(super) confirmed: VersionVector,
    /// When its last frame came.
    pub(super) last_heard: Millis,
    /// Its first vector has come: until then nothing is known of what it lacks.
    pub(super) vector_received: bool,
    /// It says that this node is in sync.
    pub(super) peer_sees_us_in_sync: bool,
    /// Fresh commits are pushed to it; off while it catches up by pulling.
    pub(super) pushing: bool,
    /// Pushing may begin again; after a full queue not before the next beat or pull, or every frame that comes in
    /// would fill the queue afresh.
    pub(super) may_push: bool,
    /// Up to where it was sent the log of this process in answers to pulls.
    pub(super) served: u64,
    /// Pulls of that log which are being read for it.
    pub(super) own_reads: usize,
    /// Something that it should know was not sent: tell it the whole vector at the next beat.
    pub(super) needs_full_vector: bool,
    /// What was held here when the link came up; `None` once the peer has had all of it.
    catching_up_to: Option<VersionVector>,
    /// Until this probe is answered, nothing that comes was surely sent after this process woke.
    proving: Option<u64>,
    /// Its writer has been busy with one commit for too long.
    pub(super) stalled: bool,
    /// It lost its store and has not got all of it back.
    pub(super) refilling: bool,
    /// How far its wall clock is ahead of this node's, when it last told.
    pub(super) clock_ahead_ms: Option<i64>,
    pub(super) digests: PeerDigests,
    /// Other nodes that are in sync both ways with the peer, and when it heard them last.
    pub(super) peers: BTreeMap<NodeId, Millis>,
    /// Claims on names that came over this link to be confirmed, and are not durable here yet.
    pub(super) asked: BTreeSet<(OriginId, u64)>,
    reads: usize,
}

impl Link {
    pub(super) fn new(peer: NodeId, now: Millis, held: VersionVector) -> Self {
        Self {
            peer,
            confirmed: VersionVector::default(),
            last_heard: now,
            vector_received: false,
            peer_sees_us_in_sync: false,
            pushing: false,
            may_push: true,
            served: 0,
            own_reads: 0,
            needs_full_vector: false,
            catching_up_to: Some(held),
            proving: None,
            stalled: false,
            refilling: false,
            clock_ahead_ms: None,
            digests: PeerDigests::default(),
            peers: BTreeMap::new(),
            asked: BTreeSet::new(),
            reads: 0,
        }
    }

    pub(super) fn is_heard(&self, now: Millis) -> bool {
        now.saturating_sub(self.last_heard) <= SILENCE_MS_MAX
    }

    /// Heard lately, caught up once since the link came up, and writing.
    pub(super) fn is_in_sync(&self, now: Millis) -> bool {
        self.catching_up_to.is_none() && !self.stalled && self.is_heard(now)
    }

    /// Whether each end calls the other in sync, as far as this one knows.
    pub(super) fn is_in_sync_both_ways(&self, now: Millis) -> bool {
        self.is_in_sync(now) && self.peer_sees_us_in_sync
    }

    /// Whether the peer said that it is in sync both ways with another node, which it heard lately.
    pub(super) fn reaches(&self, now: Millis, node: NodeId) -> bool {
        self.is_in_sync_both_ways(now)
            && self.peers.get(&node).is_some_and(|&heard| now.saturating_sub(heard) <= SILENCE_MS_MAX)
    }

    /// The peer says with whom it is in sync both ways, and how long ago it heard each.
    pub(super) fn note_peers(&mut self, now: Millis, peers: &[(NodeId, u32)]) {
        // What was under way while this process slept says nothing.
        if self.proving.is_none() {
            let heard = |&(node, age_ms): &(NodeId, u32)| (node, now.saturating_sub(age_ms.into()));
            self.peers = peers.iter().take(PEERS_MAX).map(heard).collect();
        }
    }

    /// As if the link had just come up: what this node was told before it slept may be stale, and frames from then may
    /// still come. Only what follows the answer to this probe counts.
    pub(super) fn reset(&mut self, held: VersionVector, probe: u64) {
        self.catching_up_to = Some(held);
        self.vector_received = false;
        self.peer_sees_us_in_sync = false;
        self.peers.clear();
        self.proving = Some(probe);
    }

    /// The probe that is to be answered before anything counts.
    pub(super) fn proving(&self) -> Option<u64> {
        self.proving
    }

    /// A probe is answered.
    pub(super) fn probed(&mut self, probe: u64) {
        if self.proving == Some(probe) {
            self.proving = None;
            // The answer is the peer's whole vector.
            self.vector_received = true;
        }
    }

    /// The peer says whether it takes this node for in sync.
    pub(super) fn calls_us(&mut self, in_sync: bool) {
        self.peer_sees_us_in_sync = in_sync && self.proving.is_none();
    }

    /// Says whether the peer has just caught up.
    pub(super) fn update_caught_up(&mut self) -> bool {
        let caught_up = self.vector_received
            && self.proving.is_none()
            && self.catching_up_to.as_ref().is_some_and(|target| self.confirmed.covers(target));
        if caught_up {
            self.catching_up_to = None;
        }
        caught_up
    }

    /// More is held here than when the link came up: the peer is in sync once it has that, too.
    pub(super) fn measure_by(&mut self, held: VersionVector) {
        self.catching_up_to = Some(held);
        self.update_caught_up();
    }

    pub(super) fn sending_failed(&mut self) {
        self.pushing = false;
        self.may_push = false;
        self.needs_full_vector = true;
        self.digests.resend_all();
        // What was sent last in answer to a pull may be what was lost.
        self.served = 0;
    }

    /// Says whether one more read may run.
    pub(super) fn begin_read(&mut self) -> bool {
        let may = self.reads < READS_MAX;
        self.reads += usize::from(may);
        may
    }

    pub(super) fn end_read(&mut self) {
        self.reads = self.reads.saturating_sub(1);
    }
}
