//! Read marks: a position and vectors, each merged by maximum. Messages beyond all vectors are unread, wherever they sort.
//! Marks of the first kind hold a plain vector, which would grow with the number of starts. Those of the second kind hold
//! differences from folds: their size does not. A difference says of each entry whether it is below or above the fold's, so
//! that marks are merged without the fold, and every node has the same state.

use serde::{Deserialize, Serialize};

use crate::{
    Pos, VersionVector,
    event::{FoldedReadMarked, ReadMarked},
    folded_vector::FoldedVector,
    limits::{MARK_FOLDS_MAX, READ_MARK_ORIGINS_MAX},
};

/// A user's read mark of a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadMark {
    /// The position of the last message that was read.
    pub pos: Pos,
    /// The events that the reader had been sent, of the origins that have written in the room.
    pub seen: VersionVector,
}

impl ReadMark {
    /// Whether the message at `pos` has been read.
    pub fn covers(&self, pos: Pos) -> bool {
        pos <= self.pos && self.seen.contains(pos.origin, pos.seq)
    }
}

/// Applies a read mark event.
pub fn apply(state: Option<ReadMark>, event: &ReadMarked) -> ReadMark {
    let mut state = state.unwrap_or_else(|| ReadMark { pos: Pos::MIN, seen: VersionVector::default() });
    state.pos = state.pos.max(event.pos);
    state.seen.merge(&event.seen);
    state.seen.keep_greatest(READ_MARK_ORIGINS_MAX);
    state
}

/// A user's read mark of a room, as far as it is written over folds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoldedReadMark {
    /// The position of the last message that was read.
    pub pos: Pos,
    /// The events that the reader had been sent: all that one of the vectors covers. The newest folds come first, each once.
    pub seen: Vec<FoldedVector>,
}

/// Applies a read mark event over folds. Of more folds than a mark may have, the newest stay: a mark that is written over a
/// newer fold covers what its writer knew of older ones.
pub fn apply_folded(state: Option<FoldedReadMark>, event: &FoldedReadMarked) -> FoldedReadMark {
    let mut state = state.unwrap_or_else(|| FoldedReadMark { pos: Pos::MIN, seen: Vec::new() });
    state.pos = state.pos.max(event.pos);
    for vector in &event.seen {
        match state.seen.binary_search_by(|known| vector.fold.cmp(&known.fold)) {
            Ok(known) => state.seen[known].merge(vector),
            Err(place) => state.seen.insert(place, vector.clone()),
        }
    }
    state.seen.truncate(MARK_FOLDS_MAX);
    state
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use proptest::prelude::*;

    use super::*;
    use crate::{Fold, NodeId, OriginId, RoomId, Seq, VectorFolded};

    fn entries() -> impl Strategy<Value = BTreeMap<OriginId, Seq>> {
        let origin = |n| OriginId { node: NodeId([n; 16]), incarnation: 1 };
        prop::collection::btree_map((0_u8..5).prop_map(origin), (0_u64..5).prop_map(Seq), 0..5)
    }

    fn fold(entries: BTreeMap<OriginId, Seq>) -> Arc<Fold> {
        let event = (OriginId { node: NodeId([9; 16]), incarnation: 1 }, Seq(1));
        Fold::expand(None, [(event, VectorFolded::new(None, entries))]).unwrap()
    }

    fn marked(vectors: &[VersionVector]) -> FoldedReadMarked {
        let seen = vectors.iter().filter_map(FoldedVector::new).collect();
        FoldedReadMarked { room: RoomId([1; 10]), pos: Pos::MIN, seen }
    }

    proptest! {
        /// Merging needs no fold, and gives what merging the vectors gives.
        #[test]
        fn differences_merge_as_the_vectors_do(
            base in entries(),
            vectors in prop::collection::vec(entries(), 1..4),
        ) {
            let base = fold(base);
            let vectors: Vec<VersionVector> = vectors
                .into_iter()
                .map(|entries| {
                    let mut vector: VersionVector = entries.into_iter().collect();
                    vector.rebase(&base);
                    vector
                })
                .collect();
            let mut expected = VersionVector::default();
            let mut state = None;
            for vector in &vectors {
                expected.merge(vector);
                state = Some(apply_folded(state, &marked(std::slice::from_ref(vector))));
            }
            let state = state.unwrap();
            prop_assert_eq!(state.seen.len(), 1);
            prop_assert_eq!(state.seen[0].over(Arc::clone(&base)), expected.clone());
            prop_assert_eq!(FoldedVector::new(&state.seen[0].over(base)), Some(state.seen[0].clone()));
        }

        /// The same marks give the same state in any order and with repetitions, though more folds are used than are kept.
        #[test]
        fn marks_give_one_state_in_any_order(
            bases in prop::collection::vec(entries(), 6),
            picks in prop::collection::vec((0_usize..6, entries()), 1..12),
            order in prop::collection::vec(any::<prop::sample::Index>(), 12),
        ) {
            let bases: Vec<_> = bases.into_iter().map(fold).collect();
            let marks: Vec<_> = picks
                .into_iter()
                .map(|(base, entries)| marked(&[VersionVector::over(Arc::clone(&bases[base]), entries)]))
                .collect();
            let all = |marks: &[&FoldedReadMarked]| {
                marks.iter().fold(None, |state, mark| Some(apply_folded(state, mark)))
            };
            let in_order: Vec<_> = marks.iter().collect();
            let mut shuffled: Vec<_> = order.iter().map(|index| index.get(&marks)).collect();
            shuffled.extend(marks.iter().rev());
            let state = all(&in_order);
            prop_assert_eq!(&state, &all(&shuffled));
            let seen = state.unwrap().seen;
            prop_assert!(seen.len() <= MARK_FOLDS_MAX && seen.is_sorted_by(|a, b| a.fold > b.fold));
        }
    }
}
