//! Version vectors (Parker et al., 1983): `origin → highest seq held`, for a node or a client.
//! Each log is held from its start without gaps, so one number per origin is enough. In memory a vector is the difference
//! from a [`Fold`], so that copies and comparisons of vectors on one fold cost only what differs from it.

#[cfg(test)]
mod fold_tests;

use std::{
    collections::{BTreeMap, BTreeSet, btree_map},
    fmt,
    iter::Peekable,
    sync::Arc,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    fold::{Fold, FoldRank},
    id::OriginId,
    seq::Seq,
};

/// The events held: per origin, all up to and including a sequence number.
#[derive(Clone, Default)]
pub struct VersionVector {
    base: Option<Arc<Fold>>,
    /// The entries that differ from the base, also those that it has and this vector lacks: they are 0. None is equal.
    over: BTreeMap<OriginId, Seq>,
}

impl VersionVector {
    /// Makes a vector of a fold and the entries that replace those of the fold; 0 for none.
    pub fn over(base: Arc<Fold>, entries: impl IntoIterator<Item = (OriginId, Seq)>) -> Self {
        let mut vector = Self { base: Some(base), over: BTreeMap::new() };
        for (origin, seq) in entries {
            vector.set(origin, seq);
        }
        vector
    }

    /// Returns the fold that this vector is written over.
    pub fn base(&self) -> Option<&Arc<Fold>> {
        self.base.as_ref()
    }

    /// Returns the rank of that fold.
    pub fn base_rank(&self) -> Option<FoldRank> {
        self.base.as_ref().map(|base| base.rank())
    }

    /// Returns the entries that differ from the base, in the order of their origins; 0 for what the base has and this
    /// vector lacks.
    pub fn difference(&self) -> impl ExactSizeIterator<Item = (OriginId, Seq)> + Clone + '_ {
        self.over.iter().map(|(&origin, &seq)| (origin, seq))
    }

    /// Writes the vector over another fold; what it says stays the same.
    pub fn rebase(&mut self, base: &Arc<Fold>) {
        if self.base_rank() == Some(base.rank()) {
            return;
        }
        let mut over: BTreeMap<_, _> = self.iter().filter(|&(origin, seq)| base.get(origin) != seq).collect();
        let lacking = base.iter().filter(|&(origin, _)| self.get(origin) == Seq::NONE);
        over.extend(lacking.map(|(origin, _)| (origin, Seq::NONE)));
        *self = Self { base: Some(Arc::clone(base)), over };
    }

    /// Returns the vector written over a fold, or as a plain one.
    #[must_use]
    pub fn written_over(&self, base: Option<&Arc<Fold>>) -> Self {
        match base {
            Some(base) => {
                let mut vector = self.clone();
                vector.rebase(base);
                vector
            }
            None => self.iter().collect(),
        }
    }

    fn base_seq(&self, origin: OriginId) -> Seq {
        self.base.as_ref().map_or(Seq::NONE, |base| base.get(origin))
    }

    fn set(&mut self, origin: OriginId, seq: Seq) {
        if seq == self.base_seq(origin) {
            self.over.remove(&origin);
        } else {
            self.over.insert(origin, seq);
        }
    }

    /// Whether both vectors are written over the same fold, or over none.
    fn shares_base(&self, other: &Self) -> bool {
        self.base_rank() == other.base_rank()
    }

    /// Returns the highest sequence number held of an origin; 0 if none.
    pub fn get(&self, origin: OriginId) -> Seq {
        self.over.get(&origin).copied().unwrap_or_else(|| self.base_seq(origin))
    }

    /// Whether an event is held.
    pub fn contains(&self, origin: OriginId, seq: Seq) -> bool {
        seq <= self.get(origin)
    }

    /// Raises an entry to `seq`; lower values change nothing. Returns whether it rose.
    pub fn advance(&mut self, origin: OriginId, seq: Seq) -> bool {
        if seq <= self.get(origin) {
            return false;
        }
        self.set(origin, seq);
        true
    }

    /// Lowers an entry to at most `seq`; 0 removes it.
    pub fn limit(&mut self, origin: OriginId, seq: Seq) {
        if self.get(origin) > seq {
            self.set(origin, seq);
        }
    }

    /// Takes the maximum of each entry.
    pub fn merge(&mut self, other: &Self) {
        if self.base.is_none() && self.over.is_empty() {
            self.clone_from(other);
            return;
        }
        let higher: Vec<_> = other.beyond(self).collect();
        for (origin, seq) in higher {
            self.set(origin, seq);
        }
    }

    /// Keeps at most `count_max` entries: those with the greatest numbers. Merges and calls of this give the same result in
    /// any order, since entries only rise.
    pub fn keep_greatest(&mut self, count_max: usize) {
        if self.iter().len() > count_max {
            let mut entries: Vec<_> = self.iter().map(|(origin, seq)| (seq, origin)).collect();
            entries.sort_unstable_by(|a, b| b.cmp(a));
            *self = entries.into_iter().take(count_max).map(|(seq, origin)| (origin, seq)).collect();
        }
    }

    /// Whether this vector holds everything in `other`.
    pub fn covers(&self, other: &Self) -> bool {
        other.beyond(self).next().is_none()
    }

    /// Returns the entries of this vector that exceed `other`'s: `(origin, highest seq here)`, in the order of their
    /// origins. Over one fold it costs as much as the differences from it.
    pub fn beyond<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = (OriginId, Seq)> + 'a {
        // Without a base, an entry that only the other has can't be exceeded.
        let (all, differing) = if self.base.is_some() && self.shares_base(other) {
            let origins: BTreeSet<_> = self.over.keys().chain(other.over.keys()).copied().collect();
            (None, Some(origins.into_iter().map(|origin| (origin, self.get(origin)))))
        } else {
            (Some(self.iter()), None)
        };
        let candidates = all.into_iter().flatten().chain(differing.into_iter().flatten());
        candidates.filter(|&(origin, seq)| seq > other.get(origin))
    }

    /// Returns all entries in the order of their origins.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (OriginId, Seq)> + '_ {
        let mut left = self.base.as_ref().map_or(0, |base| base.iter().len());
        for (&origin, &seq) in &self.over {
            let in_base = self.base_seq(origin) > Seq::NONE;
            left = left + usize::from(!in_base) - usize::from(seq == Seq::NONE);
        }
        let base = self.base.iter().flat_map(|base| base.iter());
        Entries { base: base.peekable(), over: self.over.iter().peekable(), left }
    }
}

/// The entries of a vector: those of the base, replaced by those over it.
struct Entries<'a, B: Iterator<Item = (OriginId, Seq)>> {
    base: Peekable<B>,
    over: Peekable<btree_map::Iter<'a, OriginId, Seq>>,
    /// The number of entries that follow.
    left: usize,
}

impl<B: Iterator<Item = (OriginId, Seq)>> Iterator for Entries<'_, B> {
    type Item = (OriginId, Seq);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let over = self.over.peek().map(|&(&origin, _)| origin);
            let entry = match self.base.peek() {
                Some(&(origin, _)) if over.is_none_or(|over| origin < over) => self.base.next(),
                base => {
                    if base.map(|&(origin, _)| origin) == over {
                        self.base.next();
                    }
                    self.over.next().map(|(&origin, &seq)| (origin, seq))
                }
            }?;
            if entry.1 > Seq::NONE {
                self.left -= 1;
                return Some(entry);
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<B: Iterator<Item = (OriginId, Seq)>> ExactSizeIterator for Entries<'_, B> {}

/// Vectors are equal if they say the same, over whatever folds.
impl PartialEq for VersionVector {
    fn eq(&self, other: &Self) -> bool {
        if self.shares_base(other) { self.over == other.over } else { self.iter().eq(other.iter()) }
    }
}

impl Eq for VersionVector {}

impl fmt::Debug for VersionVector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// As a map of all entries, whatever the base: records with vectors do not depend on folds.
impl Serialize for VersionVector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for VersionVector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut over = BTreeMap::deserialize(deserializer)?;
        over.retain(|_, seq| *seq > Seq::NONE);
        Ok(Self { base: None, over })
    }
}

impl FromIterator<(OriginId, Seq)> for VersionVector {
    fn from_iter<I: IntoIterator<Item = (OriginId, Seq)>>(entries: I) -> Self {
        let mut vector = Self::default();
        for (origin, seq) in entries {
            vector.advance(origin, seq);
        }
        vector
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NodeId;

    fn origin(n: u8) -> OriginId {
        OriginId { node: NodeId([n; 16]), incarnation: 1 }
    }

    #[test]
    fn covering_is_per_origin() {
        let a = VersionVector::from_iter([(origin(1), Seq(5)), (origin(2), Seq(1))]);
        let b = VersionVector::from_iter([(origin(1), Seq(4))]);
        assert!(a.covers(&b) && !b.covers(&a));
        assert_eq!(a.beyond(&b).collect::<Vec<_>>(), [(origin(1), Seq(5)), (origin(2), Seq(1))]);
        let mut both = b.clone();
        both.merge(&a);
        assert_eq!(both, a);
    }

    /// A truncated read mark must be the same on every node.
    #[test]
    fn keeping_the_greatest_is_independent_of_order() {
        let vectors: Vec<_> = (0_u8..6)
            .map(|n| [(origin(n % 4), Seq(u64::from(n) * 5 % 7)), (origin(n % 3 + 3), Seq(3))])
            .collect();
        let merged = |order: &[usize]| {
            let mut vector = VersionVector::default();
            for &n in order {
                vector.merge(&vectors[n].into_iter().collect());
                vector.keep_greatest(3);
            }
            vector
        };
        let first = merged(&[0, 1, 2, 3, 4, 5]);
        assert_eq!(first.iter().len(), 3);
        for order in [[5, 4, 3, 2, 1, 0], [2, 0, 5, 1, 4, 3], [3, 5, 0, 4, 2, 1]] {
            assert_eq!(merged(&[&order[..], &order[..3]].concat()), first);
        }
    }

    #[test]
    fn a_limit_lowers_and_zero_removes() {
        let mut vector = VersionVector::from_iter([(origin(1), Seq(5))]);
        vector.limit(origin(1), Seq(7));
        assert_eq!(vector.get(origin(1)), Seq(5));
        vector.limit(origin(1), Seq(2));
        assert_eq!(vector.get(origin(1)), Seq(2));
        vector.limit(origin(1), Seq(0));
        assert_eq!(vector, VersionVector::default());
    }

    /// Promise 3: an event is held only up to the head of its origin; an event that comes twice changes nothing.
    #[test]
    fn an_entry_holds_all_up_to_its_number_and_only_rises() {
        let mut vector = VersionVector::default();
        let rises = [5, 5, 4, 6].map(|seq| vector.advance(origin(1), Seq(seq)));
        assert_eq!(rises, [true, false, false, true]);
        assert_eq!((vector.get(origin(1)), vector.get(origin(2))), (Seq(6), Seq::NONE));
        let holds = [(1, 5), (1, 6), (1, 7), (2, 1)].map(|(n, seq)| vector.contains(origin(n), Seq(seq)));
        assert_eq!(holds, [true, true, false, false]);
    }

    #[test]
    fn an_equal_vector_is_covered_and_nothing_is_beyond_it() {
        let vector = VersionVector::from_iter([(origin(1), Seq(5)), (origin(2), Seq(1))]);
        assert!(vector.covers(&vector) && vector.beyond(&vector).next().is_none());
    }

    /// A vector of exactly the limit loses nothing; of a longer one the greatest numbers stay.
    #[test]
    fn the_greatest_numbers_are_kept() {
        let vector =
            VersionVector::from_iter([(origin(1), Seq(5)), (origin(2), Seq(1)), (origin(3), Seq(9))]);
        let kept = |count_max| {
            let mut vector = vector.clone();
            vector.keep_greatest(count_max);
            vector
        };
        assert_eq!(kept(3), vector);
        assert_eq!(kept(2), VersionVector::from_iter([(origin(1), Seq(5)), (origin(3), Seq(9))]));
    }
}
