//! A vector as its difference from a fold. It says of each entry whether it is below or above the fold's, so that such
//! vectors are merged by whoever lacks the fold.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::{
    fold::{Fold, FoldRank},
    id::OriginId,
    seq::Seq,
    version_vector::VersionVector,
};

/// An entry that differs from that of a fold. An entry that does not differ lies between both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SignedSeq {
    /// It is lower; 0 for none.
    Below(Seq),
    /// It is higher.
    Above(Seq),
}

impl SignedSeq {
    /// Returns the number itself.
    pub fn seq(self) -> Seq {
        match self {
            Self::Below(seq) | Self::Above(seq) => seq,
        }
    }
}

/// A vector as its difference from a fold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoldedVector {
    /// The fold.
    pub fold: FoldRank,
    /// The entries that differ.
    pub difference: BTreeMap<OriginId, SignedSeq>,
}

impl FoldedVector {
    /// Writes a vector down as its difference from its fold; `None` if it has none.
    pub fn new(vector: &VersionVector) -> Option<Self> {
        let fold = vector.base()?;
        let signed = |(origin, seq): (OriginId, Seq)| {
            let is_below = seq < fold.get(origin);
            (origin, if is_below { SignedSeq::Below(seq) } else { SignedSeq::Above(seq) })
        };
        Some(Self { fold: fold.rank(), difference: vector.difference().map(signed).collect() })
    }

    /// Returns the vector, over the fold that it names.
    pub fn over(&self, fold: Arc<Fold>) -> VersionVector {
        VersionVector::over(fold, self.difference.iter().map(|(&origin, signed)| (origin, signed.seq())))
    }

    /// Takes the maximum of each entry. Both must be written over one fold.
    pub fn merge(&mut self, other: &Self) {
        // An entry that only one of them has equals the fold's in the other: above what is below it.
        let is_above = |signed: &SignedSeq| matches!(signed, SignedSeq::Above(_));
        self.difference.retain(|origin, signed| is_above(signed) || other.difference.contains_key(origin));
        for (&origin, &signed) in &other.difference {
            match self.difference.entry(origin) {
                Entry::Occupied(mut own) => *own.get_mut() = signed.max(*own.get()),
                Entry::Vacant(own) if is_above(&signed) => drop(own.insert(signed)),
                Entry::Vacant(_) => {}
            }
        }
    }
}
