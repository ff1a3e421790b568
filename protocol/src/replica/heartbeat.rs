//! The heartbeat: the frames that every peer gets every second, and this node's status in them.

use super::{HEARTBEAT_MS, Millis, Output, Replica, send};
use crate::{
    clock_majority::{self, ClockVerdict},
    frame::{peer::ReplicaFrame, vector_part::VectorFrame},
};

/// For this long after a stall, peers may not know yet that it is over: they learn it with the next heartbeat.
const STALL_AFTERMATH_MS: u64 = 2 * HEARTBEAT_MS;

/// This node's status, as its peers should know it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LocalStatus {
    /// Whether the writer has been busy with one commit for too long.
    pub(super) stalled: bool,
    /// Whether the store was lost, and no peer with the data has seen this node in sync since.
    pub(super) refilling: bool,
    /// The wall clock (Unix milliseconds) minus the monotonic clock.
    wall_ahead_ms: i64,
    /// The time until which peers may decide without this node because it stalled.
    excluded_until: Millis,
}

impl LocalStatus {
    pub(super) fn wall_ms(self, now: Millis) -> u64 {
        now.0.saturating_add_signed(self.wall_ahead_ms)
    }

    /// Whether peers may have decided something without this node since `since`, because it stalled.
    pub(super) fn may_be_excluded_since(self, since: Millis) -> bool {
        since < self.excluded_until
    }

    /// Returns by how many milliseconds a peer's wall clock is ahead of this node's.
    pub(super) fn peer_clock_ahead_ms(self, now: Millis, wall_ms: u64) -> i64 {
        wall_ms.checked_signed_diff(self.wall_ms(now)).unwrap_or(i64::MAX)
    }
}

impl Replica {
    /// Judges this node's wall clock by those of the peers that are in sync both ways. The times of others may be old,
    /// since they were queued behind the events that are being caught up.
    pub fn judge_clock(&self, now: Millis) -> ClockVerdict {
        let peers = self.in_sync(now).filter(|link| link.peer_sees_us_in_sync);
        clock_majority::judge(&peers.filter_map(|link| link.peer_clock_ahead_ms).collect::<Vec<_>>())
    }

    pub(super) fn set_local_status(
        &mut self,
        now: Millis,
        wall_ms: u64,
        stalled: bool,
        out: &mut Vec<Output>,
    ) {
        let was_stalled = self.local_status.stalled;
        self.local_status.stalled = stalled;
        self.local_status.wall_ahead_ms = wall_ms.checked_signed_diff(now.0).unwrap_or(0);
        if stalled || was_stalled {
            self.note_stall(now);
        }
        if stalled != was_stalled {
            self.confirm_to_all(now, out);
        }
    }

    /// Handles the end of a suspension: all that this node knows of its peers may be outdated.
    pub(super) fn on_resumed(&mut self, now: Millis, out: &mut Vec<Output>) {
        self.note_stall(now);
        let probe = self.barrier.fresh_id();
        for (&id, link) in &mut self.links {
            link.reset(self.held.clone(), probe);
            link.vectors.send(id, &self.held, VectorFrame::Vector, self.vector_entries_max, out);
            out.push(send(id, ReplicaFrame::Probe(probe)));
        }
        self.settle_all(now, out);
    }

    /// Notes whether this node is refilling its store. When the refill ends, peers must catch up once more, to everything
    /// that is here now: their target was set when the link came up, and this node may have held nothing then. From now on
    /// this node's `in_sync` proves something to a peer that is refilling.
    pub(super) fn set_refilling(&mut self, now: Millis, refilling: bool, out: &mut Vec<Output>) {
        self.local_status.refilling = refilling;
        if !refilling {
            for link in self.links.values_mut() {
                link.catch_up_to(self.held.clone());
            }
        }
        self.confirm_to_all(now, out);
        self.settle_all(now, out);
    }

    fn note_stall(&mut self, now: Millis) {
        // Without links there are no peers that could decide without this node.
        if !self.links.is_empty() {
            self.local_status.excluded_until = now + STALL_AFTERMATH_MS;
        }
    }

    pub(super) fn on_tick(&mut self, now: Millis, out: &mut Vec<Output>) {
        if now >= self.next_heartbeat {
            self.next_heartbeat = now + HEARTBEAT_MS;
            for (&id, link) in &mut self.links {
                link.may_push = true;
                // The probe sent after a suspension, or its answer, may have been dropped by a full queue.
                out.extend(link.vectors.named_again().map(|frame| send(id, frame)));
                out.extend(link.resume_probe().map(|probe| send(id, ReplicaFrame::Probe(probe))));
                // A peer that doesn't see this node in sync may lack its first vector, and would wait for it forever.
                if link.needs_full_vector || link.confirmed != self.held || !link.peer_sees_us_in_sync {
                    link.needs_full_vector = false;
                    link.vectors.send(id, &self.held, VectorFrame::Vector, self.vector_entries_max, out);
                }
            }
            self.confirm_to_all(now, out);
            self.send_peers(now, out);
            self.send_live_origins(now, out);
            self.ask_again(now, out);
            self.send_digests(now, out);
            // Peers may have fallen out of sync, so that waiters need not wait for them.
            self.settle_all(now, out);
        }
        self.confirm_what_is_due(now, out);
        self.expire(now, out);
        self.drive_barrier(now, out);
        self.pull(now, out);
    }
}
