//! The waits for confirmations by peers: for copies of an event, behind a barrier, for a claim on a name. The replica
//! knows each wait by a token; this module keeps where to send its answer.

use std::collections::BTreeMap;

use starling_protocol::{
    NodeId, OriginId, Seq,
    replica::{Claim, Input, Millis, Output, Token, Waiter},
};

use super::driver_core::DriverCore;
use crate::writer::CopiesWait;

/// The longest wait of a claim on a name for the nodes in sync both ways: a silent one is out of sync after 3 s. With the
/// password hash and the commit a claim takes 4 s at most.
const CLAIM_WAIT_MS: u64 = 3_500;

/// A committed claim on a name.
#[derive(Clone, Debug)]
pub struct CommittedClaim {
    /// The event's origin: this process's.
    pub origin: OriginId,
    /// The event's sequence number.
    pub seq: Seq,
    /// The time before the commit at which the claim began, on the driver's clock.
    pub since: Millis,
    /// The nodes to wait for; the event names the same.
    pub waited_for: Vec<NodeId>,
}

/// Where to send answers, by the replica's tokens.
#[derive(Debug)]
pub(super) struct PendingReplies<R> {
    responders: BTreeMap<Token, R>,
    last_token: u64,
}

impl<R> Default for PendingReplies<R> {
    fn default() -> Self {
        Self { responders: BTreeMap::new(), last_token: 0 }
    }
}

impl<R> PendingReplies<R> {
    fn add(&mut self, responder: R) -> Token {
        self.last_token += 1;
        let token = Token(self.last_token);
        self.responders.insert(token, responder);
        token
    }
}

impl<R> DriverCore<R> {
    /// Waits for an event to be durable elsewhere.
    pub fn wait(&mut self, now: Millis, wait_for: CopiesWait, responder: R, out: &mut Vec<Output>) {
        let CopiesWait { origin, seq, until, wait_ms, upgrade_ms } = wait_for;
        let token = self.replies.add(responder);
        self.handle(now, Input::Await(Waiter { token, origin, seq, until, wait_ms, upgrade_ms }), out);
    }

    /// Waits until this node holds all events that its peers in sync have now.
    pub fn barrier(&mut self, now: Millis, responder: R, out: &mut Vec<Output>) {
        let token = self.replies.add(responder);
        self.handle(now, Input::Barrier(token), out);
    }

    /// Returns the nodes that a claim has to wait for; `None` while this node is not ready, because it may lack events of
    /// its peers.
    pub fn claim_peers(&mut self, now: Millis, out: &mut Vec<Output>) -> Option<Vec<NodeId>> {
        self.notice_suspension(now, out);
        self.is_ready().then(|| self.replica().claim_peers(now))
    }

    /// Waits for the nodes that a committed claim names.
    pub fn claim(&mut self, now: Millis, claim: CommittedClaim, responder: R, out: &mut Vec<Output>) {
        let CommittedClaim { origin, seq, since, waited_for } = claim;
        let token = self.replies.add(responder);
        let wait_ms = CLAIM_WAIT_MS;
        self.handle(now, Input::Claim(Claim { token, origin, seq, since, wait_ms, waited_for }), out);
    }

    /// Returns where to send the answer to a token, if it still waits; more answers may follow.
    pub fn responder_mut(&mut self, token: Token) -> Option<&mut R> {
        self.replies.responders.get_mut(&token)
    }

    /// Removes and returns where to send the answer to a token, if it still waits: no more answers follow.
    pub fn take_responder(&mut self, token: Token) -> Option<R> {
        self.replies.responders.remove(&token)
    }

    /// The number of answers that are pending.
    pub fn pending_replies(&self) -> usize {
        self.replies.responders.len()
    }
}
