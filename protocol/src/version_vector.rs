//! Version vectors (Parker et al., 1983): `origin → highest seq held`, for a node or a client.
//! Each log is held from its start without gaps, so one number per origin is enough.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{OriginId, Seq};

/// The events held: per origin, all up to and including a sequence number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionVector(BTreeMap<OriginId, Seq>);

impl VersionVector {
    /// Returns the highest sequence number held of an origin; 0 if none.
    pub fn get(&self, origin: OriginId) -> Seq {
        self.0.get(&origin).copied().unwrap_or(Seq::NONE)
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
        self.0.insert(origin, seq);
        true
    }

    /// Lowers an entry to at most `seq`; 0 removes it.
    pub fn limit(&mut self, origin: OriginId, seq: Seq) {
        if seq == Seq::NONE {
            self.0.remove(&origin);
        } else if self.get(origin) > seq {
            self.0.insert(origin, seq);
        }
    }

    /// Takes the maximum of each entry.
    pub fn merge(&mut self, other: &Self) {
        for (origin, seq) in other.iter() {
            self.advance(origin, seq);
        }
    }

    /// Keeps at most `count_max` entries: those with the greatest numbers. Merges and calls of this give the same result in
    /// any order, since entries only rise.
    pub fn keep_greatest(&mut self, count_max: usize) {
        if self.0.len() > count_max {
            let mut entries: Vec<_> = self.iter().map(|(origin, seq)| (seq, origin)).collect();
            entries.sort_unstable_by(|a, b| b.cmp(a));
            self.0 = entries.into_iter().take(count_max).map(|(seq, origin)| (origin, seq)).collect();
        }
    }

    /// Whether this vector holds everything in `other`.
    pub fn covers(&self, other: &Self) -> bool {
        other.beyond(self).next().is_none()
    }

    /// Returns the entries of this vector that exceed `other`'s: `(origin, highest seq here)`.
    pub fn beyond<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = (OriginId, Seq)> + 'a {
        self.iter().filter(|&(origin, seq)| seq > other.get(origin))
    }

    /// Returns all entries in the order of their origins.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (OriginId, Seq)> + '_ {
        self.0.iter().map(|(&origin, &seq)| (origin, seq))
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
