//! Vectors on links. Towards a peer that has named a fold which this node can use too, a vector is written as its difference
//! from that fold. Towards others it is plain, and in parts if it is long.
//!
//! A node reads the folds that it has named on a link, in its hello or later, until the peer uses a newer one. So a vector
//! over any other fold is a breach of the protocol: there is nothing to wait for, and it is never taken as empty.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Breach, HelloFolds, LinkId, Output, Replica, send};
use crate::{
    Fold, FoldRank, FoldedVector, OriginId, Seq, VersionVector,
    folded_vector::SignedSeq,
    frame::{
        peer::{Confirm, FOLDS_NAMED_MAX, ReplicaFrame},
        vector_part::{VECTOR_PARTS_MAX, VectorFrame, VectorPart},
    },
};

/// Entries of a vector in one frame, at most: half a megabyte, as a chunk of events, so that a commit doesn't wait for long
/// behind it.
pub(super) const ENTRIES_MAX: usize = 12_000;
/// Entries in one frame to a peer that knows no parts, at most: they fit in the longest frame.
const PLAIN_ENTRIES_MAX: usize = 100_000;
/// Folds that each end of a link has named and that are remembered, at most; of the peer's the newest.
const PEER_FOLDS_MAX: usize = 2 * FOLDS_NAMED_MAX;

/// The parts of a frame that have arrived.
#[derive(Debug)]
struct Incomplete {
    number: u64,
    parts: u32,
    fold: Option<FoldRank>,
    next_part: u32,
    entries: BTreeMap<OriginId, SignedSeq>,
}

/// How vectors are written on one link.
#[derive(Debug, Default)]
pub(super) struct LinkVectors {
    /// Whether the peer reads vectors over folds and in parts.
    peer_reads_parts: bool,
    /// The newest folds that the peer has named.
    peers: BTreeSet<FoldRank>,
    /// The fold over which vectors are sent: the newest that the peer has named and that this node can use.
    fold: Option<Arc<Fold>>,
    /// The folds that this node has named and reads, the oldest first.
    named: Vec<Arc<Fold>>,
    /// The fold of the peer's last vector. It uses no older one any more.
    peer_uses: Option<FoldRank>,
    /// Whether the names of folds may have been lost.
    names_are_due: bool,
    /// The number of frames sent in parts.
    sent: u64,
    incomplete: Option<Incomplete>,
}

impl LinkVectors {
    pub(super) fn new(folds: Option<HelloFolds>) -> Self {
        let Some(HelloFolds { own, peers }) = folds else { return Self::default() };
        let mut vectors = Self { peer_reads_parts: true, named: own, ..Self::default() };
        vectors.receive_names(peers);
        vectors
    }

    /// Returns the folds that this node reads.
    #[cfg(test)]
    pub(super) fn names(&self) -> Vec<FoldRank> {
        self.named.iter().map(|fold| fold.rank()).collect()
    }

    /// Returns the frames of a vector over a fold, whether the peer has named it or not.
    #[cfg(test)]
    pub(super) fn written(&mut self, fold: &Arc<Fold>, vector: &VersionVector) -> Vec<ReplicaFrame> {
        self.fold = Some(Arc::clone(fold));
        self.frames(vector, VectorFrame::Vector, ENTRIES_MAX)
    }

    /// Stores the folds that the peer names.
    pub(super) fn receive_names(&mut self, folds: Vec<FoldRank>) {
        self.peers.extend(folds);
        while self.peers.len() > PEER_FOLDS_MAX {
            self.peers.pop_first();
        }
    }

    /// Chooses the fold over which vectors are sent, and returns the folds that this node names now. `newest` are the newest
    /// that it can use, the newest last.
    pub(super) fn update(&mut self, newest: &[Arc<Fold>]) -> Vec<FoldRank> {
        if !self.peer_reads_parts {
            return Vec::new();
        }
        let common = newest.iter().filter(|fold| self.peers.contains(&fold.rank()));
        let newest_common = common.max_by_key(|fold| fold.rank());
        if newest_common.map(|fold| fold.rank()) > self.fold.as_ref().map(|fold| fold.rank()) {
            self.fold = newest_common.cloned();
        }
        let mut added = Vec::new();
        for fold in newest.iter().rev() {
            let rank = fold.rank();
            let is_named = self.named.iter().any(|named| named.rank() == rank);
            let is_outdated = self.peer_uses.is_some_and(|used| rank < used);
            // A fold that the peer has named as well is used at once. One that it lags behind on is not used for long, so only
            // a few of these are named in advance.
            let in_advance = || self.named.iter().filter(|named| !self.peers.contains(&named.rank()));
            let is_newest = newest.last().is_some_and(|newest| newest.rank() == rank);
            let may_name = self.peers.contains(&rank) || is_newest && in_advance().count() < FOLDS_NAMED_MAX;
            if !is_named && !is_outdated && may_name && self.named.len() < PEER_FOLDS_MAX {
                self.named.push(Arc::clone(fold));
                added.push(rank);
            }
        }
        added
    }

    /// Makes the next heartbeat name all folds again, because a frame was lost.
    pub(super) fn name_all_again(&mut self) {
        self.names_are_due = true;
    }

    /// Returns all names of folds, if a frame with names may have been lost.
    pub(super) fn named_again(&mut self) -> Option<ReplicaFrame> {
        let is_due = std::mem::take(&mut self.names_are_due) && !self.named.is_empty();
        is_due.then(|| ReplicaFrame::Folds(self.named.iter().map(|fold| fold.rank()).collect()))
    }

    /// Sends the peer a frame with a vector, unless that is longer than the peer can read.
    pub(super) fn send(
        &mut self,
        link: LinkId,
        vector: &VersionVector,
        frame: VectorFrame,
        entries_max: usize,
        out: &mut Vec<Output>,
    ) {
        let frames = self.frames(vector, frame, entries_max);
        out.extend(frames.into_iter().map(|frame| send(link, frame)));
    }

    /// Returns the frames that carry a frame's vector to the peer. There are none if it is longer than the peer can read.
    pub(super) fn frames(
        &mut self,
        vector: &VersionVector,
        frame: VectorFrame,
        entries_max: usize,
    ) -> Vec<ReplicaFrame> {
        let parts = match &self.fold {
            Some(fold) if vector.base_rank() == Some(fold.rank()) => FoldedVector::new(vector),
            Some(fold) => FoldedVector::new(&vector.written_over(Some(fold))),
            None if !self.peer_reads_parts => return plain_frames(vector, frame),
            None if vector.iter().len() <= entries_max => return vec![frame.with(vector.clone())],
            None => None,
        };
        let (fold, difference) = match parts {
            Some(FoldedVector { fold, difference }) => (Some(fold), difference),
            None => (None, vector.iter().map(|(origin, seq)| (origin, SignedSeq::Above(seq))).collect()),
        };
        self.sent += 1;
        let parts = VectorPart::split(self.sent, fold, difference, entries_max, &frame);
        parts.into_iter().map(ReplicaFrame::VectorPart).collect()
    }

    /// Handles a part of a frame. Returns the frame and its vector once all parts are here.
    pub(super) fn receive(
        &mut self,
        part: VectorPart,
    ) -> Result<Option<(VectorFrame, VersionVector)>, Breach> {
        if part.part >= part.parts || part.parts > VECTOR_PARTS_MAX {
            return Err(Breach::Parts(part.part, part.parts));
        }
        let fold = match part.fold {
            // Left over from before it used a newer one; on an ordered stream there is none.
            Some(rank) if self.peer_uses.is_some_and(|used| rank < used) => return Ok(None),
            Some(rank) => {
                let named = self.named.iter().find(|named| named.rank() == rank);
                let fold = Arc::clone(named.ok_or(Breach::UnknownFold(rank.id))?);
                self.peer_uses = Some(rank);
                self.named.retain(|named| named.rank() >= rank);
                Some(fold)
            }
            None => None,
        };
        let Some(entries) = self.join(&part) else { return Ok(None) };
        let vector = match fold {
            Some(fold) => FoldedVector { fold: fold.rank(), difference: entries }.over(fold),
            None => entries.into_iter().map(|(origin, signed)| (origin, signed.seq())).collect(),
        };
        Ok(Some((part.frame, vector)))
    }

    /// Adds a part to those before it. Returns all entries once they are here; a frame of which a part is missing is lost.
    fn join(&mut self, part: &VectorPart) -> Option<BTreeMap<OriginId, SignedSeq>> {
        let mut frame = match self.incomplete.take() {
            Some(frame)
                if (frame.number, frame.parts, frame.fold, frame.next_part)
                    == (part.number, part.parts, part.fold, part.part) =>
            {
                frame
            }
            _ if part.part == 0 => Incomplete {
                number: part.number,
                parts: part.parts,
                fold: part.fold,
                next_part: 0,
                entries: BTreeMap::new(),
            },
            _ => return None,
        };
        frame.entries.extend(part.entries());
        frame.next_part += 1;
        if frame.next_part == frame.parts {
            return Some(frame.entries);
        }
        self.incomplete = Some(frame);
        None
    }
}

/// Returns the frames that carry a frame's vector to a peer that knows no parts. A vector or a confirmation may come in several
/// frames, since heads only rise. What counts on the whole vector may not: it is left out, and the peer asks again or says
/// that it does not know.
fn plain_frames(vector: &VersionVector, frame: VectorFrame) -> Vec<ReplicaFrame> {
    if vector.iter().len() <= PLAIN_ENTRIES_MAX {
        return vec![frame.with(vector.clone())];
    }
    match frame {
        VectorFrame::Vector | VectorFrame::Confirm(_) => {
            let entries: Vec<_> = vector.iter().collect();
            let chunks = entries.chunks(PLAIN_ENTRIES_MAX);
            chunks.map(|chunk| frame.clone().with(chunk.iter().copied().collect())).collect()
        }
        VectorFrame::Probed(_) | VectorFrame::ClaimAnswer(_) => Vec::new(),
    }
}

/// Returns confirmations of some heads: one, also without heads, or several if there are many.
pub(super) fn confirmations(
    heads: BTreeMap<OriginId, Seq>,
    status: &Confirm,
    entries_max: usize,
) -> Vec<ReplicaFrame> {
    let new_heads: Vec<_> = heads.into_iter().collect();
    if new_heads.len() <= entries_max {
        return vec![ReplicaFrame::Confirm(Confirm { new_heads, ..status.clone() })];
    }
    let confirm =
        |heads: &[_]| ReplicaFrame::Confirm(Confirm { new_heads: heads.to_vec(), ..status.clone() });
    new_heads.chunks(entries_max).map(confirm).collect()
}

impl Replica {
    /// Sets how many entries of a vector are in one frame, at most, which is not 0; for simulations.
    pub fn set_vector_entries_max(&mut self, entries_max: usize) {
        self.vector_entries_max = entries_max;
    }

    /// Sends a peer a frame with the vector of what is durable here.
    pub(super) fn send_held(&mut self, id: LinkId, frame: VectorFrame, out: &mut Vec<Output>) {
        if let Some(link) = self.links.get_mut(&id) {
            link.vectors.send(id, &self.held, frame, self.vector_entries_max, out);
        }
    }

    /// Names folds to a peer that it was not told of yet, and uses the newest that it has named.
    pub(super) fn name_folds(&mut self, id: LinkId, out: &mut Vec<Output>) {
        let newest = self.newest_folds().to_vec();
        let Some(link) = self.links.get_mut(&id) else { return };
        let named = link.vectors.update(&newest);
        if !named.is_empty() {
            out.push(send(id, ReplicaFrame::Folds(named)));
        }
    }

    /// Writes a vector over the fold of this node's own, so that both are compared cheaply.
    pub(super) fn write_over_base(&self, vector: &mut VersionVector) {
        if let Some(base) = self.held.base() {
            vector.rebase(base);
        }
    }
}
