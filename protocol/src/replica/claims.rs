//! Claims to usernames: waits until the peers have confirmed a claim; the caller then decides whether it is granted. A
//! claim waits for every node that is in sync both ways with the claimer, directly or through a common peer. A peer
//! confirms a claim with its whole vector. The claimer counts the confirmation only once it holds all of that vector
//! itself. So a claimer sees the claims of all nodes that it waits for before it decides. A node that has seen a claim
//! before its own commit refuses the name.
//!
//! The event of a claim lists the nodes that it waits for. That makes [`crate::merge::user::may_grant_claim`] correct:
//! at most one of two claims is granted, unless neither waited to the end for the other's node. The state of the links
//! only decides which nodes a claim waits for. A confirmation means the same whenever and however it arrives.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Claim, ClaimOutcome, LinkId, Millis, Output, Replica, SILENCE_MS_MAX, Token, send};
use crate::{
    Fold, NodeId, OriginId, Seq, VersionVector,
    frame::{
        peer::{ClaimAnswer, ReplicaFrame},
        vector_part::VectorFrame,
    },
};

/// Waiting claims, at most: every input checks all of them. Further claims are not confirmed.
const CLAIMS_MAX: usize = 1_024;
/// Unanswered claims of other nodes per link, at most. The claimers ask again.
const ASKED_MAX: usize = 1_024;
/// Peers asked at once to relay a question to a node that this one has no link to, at most.
const RELAYS_MAX: usize = 2;

#[derive(Debug)]
struct Waiting {
    claim: Claim,
    deadline: Millis,
    /// The vector of each confirming node's first confirmation.
    confirmed: BTreeMap<NodeId, VersionVector>,
    /// Nodes that would not wait for this one: they see it on the other side of a partition.
    excluding_us: BTreeSet<NodeId>,
}

#[derive(Debug, Default)]
pub(super) struct Claims {
    waiting: BTreeMap<Token, Waiting>,
    /// The next time when a node will have been silent for too long.
    next_silence: Option<Millis>,
}

impl Claims {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Writes the vectors of confirmations over another fold.
    pub(super) fn rebase(&mut self, fold: &Arc<Fold>) {
        for held in self.waiting.values_mut().flat_map(|waiting| waiting.confirmed.values_mut()) {
            held.rebase(fold);
        }
    }

    pub(super) fn next_tick(&self) -> Option<Millis> {
        let deadline = self.waiting.values().map(|waiting| waiting.deadline).min();
        deadline.into_iter().chain(self.next_silence).min()
    }
}

impl Replica {
    /// Returns the nodes that a claim has to wait for: those that are in sync both ways with this node, directly or
    /// through a common peer.
    pub fn claim_peers(&self, now: Millis) -> Vec<NodeId> {
        let links = self.links.values().filter(|link| link.is_in_sync_both_ways(now));
        let reached = |link: &super::Link| -> Vec<NodeId> {
            let nodes = link.peers.keys().copied().filter(|&node| link.reaches(now, node));
            nodes.chain([link.peer]).collect()
        };
        links.flat_map(reached).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Whether a claim would have to wait for a node.
    fn must_wait_for(&self, now: Millis, node: NodeId) -> bool {
        let connects = |link: &super::Link| {
            link.peer == node && link.is_in_sync_both_ways(now) || link.reaches(now, node)
        };
        self.links.values().any(connects)
    }

    pub(super) fn add_claim(&mut self, now: Millis, claim: Claim, out: &mut Vec<Output>) {
        let token = claim.token;
        if self.claims.len() >= CLAIMS_MAX {
            return out.push(Output::ClaimWaitEnded(token, ClaimOutcome::NotConfirmed));
        }
        let deadline = now + claim.wait_ms;
        let (confirmed, excluding_us) = (BTreeMap::new(), BTreeSet::new());
        let waiting = Waiting { claim, deadline, confirmed, excluding_us };
        self.ask(now, &waiting, out);
        self.claims.waiting.insert(token, waiting);
    }

    /// Asks the nodes without a confirmation again: a full queue may have dropped the question or the answer.
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
                out.push(send(id, ReplicaFrame::AskClaim { origin, seq, relay_to: None }));
            }
            if direct.is_none_or(|(_, link)| !link.is_in_sync_both_ways(now)) {
                let relays = self.links.iter().filter(|(_, link)| link.reaches(now, node));
                let question = ReplicaFrame::AskClaim { origin, seq, relay_to: Some(node) };
                out.extend(relays.take(RELAYS_MAX).map(|(&id, _)| send(id, question.clone())));
            }
        }
    }

    /// Handles the question of a node that claims a username, or relays it to another peer.
    pub(super) fn receive_ask_claim(
        &mut self,
        now: Millis,
        link_id: LinkId,
        (origin, seq): (OriginId, Seq),
        relay_to: Option<NodeId>,
        out: &mut Vec<Output>,
    ) {
        if let Some(node) = relay_to {
            let linked = self.links.iter().find(|(_, to)| to.peer == node && to.is_in_sync_both_ways(now));
            let question = ReplicaFrame::AskClaim { origin, seq, relay_to: None };
            return out.extend(linked.map(|(&to, _)| send(to, question)));
        }
        let would_wait_for_claimer = self.must_wait_for(now, origin.node);
        let Some(link) = self.links.get_mut(&link_id) else { return };
        if link.asked.len() < ASKED_MAX {
            link.asked.insert((origin, seq));
        }
        if !would_wait_for_claimer && !self.held.contains(origin, seq) {
            let answer = ClaimAnswer { origin, seq, answered_by: None, held: None, would_wait_for_claimer };
            out.push(send(link_id, ReplicaFrame::ClaimAnswer(answer)));
        }
    }

    /// Confirms the claims of other nodes that have become durable here.
    fn confirm_claims(&mut self, now: Millis, out: &mut Vec<Output>) {
        let mut confirmed = Vec::new();
        for (&id, link) in &mut self.links {
            let durable = link.asked.extract_if(.., |&(origin, seq)| self.held.contains(origin, seq));
            confirmed.extend(durable.map(|claim| (id, claim)));
        }
        for (id, (origin, seq)) in confirmed {
            let would_wait_for_claimer = self.must_wait_for(now, origin.node);
            let answer = ClaimAnswer { origin, seq, answered_by: None, held: None, would_wait_for_claimer };
            self.send_held(id, VectorFrame::ClaimAnswer(answer), out);
        }
    }

    /// Handles an answer about a claim of this node, or relays it to the claiming peer. `held` is its vector.
    pub(super) fn receive_claim_answer(
        &mut self,
        now: Millis,
        link_id: LinkId,
        answer: &ClaimAnswer,
        held: Option<VersionVector>,
        out: &mut Vec<Output>,
    ) {
        let Some(peer) = self.links.get(&link_id).map(|link| link.peer) else { return };
        let ClaimAnswer { origin, seq, answered_by, .. } = *answer;
        if Some(origin) != self.own_origin {
            // Only answers directly from the answering node are relayed, so that none circulates forever.
            let mut links = self.links.iter_mut();
            let claimer = links.find(|(_, to)| to.peer == origin.node && answered_by.is_none());
            let Some((&id, to)) = claimer else { return };
            let relayed = ClaimAnswer { answered_by: Some(peer), held: None, ..*answer };
            match held {
                Some(held) => {
                    let relayed = VectorFrame::ClaimAnswer(relayed);
                    to.vectors.send(id, &held, relayed, self.vector_entries_max, out);
                }
                None => out.push(send(id, ReplicaFrame::ClaimAnswer(relayed))),
            }
            return;
        }
        let from = answered_by.unwrap_or(peer);
        let asked = self.claims.waiting.values_mut().filter(|waiting| waiting.claim.seq == seq);
        for waiting in asked.filter(|waiting| waiting.claim.origin == origin) {
            match &held {
                // Only its first vector counts: a node that keeps writing could not be caught up with.
                Some(held) => drop(waiting.confirmed.entry(from).or_insert_with(|| held.clone())),
                None if !answer.would_wait_for_claimer => drop(waiting.excluding_us.insert(from)),
                None => {}
            }
        }
        if let (None, Some(held)) = (answered_by, held) {
            self.note_vector(now, link_id, &held, out);
        }
    }

    /// Sends every peer the list of peers that this node can relay questions to.
    pub(super) fn send_peers(&self, now: Millis, out: &mut Vec<Output>) {
        let in_sync = self.links.values().filter(|link| link.is_in_sync_both_ways(now));
        let age = |heard| u32::try_from(now.ms_since(heard)).unwrap_or(u32::MAX);
        let peers: Vec<_> = in_sync.map(|link| (link.peer, age(link.last_heard))).collect();
        for (&id, link) in &self.links {
            let others = peers.iter().copied().filter(|&(node, _)| node != link.peer).collect();
            out.push(send(id, ReplicaFrame::Peers(others)));
        }
    }

    /// Answers the claims whose wait has ended. Called after every input, so that no confirmation is missed.
    pub(super) fn settle_claims(&mut self, now: Millis, out: &mut Vec<Output>) {
        self.confirm_claims(now, out);
        let mut claims = std::mem::take(&mut self.claims);
        claims.waiting.retain(|&token, waiting| {
            let outcome = self.outcome(now, waiting);
            let is_open = outcome.is_none();
            out.extend(outcome.map(|outcome| Output::ClaimWaitEnded(token, outcome)));
            is_open
        });
        claims.next_silence = if claims.waiting.is_empty() { None } else { self.next_silence(now) };
        self.claims = claims;
    }

    fn next_silence(&self, now: Millis) -> Option<Millis> {
        let heard = self.links.values().flat_map(|link| link.peers.values().chain([&link.last_heard]));
        heard.map(|&heard| heard + SILENCE_MS_MAX + 1).filter(|&silent| silent > now).min()
    }

    fn outcome(&self, now: Millis, waiting: &Waiting) -> Option<ClaimOutcome> {
        let Waiting { claim, deadline, confirmed, excluding_us } = waiting;
        if self.local_status.may_be_excluded_since(claim.since) {
            return Some(ClaimOutcome::Stalled);
        }
        let has_confirmed = |node: &NodeId| confirmed.get(node).is_some_and(|held| self.held.covers(held));
        let (confirming, missing): (Vec<_>, Vec<_>) =
            claim.waited_for.iter().copied().partition(has_confirmed);
        let need_not_wait_for = |node| excluding_us.contains(node) || !self.must_wait_for(now, *node);
        let expired = (*deadline <= now).then_some(ClaimOutcome::NotConfirmed);
        if missing.iter().all(need_not_wait_for) {
            Some(ClaimOutcome::Confirmed(confirming))
        } else {
            expired
        }
    }
}
