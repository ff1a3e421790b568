//! The log's version vector and the folds that it is written over. Both belong to the log: they are written with its events
//! in one transaction, and never dropped by a rebuild, a cut or an erasure. So a start reads as much as differs from the
//! newest fold, however often the nodes were started before.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use redb::{ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable, Table, WriteTransaction};
use serde::{Deserialize, Serialize};
use starling_protocol::{
    Event, EventBody, Fold, FoldRank, OriginId, Scope, Seq, VectorFolded, VersionVector, codec,
    fold::RecentFolds, limits::EVENT_BYTES_MAX, replica::FoldPlan,
};

use super::{Decision, Store, StoreError, Tables, tables};

/// The bytes of a row of [`tables::FOLDS`], at most: an event and its place.
const ROW_BYTES_MAX: usize = EVENT_BYTES_MAX + 64;

type HeadsTable<'a> = &'a [u8; OriginId::BYTES];
type FoldKey<'a> = &'a [u8; FoldRank::BYTES];

/// The expanded folds in memory.
#[derive(Clone, Debug, Default)]
pub struct FoldCache(Arc<Mutex<RecentFolds>>);

impl FoldCache {
    fn lock(&self) -> MutexGuard<'_, RecentFolds> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A row of [`tables::FOLDS`].
#[derive(Serialize, Deserialize)]
struct FoldRow {
    /// The event that brought it, the first that this node received.
    event: (OriginId, Seq),
    folded: VectorFolded,
}

fn row(
    folds: &impl ReadableTable<FoldKey<'static>, &'static [u8]>,
    rank: FoldRank,
) -> Result<Option<FoldRow>, StoreError> {
    let row = folds.get(&rank.to_bytes())?;
    row.map(|row| Ok(codec::decode(row.value(), ROW_BYTES_MAX)?)).transpose()
}

/// Expands a fold; `None` if it is not here, or one of those that it continues.
fn expand(
    folds: &impl ReadableTable<FoldKey<'static>, &'static [u8]>,
    cache: &FoldCache,
    rank: FoldRank,
) -> Result<Option<Arc<Fold>>, StoreError> {
    let (mut chain, mut base, mut next) = (Vec::new(), None, Some(rank));
    while let Some(rank) = next {
        base = cache.lock().get(rank);
        if base.is_some() {
            break;
        }
        let Some(row) = row(folds, rank)? else { return Ok(None) };
        next = row.folded.base_rank();
        chain.push((row.event, row.folded));
    }
    if chain.is_empty() {
        return Ok(base);
    }
    let fold = Fold::expand(base.as_deref(), chain.into_iter().rev());
    if let Some(fold) = &fold {
        cache.lock().add(fold);
    }
    Ok(fold)
}

/// Expands the fold that the vector is written over.
fn base(
    ranks: &impl ReadableTable<(), FoldKey<'static>>,
    folds: &impl ReadableTable<FoldKey<'static>, &'static [u8]>,
    cache: &FoldCache,
) -> Result<Option<Arc<Fold>>, StoreError> {
    let Some(rank) = ranks.get(())?.map(|rank| FoldRank::from_bytes(*rank.value())) else { return Ok(None) };
    let missing =
        || StoreError::Corrupt(format!("the heads are written over fold {}, which is missing", rank.id));
    expand(folds, cache, rank)?.map(Some).ok_or_else(missing)
}

fn differences(
    heads: &impl ReadableTable<HeadsTable<'static>, u64>,
) -> Result<Vec<(OriginId, Seq)>, StoreError> {
    let mut entries = Vec::new();
    for row in heads.iter()? {
        let (origin, seq) = row?;
        entries.push((OriginId::from_bytes(*origin.value()), Seq(seq.value())));
    }
    Ok(entries)
}

fn over(base: Option<Arc<Fold>>, entries: Vec<(OriginId, Seq)>) -> VersionVector {
    match base {
        Some(base) => VersionVector::over(base, entries),
        None => entries.into_iter().collect(),
    }
}

/// The log's vector and its folds in a read transaction.
pub(super) struct FoldsReader {
    heads: ReadOnlyTable<HeadsTable<'static>, u64>,
    base_rank: ReadOnlyTable<(), FoldKey<'static>>,
    folds: ReadOnlyTable<FoldKey<'static>, &'static [u8]>,
    cache: FoldCache,
}

impl FoldsReader {
    pub(super) fn read(transaction: &ReadTransaction, cache: &FoldCache) -> Result<Self, StoreError> {
        Ok(Self {
            heads: transaction.open_table(tables::HEADS)?,
            base_rank: transaction.open_table(tables::HEADS_BASE)?,
            folds: transaction.open_table(tables::FOLDS)?,
            cache: cache.clone(),
        })
    }

    /// The fold that the vector is written over.
    pub(super) fn base(&self) -> Result<Option<Arc<Fold>>, StoreError> {
        base(&self.base_rank, &self.folds, &self.cache)
    }

    /// Expands a fold; `None` if it is not here, or one of those that it continues.
    pub(super) fn expand(&self, rank: FoldRank) -> Result<Option<Arc<Fold>>, StoreError> {
        expand(&self.folds, &self.cache, rank)
    }

    /// The log's vector.
    pub(super) fn vector(&self) -> Result<VersionVector, StoreError> {
        Ok(over(self.base()?, differences(&self.heads)?))
    }
}

impl Store {
    /// A fold that was used lately.
    pub fn fold_in_memory(&self, rank: FoldRank) -> Option<Arc<Fold>> {
        self.folds.lock().get(rank)
    }

    /// Expands a fold, reading those that it continues; `None` if one of them is not here.
    pub fn fold(&self, rank: FoldRank) -> Result<Option<Arc<Fold>>, StoreError> {
        expand(&self.db.begin_read()?.open_table(tables::FOLDS)?, &self.folds, rank)
    }

    /// Checks that the log's folds are kept.
    pub(super) fn keeps_fold(&self, event: &Event) -> Result<bool, StoreError> {
        let Some(folded) = fold_of(event) else { return Ok(true) };
        let folds = self.db.begin_read()?.open_table(tables::FOLDS)?;
        Ok(row(&folds, folded.rank())?.is_some_and(|row| row.folded == *folded))
    }
}

/// The fold in an event, if it is one.
fn fold_of(event: &Event) -> Option<&VectorFolded> {
    match &event.body {
        EventBody::VectorFolded(folded) if event.scope == Scope::cluster() => Some(folded),
        _ => None,
    }
}

/// Writes the log's vector and its folds.
pub struct HeadsWriter<'txn> {
    heads: Table<'txn, HeadsTable<'static>, u64>,
    base_rank: Table<'txn, (), FoldKey<'static>>,
    folds: Table<'txn, FoldKey<'static>, &'static [u8]>,
    cache: FoldCache,
    base: Option<Arc<Fold>>,
    /// The last events of origins that were added since the last flush.
    moved: BTreeMap<OriginId, Seq>,
    /// Whether folds were added since the last flush.
    added: bool,
}

impl<'txn> HeadsWriter<'txn> {
    /// Opens the tables in a write transaction; makes them if they are missing.
    pub fn open(transaction: &'txn WriteTransaction, cache: &FoldCache) -> Result<Self, StoreError> {
        let folds = transaction.open_table(tables::FOLDS)?;
        let base_rank = transaction.open_table(tables::HEADS_BASE)?;
        let base = base(&base_rank, &folds, cache)?;
        let heads = transaction.open_table(tables::HEADS)?;
        Ok(Self { heads, base_rank, folds, cache: cache.clone(), base, moved: BTreeMap::new(), added: false })
    }

    /// The fold that the vector is written over.
    pub fn base(&self) -> Option<&Arc<Fold>> {
        self.base.as_ref()
    }

    /// Expands a fold; `None` if it is not here, or one of those that it continues.
    pub fn expand(&self, rank: FoldRank) -> Result<Option<Arc<Fold>>, StoreError> {
        expand(&self.folds, &self.cache, rank)
    }

    /// Returns the last event of an origin.
    pub fn get(&self, origin: OriginId) -> Result<Seq, StoreError> {
        if let Some(&moved) = self.moved.get(&origin) {
            return Ok(moved);
        }
        let head = self.heads.get(&origin.to_bytes())?.map(|seq| Seq(seq.value()));
        Ok(head.unwrap_or_else(|| self.in_base(origin)))
    }

    /// Sets the last event of an origin.
    pub fn set(&mut self, origin: OriginId, seq: Seq) {
        self.moved.insert(origin, seq);
    }

    fn in_base(&self, origin: OriginId) -> Seq {
        self.base.as_ref().map_or(Seq::NONE, |base| base.get(origin))
    }

    /// Keeps the fold of an event of the log, if it is one.
    pub fn keep_fold(&mut self, event: &Event) -> Result<(), StoreError> {
        let Some(folded) = fold_of(event) else { return Ok(()) };
        let key = folded.rank().to_bytes();
        // The same fold may be made twice.
        if self.folds.get(&key)?.is_none() {
            let row = FoldRow { event: (event.origin, event.seq), folded: folded.clone() };
            self.folds.insert(&key, &codec::encode(&row)[..])?;
            self.added = true;
        }
        Ok(())
    }

    /// Writes the vector, over the newest fold that is usable if folds were added.
    pub fn flush(&mut self) -> Result<(), StoreError> {
        for (origin, seq) in std::mem::take(&mut self.moved) {
            if self.in_base(origin) == seq {
                self.heads.remove(&origin.to_bytes())?;
            } else {
                self.heads.insert(&origin.to_bytes(), seq.0)?;
            }
        }
        if std::mem::take(&mut self.added)
            && let Some(newest) = self.newest_usable()?
        {
            let before = over(self.base.clone(), differences(&self.heads)?);
            let mut after = before.clone();
            after.rebase(&newest);
            for (origin, _) in before.difference() {
                self.heads.remove(&origin.to_bytes())?;
            }
            for (origin, seq) in after.difference() {
                self.heads.insert(&origin.to_bytes(), seq.0)?;
            }
            self.base_rank.insert((), &newest.rank().to_bytes())?;
            self.base = Some(newest);
        }
        Ok(())
    }

    /// The newest fold that is usable and newer than the present base.
    fn newest_usable(&self) -> Result<Option<Arc<Fold>>, StoreError> {
        let present = self.base.as_ref().map(|base| base.rank());
        for row in self.folds.iter()?.rev() {
            let rank = FoldRank::from_bytes(*row?.0.value());
            if present.is_some_and(|present| rank <= present) {
                break;
            }
            if let Some(fold) = self.expand(rank)? {
                return Ok(Some(fold));
            }
        }
        Ok(None)
    }

    fn next_fold(&self, plan: &FoldPlan) -> Result<Option<VectorFolded>, StoreError> {
        let mut differences: BTreeMap<_, _> = differences(&self.heads)?.into_iter().collect();
        differences.extend(&self.moved);
        differences.retain(|&origin, &mut seq| self.in_base(origin) != seq);
        let vector = over(self.base.clone(), differences.into_iter().collect());
        let ended = vector.difference().filter(|(origin, _)| !plan.live.contains(origin));
        let is_due = ended.clone().count() > plan.unfolded_max;
        Ok(is_due.then(|| VectorFolded::new(self.base.as_ref().map(|base| base.rank()), ended)))
    }
}

impl Tables<'_> {
    /// Folds the log's vector, unless that is not due any more. The fold says what the vector says at this commit.
    pub fn decide_fold(&self, plan: &FoldPlan) -> Result<Decision, StoreError> {
        let folded = self.heads.next_fold(plan)?;
        Ok(folded.map_or(Decision::Nothing, |folded| Decision::one(Scope::cluster(), folded)))
    }
}

/// Makes the tables of folds, empty: an earlier version stored folds of other nodes without knowing them, and the migration
/// applies them then.
pub(super) fn create_tables(transaction: &WriteTransaction) -> Result<(), StoreError> {
    transaction.open_table(tables::FOLDS)?;
    transaction.open_table(tables::HEADS_BASE)?;
    Ok(())
}
