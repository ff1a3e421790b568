//! The driver's decisions, without clock and IO: `(now, input) → outputs` over a [`Replica`]. The driver runs it, and
//! so does the simulator.

use starling_protocol::{
    ScopeDigest, VersionVector,
    replica::{Input, Millis, Output, Replica},
};

use super::{
    confirmations::PendingReplies,
    readiness::{CaughtUp, Readiness, StartState},
};

/// The decisions of a driver. `R` is the receiver of an answer.
#[derive(Debug)]
pub struct DriverCore<R> {
    replica: Replica,
    readiness: Readiness,
    pub(super) replies: PendingReplies<R>,
}

impl<R> DriverCore<R> {
    /// Starts with what the store holds and the digests of what it shows.
    pub fn new(now: Millis, held: VersionVector, digests: Vec<(u8, ScopeDigest)>, start: StartState) -> Self {
        let mut replica = Replica::new(held, now);
        for known in [Input::Digests(digests), Input::Refilling(start.is_refilling)] {
            // Without links there is nothing to do.
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

    /// Sets whether the node must hear a peer before it is ready.
    pub fn set_expects_peer(&mut self, expects_peer: bool) {
        self.readiness.set_expects_peer(expects_peer);
    }

    /// Handles one input. `now` never goes back.
    pub fn handle(&mut self, now: Millis, input: Input, out: &mut Vec<Output>) {
        self.notice_suspension(now, out);
        self.replica.handle(now, input, out);
        self.readiness.set_due(self.replica.next_tick().max(now));
    }

    /// Takes the node's own state, before any peer is heard: `wall_ms` is its clock in Unix milliseconds, and a stalled
    /// node is not waited for.
    pub fn set_local_status(&mut self, now: Millis, wall_ms: u64, stalled: bool, out: &mut Vec<Output>) {
        self.handle(now, Input::LocalStatus { wall_ms, stalled }, out);
    }

    /// Handles that time has passed.
    pub fn tick(&mut self, now: Millis, wall_ms: u64, stalled: bool, out: &mut Vec<Output>) {
        self.set_local_status(now, wall_ms, stalled, out);
        self.handle(now, Input::Tick, out);
    }

    /// Takes back an output that could not be carried out.
    pub fn refuse(&mut self, now: Millis, refused: Input) {
        let mut out = Vec::new();
        self.replica.handle(now, refused, &mut out);
        self.readiness.set_due(self.replica.next_tick().max(now));
        debug_assert!(out.is_empty(), "a refusal only makes the replica hold back; it never asks for more");
    }

    /// When [`DriverCore::tick`] is due at the latest.
    pub fn next_tick(&self, now: Millis) -> Millis {
        self.replica.next_tick().max(now)
    }

    /// Decides whether the node is ready; to be called after each input. Returns that it has become ready.
    pub fn update(&mut self, now: Millis, out: &mut Vec<Output>) -> Option<CaughtUp> {
        let caught_up = self.readiness.update(now, &self.replica)?;
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
