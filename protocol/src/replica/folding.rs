//! Folds in replication: which node makes the next one, and which one the cursors of clients may be written over.

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, sync::Arc};

use super::{Link, Millis, Output, Replica, send};
use crate::{
    Fold, NodeId, OriginId,
    frame::{
        peer::{FOLDS_NAMED_MAX, ReplicaFrame},
        wire::WireVersion,
    },
};

/// Origins of ended processes beyond the newest fold, at most: with more, another fold is made.
pub const UNFOLDED_ORIGINS_MAX: usize = 8;
/// The least time between two folds of one process. Its first is made at once.
const FOLD_EVERY_MS: u64 = 60_000;
/// The newest folds that are remembered: right after a new one, peers know only those before.
const FOLDS_KEPT: usize = FOLDS_NAMED_MAX;

/// A fold that is due, for the writer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoldPlan {
    /// The origins of live processes: their entries would soon change again.
    pub live: BTreeSet<OriginId>,
    /// The fold is made if more origins than this are neither live nor folded.
    pub unfolded_max: usize,
}

#[derive(Debug)]
pub(super) struct Folding {
    /// The newest usable folds, the newest last.
    newest: Vec<Arc<Fold>>,
    unfolded_max: usize,
    next_fold: Millis,
}

impl Folding {
    pub(super) fn new(newest: Option<&Arc<Fold>>) -> Self {
        Self {
            newest: newest.into_iter().cloned().collect(),
            unfolded_max: UNFOLDED_ORIGINS_MAX,
            next_fold: Millis(0),
        }
    }
}

impl Replica {
    /// Sets how many origins of ended processes may be beyond the newest fold; for simulations.
    pub fn set_unfolded_max(&mut self, unfolded_max: usize) {
        self.folding.unfolded_max = unfolded_max;
    }

    /// Returns the newest folds that this node can use, the newest last, at most [`FOLDS_NAMED_MAX`]: its hello names them.
    pub fn newest_folds(&self) -> &[Arc<Fold>] {
        &self.folding.newest
    }

    /// Writes all vectors over a new fold, the newest that this node can use, and names it to the peers.
    pub(super) fn on_folded(&mut self, fold: &Arc<Fold>, out: &mut Vec<Output>) {
        self.held.rebase(fold);
        self.accepted.rebase(fold);
        for link in self.links.values_mut() {
            link.rebase(fold);
        }
        self.claims.rebase(fold);
        self.barrier.rebase(fold);
        let newest = &mut self.folding.newest;
        newest.push(Arc::clone(fold));
        newest.drain(..newest.len().saturating_sub(FOLDS_KEPT));
        for id in self.links.keys().copied().collect::<Vec<_>>() {
            self.name_folds(id, out);
        }
    }

    /// Tells peers the origins of the processes to which this node has links: one of them may make folds without a link to
    /// all live processes.
    pub(super) fn send_live_origins(&self, now: Millis, out: &mut Vec<Output>) {
        for (&id, link) in self.links.iter().filter(|(_, link)| link.version >= WireVersion::V2) {
            let others = self.links.values().filter(|other| other.peer != link.peer && other.is_heard(now));
            let origins: Vec<_> = others.filter_map(|other| other.own_origin).collect();
            if !origins.is_empty() {
                out.push(send(id, ReplicaFrame::LiveOrigins(origins)));
            }
        }
    }

    /// Whether all linked peers know folds, and with them marks over folds.
    pub fn peers_know_folds(&self) -> bool {
        self.links.values().all(|link| link.version >= WireVersion::V2)
    }

    /// Returns the newest fold that cursors may be written over: every peer in sync knows folds and has confirmed the event
    /// that brought it.
    pub fn cursor_fold(&self, now: Millis) -> Option<&Arc<Fold>> {
        let knows = |link: &Link, fold: &Fold| {
            let (origin, seq) = fold.event();
            link.version >= WireVersion::V2 && link.confirmed.contains(origin, seq)
        };
        let known_to_all = |fold: &Arc<Fold>| self.in_sync(now).all(|link| knows(link, fold));
        self.folding.newest.iter().rev().find(|fold| known_to_all(fold))
    }

    /// Decides whether this node, `me`, makes a fold now: the smallest node of those in sync that know folds makes it.
    /// Call it after each input, once the node has caught up.
    pub fn plan_fold(&mut self, now: Millis, me: NodeId) -> Option<FoldPlan> {
        let unfolded_max = self.folding.unfolded_max;
        if self.held.difference().len() <= unfolded_max || now < self.folding.next_fold {
            return None;
        }
        // Once the missing events arrive, their origins would need another fold.
        let lacks_events = self.pulls.missing_origins().next().is_some();
        let makes_it = |link: &Link| link.version >= WireVersion::V2 && link.peer < me;
        if lacks_events || self.in_sync(now).any(makes_it) {
            return None;
        }
        let peers_origins = self.links.values().flat_map(|link| link.live_origins(now));
        let live: BTreeSet<_> = peers_origins.chain(self.own_origin).collect();
        if self.held.difference().filter(|(origin, _)| !live.contains(origin)).count() <= unfolded_max {
            return None;
        }
        self.folding.next_fold = now + FOLD_EVERY_MS;
        Some(FoldPlan { live, unfolded_max })
    }
}
