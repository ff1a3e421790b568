//! Incremental digests of sets: the sum of the hashes of all members (Bellare and Micciancio, 'A New Paradigm for
//! Collision-Free Hashing', 1997). Equal sets have equal digests, whatever order their members were added in.
//! Digests find errors, not forgery: peers are trusted.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Scope, codec};

/// The version of the views' rows. Raise it with each change of a merge rule or of a row, together with a step of the
/// store: peers compare the digests of their views only if both have the same version.
pub const VIEWS_VERSION: u32 = 13;

/// The number of shards of all scopes. Peers exchange one digest per shard.
pub const SHARDS: usize = 256;

/// Rows of at most so many bytes are hashed in one piece, which takes a fraction of the time. Most rows are shorter.
const ROW_BYTES_AT_ONCE: usize = 256;

/// The digest of a set; empty by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest(u128);

impl Digest {
    /// Returns the digest of one row: `key` and `value` in the table `table`.
    pub fn hash_row(table: &str, key: &[u8], value: &[u8]) -> Self {
        // Lengths go first, so that different rows never hash the same bytes.
        let fields = [table.as_bytes(), key, value];
        let mut row = [0; ROW_BYTES_AT_ONCE];
        let mut used = 0;
        for field in fields {
            let end = used + 8 + field.len();
            let Some(part) = row.get_mut(used..end) else { return Self::hash_long_row(fields) };
            part[..8].copy_from_slice(&(field.len() as u64).to_be_bytes());
            part[8..].copy_from_slice(field);
            used = end;
        }
        Self::from_hash(blake3::hash(&row[..used]))
    }

    fn hash_long_row(fields: [&[u8]; 3]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for field in fields {
            hasher.update(&(field.len() as u64).to_be_bytes()).update(field);
        }
        Self::from_hash(hasher.finalize())
    }

    fn from_hash(hash: blake3::Hash) -> Self {
        let bytes = hash.as_bytes()[..16].try_into().expect("a hash has 32 bytes");
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
    use crate::RoomId;

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

    /// A digest whose two parts have no equal bytes.
    fn scope_digest() -> ScopeDigest {
        let bytes: [u8; 32] = std::array::from_fn(|at| u8::try_from(at).unwrap());
        ScopeDigest::from_bytes(&bytes)
    }

    /// Stored digests outlive the version that wrote them, so their bytes never change.
    #[test]
    fn a_stored_digest_has_the_events_first_and_then_the_views() {
        let expected = ScopeDigest {
            applied: Digest(0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100),
            views: Digest(0x1f1e_1d1c_1b1a_1918_1716_1514_1312_1110),
        };
        assert_eq!(scope_digest(), expected);
        assert_eq!(expected.to_bytes().to_vec(), (0..32).collect::<Vec<u8>>());
    }

    /// Log lines and `starling verify` show digests of one length, so that people can compare them.
    #[test]
    fn a_digest_is_shown_as_32_hexadecimal_digits() {
        assert_eq!(Digest(0xabc).to_string(), "00000000000000000000000000000abc");
    }

    /// A shard has the sum of its scopes, so a change in any of them shows.
    #[test]
    fn a_sum_of_scopes_has_the_events_and_views_of_both() {
        let mut sum = scope_digest();
        sum.add(ScopeDigest { applied: Digest(1), views: Digest(2) });
        let ScopeDigest { applied, views } = scope_digest();
        assert_eq!(sum, ScopeDigest { applied: Digest(applied.0 + 1), views: Digest(views.0 + 2) });
    }

    /// Promise 4: only different views of the same events are a divergence; different events are lag.
    #[test]
    fn only_different_views_of_the_same_events_are_a_contradiction() {
        let digest = |applied, views| ScopeDigest { applied: Digest(applied), views: Digest(views) };
        let others = [digest(1, 1), digest(1, 2), digest(2, 1), digest(2, 2)];
        assert_eq!(others.map(|other| digest(1, 1).contradicts(other)), [false, true, false, false]);
    }

    /// Peers of different versions compare the digests of shards, so a scope never moves to another shard.
    #[test]
    fn a_scope_keeps_its_shard() {
        let shards = [0, 1, 2].map(|n| scope_shard(&Scope::room(RoomId([n; 10]))));
        assert_eq!(shards, [204, 73, 105]);
    }

    /// Stored digests were made in either way.
    #[test]
    fn short_and_long_rows_are_hashed_alike() {
        for length in 0..2 * ROW_BYTES_AT_ONCE {
            let value = vec![7; length];
            let long = Digest::hash_long_row([b"table", b"key", &value]);
            assert_eq!(Digest::hash_row("table", b"key", &value), long, "{length}");
        }
    }

    #[test]
    fn rows_with_the_same_concatenation_have_different_digests() {
        assert_ne!(Digest::hash_row("t", b"ab", b"c"), Digest::hash_row("t", b"a", b"bc"));
        assert_ne!(Digest::hash_row("ta", b"b", b"c"), Digest::hash_row("t", b"ab", b"c"));
    }
}
