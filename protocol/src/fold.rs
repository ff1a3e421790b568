//! Folds: dictionaries for writing version vectors down. A vector has an entry for each start of each node, so it would
//! grow for ever; written as the difference from a fold that both sides know, it is small. What a vector means never
//! changes: whoever has the fold that a rank names reads exactly the vector that was written.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Weak},
};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use crate::{
    codec,
    id::{NodeId, OriginId},
    limits::{EVENT_BYTES_MAX, FOLD_ENTRIES_MAX},
    seq::Seq,
};

/// The name of a fold: a hash of its event's body. The same fold made twice is one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FoldId(pub [u8; 16]);

impl fmt::Display for FoldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for FoldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0[..4]))
    }
}

/// The rank of a fold: of two, the greater one is newer. It depends on the fold's content alone, never on clocks, so that
/// all nodes agree. A rank names one fold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FoldRank {
    /// The generation: that of the base plus one; 1 without a base.
    pub generation: u64,
    /// The id.
    pub id: FoldId,
}

impl FoldRank {
    /// The length of [`FoldRank::to_bytes`].
    pub const BYTES: usize = 24;

    /// Returns big-endian bytes. They sort like the ranks.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.generation.to_be_bytes());
        bytes[8..].copy_from_slice(&self.id.0);
        bytes
    }

    /// The inverse of [`FoldRank::to_bytes`].
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let (generation, id) = bytes.split_at(8);
        Self {
            generation: u64::from_be_bytes(generation.try_into().expect("split at 8")),
            id: FoldId(id.try_into().expect("16 of 24 remain")),
        }
    }
}

/// Entries by node, which writes the 16 bytes of each node's id only once.
type EntriesByNode = Vec<(NodeId, Vec<(u64, Seq)>)>;

/// The event of a fold: what its maker's vector said at that commit, as the difference from another fold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VectorFolded {
    /// The fold that this one continues.
    pub base: Option<FoldId>,
    /// The generation of the base plus one; 1 without a base.
    pub generation: u64,
    /// Origins with their sequence numbers, which replace those of the base, also by lower ones.
    entries: EntriesByNode,
}

impl VectorFolded {
    /// Makes a fold of entries, in the order of their origins. What is beyond the limits is left out, for the next fold.
    pub fn new(base: Option<FoldRank>, entries: impl IntoIterator<Item = (OriginId, Seq)>) -> Self {
        // Upper bounds of the encoded sizes.
        const NODE_BYTES: usize = 16 + 3;
        const ENTRY_BYTES: usize = 9 + 9;
        let mut bytes = 1024;
        let mut last_node = None;
        let fits = |(origin, _): &(OriginId, Seq)| {
            bytes += ENTRY_BYTES;
            if last_node.replace(origin.node) != Some(origin.node) {
                bytes += NODE_BYTES;
            }
            bytes <= EVENT_BYTES_MAX
        };
        let entries = group(entries.into_iter().take(FOLD_ENTRIES_MAX).take_while(fits));
        Self {
            base: base.map(|base| base.id),
            generation: base.map_or(0, |base| base.generation).saturating_add(1),
            entries,
        }
    }

    /// Returns its rank, which hashes the body.
    pub fn rank(&self) -> FoldRank {
        let hash = blake3::hash(&codec::encode(self));
        let id = hash.as_bytes()[..16].try_into().expect("a hash has 32 bytes");
        FoldRank { generation: self.generation, id: FoldId(id) }
    }

    /// Returns the rank of its base; `None` without a base.
    pub fn base_rank(&self) -> Option<FoldRank> {
        Some(FoldRank { generation: self.generation.checked_sub(1)?, id: self.base? })
    }

    /// Whether it is within the limits and its generation can follow from its base. If not, no node ever uses it.
    pub fn is_sound(&self) -> bool {
        let count: usize = self.entries.iter().map(|(_, entries)| entries.len()).sum();
        count <= FOLD_ENTRIES_MAX && (self.generation == 1) == self.base.is_none() && self.generation > 0
    }

    /// Returns the origins with their sequence numbers.
    pub fn entries(&self) -> impl Iterator<Item = (OriginId, Seq)> + '_ {
        ungroup(&self.entries)
    }
}

/// Groups entries by node. They must be in the order of their origins.
pub(crate) fn group<T>(entries: impl Iterator<Item = (OriginId, T)>) -> Vec<(NodeId, Vec<(u64, T)>)> {
    let mut groups: Vec<(NodeId, Vec<(u64, T)>)> = Vec::new();
    for (origin, value) in entries {
        match groups.last_mut() {
            Some((node, group)) if *node == origin.node => group.push((origin.incarnation, value)),
            _ => groups.push((origin.node, vec![(origin.incarnation, value)])),
        }
    }
    groups
}

/// The inverse of [`group`].
pub(crate) fn ungroup<T: Copy>(
    groups: &[(NodeId, Vec<(u64, T)>)],
) -> impl Iterator<Item = (OriginId, T)> + '_ {
    groups.iter().flat_map(|(node, group)| {
        group.iter().map(|&(incarnation, value)| (OriginId { node: *node, incarnation }, value))
    })
}

/// A fold that this node can use: it holds all folds that it continues.
#[derive(Debug)]
pub struct Fold {
    rank: FoldRank,
    event: (OriginId, Seq),
    entries: BTreeMap<OriginId, Seq>,
}

impl Fold {
    /// Applies folds to one another, each the base of the next; `base` is that of the first. `None` if there is none, or
    /// if one does not continue the one before it. `events` are the events that brought them.
    pub fn expand(
        base: Option<&Self>,
        chain: impl IntoIterator<Item = ((OriginId, Seq), VectorFolded)>,
    ) -> Option<Arc<Self>> {
        let mut rank = base.map(|base| base.rank);
        let mut entries = base.map(|base| base.entries.clone()).unwrap_or_default();
        let mut last = None;
        for (event, folded) in chain {
            if !folded.is_sound() || folded.base_rank() != rank {
                return None;
            }
            for (origin, seq) in folded.entries() {
                if seq == Seq::NONE {
                    entries.remove(&origin);
                } else {
                    entries.insert(origin, seq);
                }
            }
            rank = Some(folded.rank());
            last = Some(event);
        }
        Some(Arc::new(Self { rank: rank?, event: last?, entries }))
    }

    /// Its rank, which names it.
    pub fn rank(&self) -> FoldRank {
        self.rank
    }

    /// An event that brought it: whoever holds that and its bases can use it.
    pub fn event(&self) -> (OriginId, Seq) {
        self.event
    }

    /// Returns the sequence number of an origin; 0 if it has none.
    pub fn get(&self, origin: OriginId) -> Seq {
        self.entries.get(&origin).copied().unwrap_or(Seq::NONE)
    }

    /// Returns all entries in the order of their origins; none is 0.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (OriginId, Seq)> + Clone + '_ {
        self.entries.iter().map(|(&origin, &seq)| (origin, seq))
    }
}

/// The folds that are in memory, for whoever reads a vector that was written under one. It keeps the newest few; others
/// stay as long as a vector uses them.
#[derive(Debug, Default)]
pub struct RecentFolds {
    kept: Vec<Arc<Fold>>,
    used: BTreeMap<FoldRank, Weak<Fold>>,
}

/// The folds that [`RecentFolds`] keeps although no vector uses them, at most.
const KEPT_MAX: usize = 4;

impl RecentFolds {
    /// Returns a fold, if it is in memory.
    pub fn get(&self, rank: FoldRank) -> Option<Arc<Fold>> {
        self.used.get(&rank)?.upgrade()
    }

    /// Adds a fold.
    pub fn add(&mut self, fold: &Arc<Fold>) {
        self.used.retain(|_, fold| fold.strong_count() > 0);
        self.used.insert(fold.rank, Arc::downgrade(fold));
        self.kept.retain(|kept| kept.rank != fold.rank);
        self.kept.push(Arc::clone(fold));
        if self.kept.len() > KEPT_MAX {
            self.kept.remove(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(node: u8, incarnation: u64) -> OriginId {
        OriginId { node: NodeId([node; 16]), incarnation }
    }

    const EVENT: (OriginId, Seq) = (OriginId { node: NodeId([9; 16]), incarnation: 9 }, Seq(9));

    fn entries(fold: &Fold) -> Vec<(OriginId, Seq)> {
        fold.iter().collect()
    }

    /// Promise 13: what a fold says depends on its content and its bases alone; entries also go down, to 0 too.
    #[test]
    fn a_fold_replaces_entries_of_its_base_also_downwards() {
        let first =
            VectorFolded::new(None, [(origin(1, 1), Seq(5)), (origin(1, 2), Seq(6)), (origin(2, 1), Seq(7))]);
        let base = Fold::expand(None, [(EVENT, first.clone())]).unwrap();
        assert_eq!((base.rank(), base.event()), (first.rank(), EVENT));
        let second = VectorFolded::new(
            Some(base.rank()),
            [(origin(1, 1), Seq(3)), (origin(1, 2), Seq(0)), (origin(3, 1), Seq(1))],
        );
        let expected = [(origin(1, 1), Seq(3)), (origin(2, 1), Seq(7)), (origin(3, 1), Seq(1))];
        let fold = Fold::expand(Some(&base), [(EVENT, second.clone())]).unwrap();
        assert_eq!(entries(&fold), expected);
        let at_once = Fold::expand(None, [(EVENT, first), (EVENT, second)]).unwrap();
        assert_eq!((entries(&at_once), at_once.rank()), (expected.to_vec(), fold.rank()));
    }

    /// Bad input: a fold whose base is not the one that its hash names, or whose generation does not follow, is unknown.
    #[test]
    fn a_fold_without_its_base_is_unknown() {
        let first = VectorFolded::new(None, [(origin(1, 1), Seq(5))]);
        let other = VectorFolded::new(None, [(origin(1, 1), Seq(6))]);
        let second = VectorFolded::new(Some(first.rank()), [(origin(1, 1), Seq(7))]);
        let expand =
            |chain: &[&VectorFolded]| Fold::expand(None, chain.iter().map(|&fold| (EVENT, fold.clone())));
        assert!(expand(&[&first, &second]).is_some());
        assert!(expand(&[&other, &second]).is_none(), "another base");
        assert!(expand(&[&second]).is_none() && expand(&[]).is_none(), "no base");
        let skipped = VectorFolded { generation: 3, ..second.clone() };
        assert!(expand(&[&first, &skipped]).is_none(), "a generation is missing");
        for unsound in
            [VectorFolded { generation: 2, ..first.clone() }, VectorFolded { generation: 0, ..first }]
        {
            assert!(!unsound.is_sound() && expand(&[&unsound]).is_none());
        }
    }

    /// The same fold made twice is one, and a changed bit makes another.
    #[test]
    fn a_rank_names_the_content() {
        let fold = |seq| VectorFolded::new(None, [(origin(1, 1), Seq(seq))]);
        assert_eq!(fold(5).rank(), fold(5).rank());
        assert_ne!(fold(5).rank(), fold(6).rank());
        let later = VectorFolded::new(Some(fold(5).rank()), []);
        assert!(later.rank() > fold(5).rank() && later.rank() > fold(6).rank(), "generations come first");
        let rank = later.rank();
        assert_eq!(FoldRank::from_bytes(rank.to_bytes()), rank);
        assert!(fold(5).rank().to_bytes() < rank.to_bytes());
    }

    /// A fold is an event, so it must fit one. The rest is for the next fold.
    #[test]
    fn the_largest_fold_fits_an_event() {
        let one_node = (0..10_000).map(|n| (origin(1, u64::MAX - 10_000 + n), Seq(u64::MAX)));
        let many_nodes = (0_u32..10_000).map(|n| {
            let mut node = [255; 16];
            node[..4].copy_from_slice(&n.to_be_bytes());
            (OriginId { node: NodeId(node), incarnation: u64::MAX }, Seq(u64::MAX))
        });
        let count = |fold: &VectorFolded| (fold.entries().count(), codec::encode(fold).len());
        let (entries, bytes) = count(&VectorFolded::new(None, one_node));
        assert!(
            entries == FOLD_ENTRIES_MAX && bytes < EVENT_BYTES_MAX - 512,
            "{entries} entries, {bytes} bytes"
        );
        let (entries, bytes) = count(&VectorFolded::new(None, many_nodes));
        assert!(entries > 3_000 && bytes < EVENT_BYTES_MAX - 512, "{entries} entries, {bytes} bytes");
    }

    #[test]
    fn a_fold_is_kept_while_it_is_new_or_in_use() {
        let mut recent = RecentFolds::default();
        let fold =
            |seq| Fold::expand(None, [(EVENT, VectorFolded::new(None, [(origin(1, 1), Seq(seq))]))]).unwrap();
        let used = fold(100);
        recent.add(&used);
        for seq in 1..=KEPT_MAX as u64 + 1 {
            recent.add(&fold(seq));
        }
        assert!(recent.get(used.rank()).is_some(), "in use");
        assert!(recent.get(fold(1).rank()).is_none(), "neither");
        assert!(recent.get(fold(2).rank()).is_some(), "new");
    }
}
