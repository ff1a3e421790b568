//! Claims on names: who may be told that a name is theirs. A claim waits for every node where each calls the other in
//! sync, directly or through a peer that is in sync with both. A node confirms a claim by its whole vector, and the
//! confirmation counts only once all of that is here: so each of two claimers sees the other's claim before it decides,
//! whoever of them waited for whom. Who commits a claim after it has seen another sees that the name is taken.
//!
//! The event of a claim names those it waits for. That makes the rule of [`crate::merge::user::claim_wins`] sound: of
//! two claims at most one is given the name, unless neither waited to its end for the other's maker. Links, silence and
//! delays decide only who is waited for, never what a confirmation means.

use std::collections::{BTreeMap, BTreeSet};

use super::{Claim, ClaimOutcome, LinkId, Millis, Output, Replica, SILENCE_MS_MAX, Token, send};
use crate::{
    NodeId, OriginId, VersionVector,
    frame::peer::{ClaimAnswer, ReplicaFrame},
};

/// Claims that wait, at most: all are looked at whenever something happens. Those beyond it are not confirmed.
const CLAIMS_MAX: usize = 1_024;
/// Claims of others, per link, whose confirmation is owed, at most; the claimer asks again.
const ASKED_MAX: usize = 1_024;
/// Peers through which a node without a link is asked at once.
const RELAYS_MAX: usize = 2;

#[derive(Debug)]
struct Waiting {
    claim: Claim,
    deadline: Millis,
    /// What each node held when it first said that it holds the claim.
    confirmed: BTreeMap<NodeId, VersionVector>,
    /// Nodes that do not count this one: for them it is another side of a split.
    not_counting: BTreeSet<NodeId>,
}

#[derive(Debug, Default)]
pub(super) struct Claims {
    waiting: BTreeMap<Token, Waiting>,
    /// When the next node that was heard will have been silent for too long.
    next_silence: Option<Millis>,
}

impl Claims {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn next_tick(&self) -> Option<Millis> {
        let deadline = self.waiting.values().map(|waiting| waiting.deadline).min();
        deadline.into_iter().chain(self.next_silence).min()
    }
}

impl Replica {
    /// The nodes for which a claim has to wait: with each, this node is in sync both ways, or has a peer that is in sync
    /// both ways with both.
    pub fn claim_peers(&self, now: Millis) -> Vec<NodeId> {
        let links = self.links.values().filter(|link| link.is_in_sync_both_ways(now));
        let reached = |link: &super::Link| -> Vec<NodeId> {
            let nodes = link.peers.keys().copied().filter(|&node| link.reaches(now, node));
            nodes.chain([link.peer]).collect()
        };
        links.flat_map(reached).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Whether a claim would have to wait for a node.
    fn counts(&self, now: Millis, node: NodeId) -> bool {
        let counts = |link: &super::Link| {
            link.peer == node && link.is_in_sync_both_ways(now) || link.reaches(now, node)
        };
        self.links.values().any(counts)
    }

    pub(super) fn claim(&mut self, now: Millis, claim: Claim, out: &mut Vec<Output>) {
        let token = claim.token;
        if self.claims.len() >= CLAIMS_MAX {
            return out.push(Output::Claimed(token, ClaimOutcome::NotConfirmed));
        }
        let deadline = now + claim.wait_ms;
        let (confirmed, not_counting) = (BTreeMap::new(), BTreeSet::new());
        let waiting = Waiting { claim, deadline, confirmed, not_counting };
        self.ask(now, &waiting, out);
        self.claims.waiting.insert(token, waiting);
    }

    /// Asks again whoever has not confirmed: a question or its answer may have found a full queue.
    pub(super) fn ask_again(&self, now: Millis, out: &mut Vec<Output>) {
        for waiting in self.claims.waiting.values() {
            self.ask(now, waiting, out);
        }
    }

    fn ask(&self, now: Millis, waiting: &Waiting, out: &mut Vec<Output>) {
        let (origin, seq) = (waiting.claim.origin, waiting.claim.seq);
        let asked = waiting.claim.waited_for.iter().filter(|node| !waiting.confirmed.contains_key(node));
        for &node in asked {
            let direct = self.links.iter().find(|(_, link)| link.peer == node);
            if let Some((&id, _)) = direct {
                out.push(send(id, ReplicaFrame::AskClaim { origin, seq, pass_on: None }));
            }
            if direct.is_none_or(|(_, link)| !link.is_in_sync_both_ways(now)) {
                let relays = self.links.iter().filter(|(_, link)| link.reaches(now, node));
                let question = ReplicaFrame::AskClaim { origin, seq, pass_on: Some(node) };
                out.extend(relays.take(RELAYS_MAX).map(|(&id, _)| send(id, question.clone())));
            }
        }
    }

    /// A node asks for a confirmation of its claim, or its question is passed on to another.
    pub(super) fn claim_asked(
        &mut self,
        now: Millis,
        link_id: LinkId,
        (origin, seq): (OriginId, u64),
        pass_on: Option<NodeId>,
        out: &mut Vec<Output>,
    ) {
        if let Some(node) = pass_on {
            let linked = self.links.iter().find(|(_, to)| to.peer == node && to.is_in_sync_both_ways(now));
            let question = ReplicaFrame::AskClaim { origin, seq, pass_on: None };
            return out.extend(linked.map(|(&to, _)| send(to, question)));
        }
        let counts_claimer = self.counts(now, origin.node);
        let Some(link) = self.links.get_mut(&link_id) else { return };
        if link.asked.len() < ASKED_MAX {
            link.asked.insert((origin, seq));
        }
        if !counts_claimer && !self.held.contains(origin, seq) {
            let answer = ClaimAnswer { origin, seq, passed_from: None, held: None, counts_claimer };
            out.push(send(link_id, ReplicaFrame::ClaimAnswer(answer)));
        }
    }

    /// Confirms the claims of others that have become durable here.
    fn confirm_claims(&mut self, now: Millis, out: &mut Vec<Output>) {
        let mut held = Vec::new();
        for (&id, link) in &mut self.links {
            let durable = link.asked.extract_if(.., |&(origin, seq)| self.held.contains(origin, seq));
            held.extend(durable.map(|claim| (id, claim)));
        }
        for (id, (origin, seq)) in held {
            let (vector, counts_claimer) = (self.held.clone(), self.counts(now, origin.node));
            let answer = ClaimAnswer { origin, seq, passed_from: None, held: Some(vector), counts_claimer };
            out.push(send(id, ReplicaFrame::ClaimAnswer(answer)));
        }
    }

    /// A node answers for a claim of this one, or of a peer to which its answer is passed on.
    pub(super) fn claim_answered(
        &mut self,
        now: Millis,
        link_id: LinkId,
        answer: ClaimAnswer,
        out: &mut Vec<Output>,
    ) {
        let Some(peer) = self.links.get(&link_id).map(|link| link.peer) else { return };
        let ClaimAnswer { origin, seq, passed_from, .. } = answer;
        if Some(origin) != self.own {
            // Only an answer that comes from its giver: no endless echo.
            let claimer = self.links.iter().find(|(_, to)| to.peer == origin.node && passed_from.is_none());
            let passed_on = ClaimAnswer { passed_from: Some(peer), ..answer };
            return out.extend(claimer.map(|(&to, _)| send(to, ReplicaFrame::ClaimAnswer(passed_on))));
        }
        let from = passed_from.unwrap_or(peer);
        let asked = self.claims.waiting.values_mut().filter(|waiting| waiting.claim.seq == seq);
        for waiting in asked.filter(|waiting| waiting.claim.origin == origin) {
            match &answer.held {
                // Not what it held later: a node that goes on writing would never be caught up with.
                Some(held) => drop(waiting.confirmed.entry(from).or_insert_with(|| held.clone())),
                None if !answer.counts_claimer => drop(waiting.not_counting.insert(from)),
                None => {}
            }
        }
        if let (None, Some(held)) = (passed_from, answer.held) {
            let held: Vec<_> = held.iter().collect();
            self.peer_has(now, link_id, &held, out);
        }
    }

    /// Tells every peer through whom it may ask whom.
    pub(super) fn tell_peers(&self, now: Millis, out: &mut Vec<Output>) {
        let in_sync = self.links.values().filter(|link| link.is_in_sync_both_ways(now));
        let age = |heard| u32::try_from(now.saturating_sub(heard)).unwrap_or(u32::MAX);
        let peers: Vec<_> = in_sync.map(|link| (link.peer, age(link.last_heard))).collect();
        for (&id, link) in &self.links {
            let others = peers.iter().copied().filter(|&(node, _)| node != link.peer).collect();
            out.push(send(id, ReplicaFrame::Peers(others)));
        }
    }

    /// Answers the claims that are decided; to be called after whatever happens, so that no confirmation is missed.
    pub(super) fn settle_claims(&mut self, now: Millis, out: &mut Vec<Output>) {
        self.confirm_claims(now, out);
        let mut claims = std::mem::take(&mut self.claims);
        claims.waiting.retain(|&token, waiting| {
            let outcome = self.outcome(now, waiting);
            let is_open = outcome.is_none();
            out.extend(outcome.map(|outcome| Output::Claimed(token, outcome)));
            is_open
        });
        claims.next_silence = if claims.waiting.is_empty() { None } else { self.next_silence(now) };
        self.claims = claims;
    }

    fn next_silence(&self, now: Millis) -> Option<Millis> {
        let heard = self.links.values().flat_map(|link| link.peers.values().chain([&link.last_heard]));
        heard.map(|heard| heard + SILENCE_MS_MAX + 1).filter(|&silent| silent > now).min()
    }

    fn outcome(&self, now: Millis, waiting: &Waiting) -> Option<ClaimOutcome> {
        let Waiting { claim, deadline, confirmed, not_counting } = waiting;
        if self.own_state.may_have_been_passed_over(claim.since) {
            return Some(ClaimOutcome::Stalled);
        }
        let is_heard = |node: &NodeId| confirmed.get(node).is_some_and(|held| self.held.covers(held));
        let (heard, missing): (Vec<_>, Vec<_>) = claim.waited_for.iter().copied().partition(is_heard);
        let is_over = |node| not_counting.contains(node) || !self.counts(now, *node);
        let expired = (*deadline <= now).then_some(ClaimOutcome::NotConfirmed);
        if missing.iter().all(is_over) { Some(ClaimOutcome::Held(heard)) } else { expired }
    }
}
