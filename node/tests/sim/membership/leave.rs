//! A node leaves the cluster, in the steps of `services::membership`: it prepares while it serves, hands its log over, writes
//! that it is no member any more, and goes when enough nodes hold that, too.

use std::collections::BTreeSet;

use starling_node::services::OtherMembers;
use starling_protocol::{
    VersionVector,
    frame::wire::WireVersion,
    replica::{LinkId, Millis},
};

use super::{Notice, op};
use crate::{
    invariants,
    mutants::Mutant,
    node::Run,
    world::World,
    writer::{DURABILITY, Request},
};

/// The longest wait for a peer to answer a ping.
const PING_MS_MAX: u64 = 1_000;

/// How far a leave is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The node still serves, and waits until enough nodes that stay hold its log.
    Prepares,
    /// It is drained and hands over the rest.
    HandsOver,
    /// It has asked its writer to end its membership.
    Writes,
    /// It is no member any more, and waits until enough nodes hold that, too.
    Forgotten,
}

/// A leave under way. It ends with the process.
#[derive(Debug)]
pub(super) struct Leave {
    pub(super) stage: Stage,
    /// The events that must be handed over.
    vector: VersionVector,
    /// The time at which peers were told last.
    told_at: Option<u64>,
    /// The links on which no answer has arrived.
    pub(super) unanswered: BTreeSet<LinkId>,
}

impl World {
    /// An operator lets a node leave; false if it refuses, or does not know how.
    pub fn begin_leave(&mut self, node: usize) -> bool {
        let knows = self.wire_version(node) >= WireVersion::V2 && self.nodes[node].serves(self.now);
        let Some(others) = self.others(node, &VersionVector::default()).filter(|_| knows) else {
            return false;
        };
        let Some(run) = self.nodes[node].run.as_mut() else { return false };
        let is_free = run.membership.leave.is_none() && !run.membership.forgotten;
        if !is_free || others.check(DURABILITY.copies).is_err() {
            return false;
        }
        let vector = VersionVector::clone(run.committer.vector());
        run.membership.leave =
            Some(Leave { stage: Stage::Prepares, vector, told_at: None, unanswered: BTreeSet::new() });
        true
    }

    /// An operator calls a leave off, which is possible while the node still serves.
    pub fn cancel_leave(&mut self, node: usize) {
        let Some(membership) = self.membership(node) else { return };
        if membership.leave.as_ref().is_some_and(|leave| leave.stage == Stage::Prepares) {
            membership.leave = None;
            self.tell_leaving(node, false, false);
        }
    }

    /// Whether a node says that it leaves.
    pub fn is_leaving(&self, node: usize) -> bool {
        self.nodes[node].run.as_ref().is_some_and(|run| run.membership.leave.is_some())
    }

    /// The other members, as a node sees them.
    fn others(&self, node: usize, vector: &VersionVector) -> Option<OtherMembers> {
        let run = self.nodes[node].run.as_ref()?;
        let counts_leavers = self.mutant == Some(Mutant::LeaversCountEachOther);
        let holders = run.replica().holders(Millis(self.now), vector);
        Some(OtherMembers {
            members: run.membership.listed(),
            leaving: if counts_leavers { BTreeSet::new() } else { run.membership.leaving_peers.clone() },
            holders: holders.into_iter().collect(),
        })
    }

    /// Tells all peers that know of leaving.
    pub(super) fn tell_leaving(&mut self, node: usize, leaving: bool, answer: bool) -> BTreeSet<LinkId> {
        let linked = self.network.links_of(node);
        let knows = |world: &Self, peer: usize| world.wire_version(peer) >= WireVersion::V2;
        let linked: Vec<_> = linked.into_iter().filter(|&(peer, _)| knows(self, peer)).collect();
        for &(peer, link) in &linked {
            self.send_notice(node, peer, link, Notice::Leaving { leaving, answer });
        }
        linked.into_iter().map(|(_, link)| link).collect()
    }

    fn leave_of(&mut self, node: usize) -> &mut Leave {
        let membership = self.membership(node).expect("it runs");
        membership.leave.as_mut().expect("it leaves")
    }

    pub(super) fn prepare_leave(&mut self, node: usize) {
        let now = self.now;
        let leave = self.leave_of(node);
        if let Some(told_at) = leave.told_at {
            let is_silent = !leave.unanswered.is_empty();
            if is_silent && now < told_at + PING_MS_MAX {
                return;
            }
            leave.told_at = None;
            let vector = leave.vector.clone();
            let Some(others) = self.others(node, &vector) else { return };
            if others.check(DURABILITY.copies).is_err() {
                return self.cancel_leave(node);
            }
            if !is_silent && others.holders() >= DURABILITY.copies {
                return self.enter_stage(node, Stage::HandsOver);
            }
        }
        let unanswered = self.tell_leaving(node, true, true);
        let leave = self.leave_of(node);
        (leave.told_at, leave.unanswered) = (Some(now), unanswered);
    }

    /// Goes to the next stage, which is about all that the node holds now.
    fn enter_stage(&mut self, node: usize, stage: Stage) {
        let run = self.nodes[node].run.as_mut().expect("it runs");
        let vector = VersionVector::clone(run.committer.vector());
        let leave = run.membership.leave.as_mut().expect("it leaves");
        (leave.stage, leave.vector) = (stage, vector);
    }

    pub(super) fn hand_over_log(&mut self, node: usize) {
        // With what was on its way to the store when it began to refuse, and all that users were promised an answer to.
        let is_done =
            |run: &&Run| run.inbox.is_empty() && !self.people.claims_on(self.nodes[node].id, run.started_at);
        let Some(run) = self.nodes[node].run.as_ref().filter(is_done) else { return };
        let vector = VersionVector::clone(run.committer.vector());
        let Some(others) = self.others(node, &vector) else { return };
        let id = self.nodes[node].id;
        if others.holders() >= DURABILITY.copies && self.request(node, Request::Forget(op(id))) {
            if let Err(violation) = invariants::membership::handed_over(self, node, &vector) {
                self.violated(violation);
            }
            self.enter_stage(node, Stage::Writes);
        }
    }

    pub(super) fn see_own_end(&mut self, node: usize) {
        // A peer that was told by an operator to forget this node may say so before this node has written it.
        let id = self.nodes[node].id;
        if self.membership(node).is_some_and(|known| known.members.is_forgotten(id)) {
            self.enter_stage(node, Stage::Forgotten);
        }
    }

    pub(super) fn leave_at_last(&mut self, node: usize) {
        let vector = self.leave_of(node).vector.clone();
        let Some(mut others) = self.others(node, &vector) else { return };
        let Some(membership) = self.membership(node) else { return };
        others.holders.extend(membership.forgotten_by.iter().copied());
        if others.holders() < DURABILITY.copies {
            return;
        }
        self.coverage.left += 1;
        if let Err(violation) = invariants::membership::left(self, node) {
            self.violated(violation);
        }
        let forgiven = self.coverage.forgiven;
        self.go_for_ever(node);
        if self.coverage.forgiven > forgiven {
            self.violated(format!("node {node} took acked messages with it when it left the cluster"));
        }
    }

    /// An operator starts nodes again whose leaves cannot end, as their progress advises: such a node is no member any more,
    /// its peers refuse its links, and so it learns of no newcomer. If of the nodes that it knows too few are left, it waits for
    /// ever.
    pub fn restart_stuck_leavers(&mut self) {
        let live = self.live_ids();
        for node in self.members() {
            let leave = self.nodes[node].run.as_ref().and_then(|run| run.membership.leave.as_ref());
            if leave.is_none_or(|leave| leave.stage != Stage::Forgotten) {
                continue;
            }
            let Some(known) = self.others(node, &VersionVector::default()) else { continue };
            let left = known.members.difference(&known.leaving).filter(|member| live.contains(member));
            if left.count() < DURABILITY.copies {
                self.coverage.restarted_leavers += 1;
                self.end(node);
                self.start(node);
            }
        }
    }
}
