//! Claims on names: who may be told that a name is his. Of two nodes that commit a claim at the same time each must see
//! the other's before it decides, so a peer's confirmation is not enough: what the peer had written by then must be
//! here, too. A peer that commits after it has seen ours sees that the name is taken.

use std::collections::BTreeMap;

use super::{Claim, ClaimOutcome, LinkId, Millis, Output, Replica, Token};
use crate::VersionVector;

/// Claims that wait, at most: all are looked at whenever something happens. Those beyond it are not confirmed.
const CLAIMS_MAX: usize = 1_024;

#[derive(Debug)]
struct Waiting {
    claim: Claim,
    deadline: Millis,
    /// What a peer had written itself when it first said that it holds the claim.
    named: BTreeMap<LinkId, VersionVector>,
}

#[derive(Debug, Default)]
pub(super) struct Claims(BTreeMap<Token, Waiting>);

impl Claims {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn next_deadline(&self) -> Option<Millis> {
        self.0.values().map(|waiting| waiting.deadline).min()
    }
}

impl Replica {
    pub(super) fn claim(&mut self, now: Millis, claim: Claim, out: &mut Vec<Output>) {
        if self.claims.len() >= CLAIMS_MAX {
            return out.push(Output::Claimed(claim.token, ClaimOutcome::NotConfirmed));
        }
        let waiting = Waiting { claim, deadline: now + claim.wait_ms, named: BTreeMap::new() };
        self.claims.0.insert(claim.token, waiting);
    }

    /// Answers the claims that are decided; to be called after whatever happens, so that no confirmation is missed.
    pub(super) fn settle_claims(&mut self, now: Millis, out: &mut Vec<Output>) {
        let mut claims = std::mem::take(&mut self.claims);
        claims.0.retain(|&token, waiting| {
            let outcome = self.outcome(now, waiting);
            out.extend(outcome.map(|outcome| Output::Claimed(token, outcome)));
            outcome.is_none()
        });
        self.claims = claims;
    }

    fn outcome(&self, now: Millis, waiting: &mut Waiting) -> Option<ClaimOutcome> {
        let Waiting { claim, deadline, named } = waiting;
        if self.own_state.may_have_been_passed_over(claim.since) {
            return Some(ClaimOutcome::Stalled);
        }
        let mut is_held = true;
        for (&id, link) in &self.links {
            if link.confirmed.contains(claim.origin, claim.seq) {
                // Not what it has said since: a peer that goes on writing would never be caught up with.
                named.entry(id).or_insert_with(|| link.own_heads());
            }
            is_held &= !link.is_in_step(now) || named.get(&id).is_some_and(|heads| self.held.covers(heads));
        }
        let expired = (*deadline <= now).then_some(ClaimOutcome::NotConfirmed);
        if is_held { Some(ClaimOutcome::Held) } else { expired }
    }
}
