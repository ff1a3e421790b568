//! A node is ready once it has caught up with its peers since its start, and since its process was last suspended.
//! Only then may it answer that something does not exist.

use starling_protocol::replica::{Millis, Replica};

/// A starting node that hears no peer serves alone after this.
const ALONE_AFTER_MS: u64 = 1_000;
/// A node whose process was suspended serves alone after this: its peers were there before, and may have to dial it
/// again.
const ALONE_AFTER_SUSPENSION_MS: u64 = 4_000;
/// A driver that runs this much later than it wanted to was suspended: a stopped process, a debugger, no memory.
const SUSPENSION_MS_MIN: u64 = 1_000;

/// The facts at a node's start that decide when it is ready.
#[derive(Clone, Copy, Debug)]
pub struct StartState {
    /// Whether there are peers to catch up with.
    pub knows_peers: bool,
    /// Whether other nodes can ever link to this one.
    pub is_clustered: bool,
    /// Whether the store was lost and is not refilled yet.
    pub is_refilling: bool,
}

/// The node has caught up and is ready from now on.
#[derive(Clone, Copy, Debug)]
pub struct CaughtUp {
    /// Whether this ended the refill of a lost store.
    pub refilled: bool,
    /// The number of peers in sync.
    pub peers_in_sync: usize,
}

#[derive(Debug)]
pub(super) struct Readiness {
    is_ready: bool,
    is_clustered: bool,
    is_refilling: bool,
    /// The time at which the node is ready although it hears no peer.
    alone_at: Millis,
    /// The time at which the driver should run next; `None` before it has run.
    due: Option<Millis>,
}

impl Readiness {
    pub(super) fn new(now: Millis, start: StartState) -> Self {
        Self {
            is_ready: !start.knows_peers && !start.is_refilling,
            is_clustered: start.is_clustered,
            is_refilling: start.is_refilling,
            alone_at: now + ALONE_AFTER_MS,
            due: None,
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// Sets the time at which the driver should run next.
    pub(super) fn set_due(&mut self, due: Millis) {
        self.due = Some(due);
    }

    /// Returns for how many milliseconds the process was suspended, if it was. Its knowledge of its peers is old then, and
    /// they may have gone on without it.
    pub(super) fn notice_suspension(&mut self, now: Millis) -> Option<u64> {
        let late_ms = now.ms_since(self.due?);
        if late_ms < SUSPENSION_MS_MIN {
            return None;
        }
        self.due = Some(now);
        if self.is_clustered {
            self.is_ready = false;
            self.alone_at = now + ALONE_AFTER_SUSPENSION_MS;
        }
        Some(late_ms)
    }

    /// Makes the node ready once every peer that it hears sees it in sync, or once it may serve alone; not alone while it
    /// `is_waiting_for_peer`.
    pub(super) fn update(
        &mut self,
        now: Millis,
        is_waiting_for_peer: bool,
        replica: &Replica,
    ) -> Option<CaughtUp> {
        let may_serve_alone = !self.is_refilling && !is_waiting_for_peer && now >= self.alone_at;
        if self.is_ready || !replica.peers_see_us_in_sync(now).unwrap_or(may_serve_alone) {
            return None;
        }
        self.is_ready = true;
        let refilled = std::mem::take(&mut self.is_refilling);
        Some(CaughtUp { refilled, peers_in_sync: replica.in_sync_count(now) })
    }
}
