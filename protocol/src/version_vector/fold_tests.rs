//! A vector over a fold says what a plain map would say, whatever is done to it.

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;

use super::VersionVector;
use crate::{
    NodeId, OriginId, Seq,
    fold::{Fold, VectorFolded},
};

type Model = BTreeMap<OriginId, Seq>;

fn origin(n: u8) -> OriginId {
    OriginId { node: NodeId([n % 3; 16]), incarnation: u64::from(n / 3) }
}

fn entry() -> impl Strategy<Value = (OriginId, Seq)> {
    (0_u8..9, 0_u64..5).prop_map(|(n, seq)| (origin(n), Seq(seq)))
}

fn fold() -> impl Strategy<Value = Arc<Fold>> {
    let event = (origin(0), Seq(1));
    prop::collection::btree_map((0_u8..9).prop_map(origin), (0_u64..5).prop_map(Seq), 0..9).prop_map(
        move |entries| Fold::expand(None, [(event, VectorFolded::new(None, entries))]).expect("a sound fold"),
    )
}

/// A vector over one of the folds, or over none, with what it says.
fn vector(folds: Vec<Arc<Fold>>) -> impl Strategy<Value = (VersionVector, Model)> {
    let base = prop::sample::select([vec![None], folds.into_iter().map(Some).collect()].concat());
    (base, prop::collection::vec(entry(), 0..9)).prop_map(|(base, entries)| {
        let mut model: Model = base.iter().flat_map(|base| base.iter()).collect();
        let mut vector = base.map(|base| VersionVector::over(base, [])).unwrap_or_default();
        for (origin, seq) in entries {
            vector.limit(origin, seq);
            vector.advance(origin, seq);
            model.insert(origin, seq);
        }
        model.retain(|_, seq| *seq > Seq::NONE);
        (vector, model)
    })
}

fn model_get(model: &Model, origin: OriginId) -> Seq {
    model.get(&origin).copied().unwrap_or(Seq::NONE)
}

fn case() -> impl Strategy<Value = (Vec<Arc<Fold>>, [(VersionVector, Model); 2])> {
    prop::collection::vec(fold(), 2).prop_flat_map(|folds| {
        let vectors = [vector(folds.clone()), vector(folds.clone())];
        (Just(folds), vectors)
    })
}

/// Every answer of a vector equals the model's, and no entry over the base equals it.
fn assert_same(vector: &VersionVector, model: &Model) {
    let entries: Vec<_> = vector.iter().collect();
    assert_eq!(entries, model.iter().map(|(&origin, &seq)| (origin, seq)).collect::<Vec<_>>());
    assert_eq!(vector.iter().len(), entries.len());
    assert!((0..9).map(origin).all(|origin| vector.get(origin) == model_get(model, origin)));
    let base = |origin| vector.base().map_or(Seq::NONE, |base| base.get(origin));
    assert!(vector.difference().all(|(origin, seq)| seq != base(origin)), "{:?}", vector.over);
    assert_eq!(vector, &entries.into_iter().collect::<VersionVector>());
}

proptest! {
    #[test]
    fn comparisons_are_those_of_plain_maps((_, [(a, a_model), (b, b_model)]) in case()) {
        assert_same(&a, &a_model);
        let beyond: Vec<_> = a_model
            .iter()
            .map(|(&origin, &seq)| (origin, seq))
            .filter(|&(origin, seq)| seq > model_get(&b_model, origin))
            .collect();
        prop_assert_eq!(a.covers(&b), b_model.iter().all(|(&origin, &seq)| seq <= model_get(&a_model, origin)));
        prop_assert_eq!(b.covers(&a), beyond.is_empty());
        prop_assert_eq!(a.beyond(&b).collect::<Vec<_>>(), beyond);
        prop_assert_eq!(a == b, a_model == b_model);
    }

    #[test]
    fn changes_are_those_of_plain_maps(
        (folds, [(mut a, mut a_model), (b, b_model)]) in case(),
        (origin, seq) in entry(),
        (limited, limit) in entry(),
    ) {
        let rises = seq > model_get(&a_model, origin);
        prop_assert_eq!(a.advance(origin, seq), rises);
        if rises {
            a_model.insert(origin, seq);
        }
        a.limit(limited, limit);
        if let Some(seq) = a_model.get_mut(&limited) {
            *seq = limit.min(*seq);
        }
        a_model.retain(|_, seq| *seq > Seq::NONE);
        assert_same(&a, &a_model);
        a.rebase(&folds[0]);
        assert_same(&a, &a_model);
        a.merge(&b);
        for (&origin, &seq) in &b_model {
            let entry = a_model.entry(origin).or_default();
            *entry = seq.max(*entry);
        }
        assert_same(&a, &a_model);
    }

    /// `decode(encode(v)) = v` for whoever has the fold, and records say the same without one.
    #[test]
    fn what_is_written_is_read((_, [(a, a_model), _]) in case()) {
        if let Some(base) = a.base() {
            assert_same(&VersionVector::over(Arc::clone(base), a.difference()), &a_model);
        }
        let record = crate::codec::encode(&a);
        prop_assert_eq!(&record, &crate::codec::encode(&a_model));
        assert_same(&crate::codec::decode(&record, 4096).unwrap(), &a_model);
    }
}

/// Promise 13: vectors over one fold are compared and copied at the cost of their differences, however large the fold.
#[test]
fn a_comparison_over_one_fold_reads_the_differences_alone() {
    let incarnations = (0..4_000).map(|n| (OriginId { node: NodeId([1; 16]), incarnation: n }, Seq(1)));
    let folded = VectorFolded::new(None, incarnations);
    let base = Fold::expand(None, [((origin(0), Seq(1)), folded)]).unwrap();
    let mut a = VersionVector::over(Arc::clone(&base), []);
    let mut b = a.clone();
    a.advance(origin(2), Seq(1));
    b.advance(origin(0), Seq(7));
    // Only the candidates of `beyond` are looked up.
    assert_eq!((a.over.len(), b.over.len()), (1, 1));
    assert_eq!(a.beyond(&b).collect::<Vec<_>>(), [(origin(2), Seq(1))]);
    assert_eq!(b.beyond(&a).collect::<Vec<_>>(), [(origin(0), Seq(7))]);
    b.merge(&a);
    assert_eq!((b.over.len(), b.covers(&a), a.covers(&b)), (2, true, false));
}
