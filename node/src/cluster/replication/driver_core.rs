//! The driver's decisions, without clock and IO: `(now, input) → outputs` over a [`Replica`]. The driver runs it, and
//! so does the simulator.

use starling_protocol::{
    NodeId, ScopeDigest, VersionVector,
    replica::{FoldPlan, Input, Millis, Output, Replica},
};

use super::{
    confirmations::PendingReplies,
    readiness::{CaughtUp, Readiness, StartState},
};

/// The state and decisions of a driver. `R` says where to send an answer.
#[derive(Debug)]
pub struct DriverCore<R> {
    replica: Replica,
    readiness: Readiness,
    pub(super) replies: PendingReplies<R>,
}

impl<R> DriverCore<R> {
    /// Starts with the events that the store holds and the digests of its views.
    pub fn new(now: Millis, held: VersionVector, digests: Vec<(u8, ScopeDigest)>, start: StartState) -> Self {
        let mut replica = Replica::new(held, now);
        for known in [Input::Digests(digests), Input::Refilling(start.is_refilling)] {
            // Without links there are no outputs.
            replica.handle(now, known, &mut Vec::new());
        }
        Self { replica, readiness: Readiness::new(now, start), replies: PendingReplies::default() }
    }

    /// The state of replication.
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// Whether the node has caught up since its start, or since it was suspended.
    pub fn is_ready(&self) -> bool {
        self.readiness.is_ready()
    }

    /// Handles one input. `now` never goes back.
    pub fn handle(&mut self, now: Millis, input: Input, out: &mut Vec<Output>) {
        self.notice_suspension(now, out);
        self.replica.handle(now, input, out);
        self.readiness.set_due(self.replica.next_tick().max(now));
    }

    /// Sets the node's own state; call it before the first frame of a peer. `wall_ms` is the node's clock in Unix
    /// milliseconds; peers don't wait for a stalled node.
    pub fn set_local_status(&mut self, now: Millis, wall_ms: u64, stalled: bool, out: &mut Vec<Output>) {
        self.handle(now, Input::LocalStatus { wall_ms, stalled }, out);
    }

    /// Sets the node's own state as [`DriverCore::set_local_status`] does, then handles the time that has passed.
    pub fn tick(&mut self, now: Millis, wall_ms: u64, stalled: bool, out: &mut Vec<Output>) {
        self.set_local_status(now, wall_ms, stalled, out);
        self.handle(now, Input::Tick, out);
    }

    /// Handles that an output could not be carried out.
    pub fn refuse(&mut self, now: Millis, refused: Input) {
        let mut out = Vec::new();
        self.replica.handle(now, refused, &mut out);
        self.readiness.set_due(self.replica.next_tick().max(now));
        debug_assert!(out.is_empty(), "a refusal only makes the replica hold back; it never asks for more");
    }

    /// Returns the time at which [`DriverCore::tick`] is due.
    pub fn next_tick(&self, now: Millis) -> Millis {
        self.replica.next_tick().max(now)
    }

    /// Sets how many origins of ended processes may be beyond the newest fold; for simulations.
    pub fn set_unfolded_max(&mut self, unfolded_max: usize) {
        self.replica.set_unfolded_max(unfolded_max);
    }

    /// Sets how many entries of a vector are in one frame, at most; for simulations.
    pub fn set_vector_entries_max(&mut self, entries_max: usize) {
        self.replica.set_vector_entries_max(entries_max);
    }

    /// Decides whether this node, `me`, makes a fold now; call it after each input.
    pub fn plan_fold(&mut self, now: Millis, me: NodeId) -> Option<FoldPlan> {
        if self.is_ready() { self.replica.plan_fold(now, me) } else { None }
    }

    /// Decides whether the node is ready; call it after each input. Returns `Some` once it becomes ready. A node that
    /// `is_waiting_for_peer` must hear one first.
    pub fn update(
        &mut self,
        now: Millis,
        is_waiting_for_peer: bool,
        out: &mut Vec<Output>,
    ) -> Option<CaughtUp> {
        let caught_up = self.readiness.update(now, is_waiting_for_peer, &self.replica)?;
        if caught_up.refilled {
            self.handle(now, Input::Refilling(false), out);
        }
        Some(caught_up)
    }

    pub(super) fn notice_suspension(&mut self, now: Millis, out: &mut Vec<Output>) {
        if let Some(ms) = self.readiness.notice_suspension(now) {
            tracing::warn!(ms, "the process did not run for a while: exchanging vectors first");
            self.replica.handle(now, Input::Resumed, out);
        }
    }
}
