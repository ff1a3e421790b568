//! Incremental digests of sets: the sum of the hashes of all members (Bellare and Micciancio, 'A New Paradigm for
//! Collision-Free Hashing', 1997). Equal sets have equal digests, whatever order their members were added in.
//! Digests find errors, not forgery: peers are trusted.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Scope, codec};

/// The number of shards of all scopes. Peers exchange one digest per shard.
pub const SHARDS: usize = 256;

/// The digest of a set; empty by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest(u128);

impl Digest {
    /// Returns the digest of one row: `key` and `value` in the table `table`.
    pub fn hash_row(table: &str, key: &[u8], value: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        // Lengths go first, so that different rows never hash the same bytes.
        for field in [table.as_bytes(), key, value] {
            hasher.update(&(field.len() as u64).to_be_bytes()).update(field);
        }
        let bytes = hasher.finalize().as_bytes()[..16].try_into().expect("a hash has 32 bytes");
        Self(u128::from_le_bytes(bytes))
    }

    /// Adds the members of another set. The sets must be disjoint.
    pub fn add(&mut self, other: Self) {
        self.0 = self.0.wrapping_add(other.0);
    }

    /// Removes the members of another set. All of them must be in this one.
    pub fn remove(&mut self, other: Self) {
        self.0 = self.0.wrapping_sub(other.0);
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The digest of a scope or of a shard. If two nodes applied the same events and have different views, they have
/// diverged. If they applied different events, nothing can be said yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScopeDigest {
    /// The applied events. Events of kinds that this version doesn't know are left out.
    pub applied: Digest,
    /// The resulting rows of the views.
    pub views: Digest,
}

impl ScopeDigest {
    /// Adds another scope's digest.
    pub fn add(&mut self, other: Self) {
        self.applied.add(other.applied);
        self.views.add(other.views);
    }

    /// Returns 32 bytes, for a table.
    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(&self.applied.0.to_le_bytes());
        bytes[16..].copy_from_slice(&self.views.0.to_le_bytes());
        bytes
    }

    /// The inverse of [`ScopeDigest::to_bytes`].
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        let half = |at: usize| bytes[at..at + 16].try_into().map_or(0, u128::from_le_bytes);
        Self { applied: Digest(half(0)), views: Digest(half(16)) }
    }

    /// Whether the same events led to different views.
    pub fn contradicts(self, other: Self) -> bool {
        self.applied == other.applied && self.views != other.views
    }
}

/// Returns the number of a scope's shard, below [`SHARDS`].
pub fn scope_shard(scope: &Scope) -> u8 {
    blake3::hash(&codec::encode(scope)).as_bytes()[0]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Promise 4: a digest depends on the rows, not on the order of changes.
        #[test]
        fn equal_sets_have_equal_digests(rows in prop::collection::btree_set(any::<(u8, u8)>(), 0..20), extra in any::<(u8, u8)>()) {
            let row_digest = |&(key, value): &(u8, u8)| Digest::hash_row("t", &[key], &[value]);
            let mut ascending = Digest::default();
            for row in &rows {
                ascending.add(row_digest(row));
            }
            let mut descending = row_digest(&extra);
            for row in rows.iter().rev() {
                descending.add(row_digest(row));
            }
            prop_assert_ne!(ascending, descending);
            descending.remove(row_digest(&extra));
            prop_assert_eq!(ascending, descending);
        }
    }

    #[test]
    fn rows_with_the_same_concatenation_have_different_digests() {
        assert_ne!(Digest::hash_row("t", b"ab", b"c"), Digest::hash_row("t", b"a", b"bc"));
        assert_ne!(Digest::hash_row("ta", b"b", b"c"), Digest::hash_row("t", b"ab", b"c"));
    }
}
