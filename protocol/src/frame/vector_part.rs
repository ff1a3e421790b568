//! Frames with a vector that is written over a fold, or is too long for one frame: they are sent in parts.
//! [`crate::replica`] joins them again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::peer::{ClaimAnswer, Confirm, ReplicaFrame};
use crate::{
    FoldRank, NodeId, OriginId, VersionVector,
    fold::{group, ungroup},
    folded_vector::SignedSeq,
};

/// Parts of one frame, at most: far more than a node can hold the origins for.
pub const VECTOR_PARTS_MAX: u32 = 1_024;

/// A frame without its vector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum VectorFrame {
    /// [`ReplicaFrame::Vector`].
    Vector,
    /// [`ReplicaFrame::Confirm`] with all heads. Its `new_heads` are empty.
    Confirm(Confirm),
    /// [`ReplicaFrame::Probed`] with this number.
    Probed(u64),
    /// [`ReplicaFrame::ClaimAnswer`] of a node that holds the claim. Its `held` is `None`.
    ClaimAnswer(ClaimAnswer),
}

impl VectorFrame {
    /// Returns the frame with its vector, as peers get it that don't know parts.
    #[must_use]
    pub fn with(self, vector: VersionVector) -> ReplicaFrame {
        match self {
            Self::Vector => ReplicaFrame::Vector(vector),
            Self::Confirm(confirm) => {
                ReplicaFrame::Confirm(Confirm { new_heads: vector.iter().collect(), ..confirm })
            }
            Self::Probed(id) => ReplicaFrame::Probed(id, vector),
            Self::ClaimAnswer(answer) => {
                ReplicaFrame::ClaimAnswer(ClaimAnswer { held: Some(vector), ..answer })
            }
        }
    }
}

/// A part of a frame. The parts follow one another on the link. If one is missing, the whole frame counts as lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VectorPart {
    /// The number of the frame, which no other frame of the sender on this link has.
    pub number: u64,
    /// The number of this part, from 0 on.
    pub part: u32,
    /// The number of all parts, at most [`VECTOR_PARTS_MAX`].
    pub parts: u32,
    /// The fold that the vector is written over, one that the receiver has named on this link; `None` for a plain vector.
    pub fold: Option<FoldRank>,
    /// Some of the entries that differ from the fold's, by node.
    entries: Vec<(NodeId, Vec<(u64, SignedSeq)>)>,
    /// The frame without its vector, the same in each part.
    pub frame: VectorFrame,
}

impl VectorPart {
    /// Splits a frame into parts of at most `entries_max` entries, which is not 0. A plain vector has only entries above.
    pub fn split(
        number: u64,
        fold: Option<FoldRank>,
        difference: BTreeMap<OriginId, SignedSeq>,
        entries_max: usize,
        frame: &VectorFrame,
    ) -> Vec<Self> {
        let parts = u32::try_from(difference.len().div_ceil(entries_max).max(1)).unwrap_or(u32::MAX);
        let mut difference = difference.into_iter();
        let part = |part| {
            let entries = group(difference.by_ref().take(entries_max));
            Self { number, part, parts, fold, entries, frame: frame.clone() }
        };
        (0..parts).map(part).collect()
    }

    /// Returns its entries.
    pub fn entries(&self) -> impl Iterator<Item = (OriginId, SignedSeq)> + '_ {
        ungroup(&self.entries)
    }
}
