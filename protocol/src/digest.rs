//! Digests of sets that are kept up incrementally: the sum of the hashes of all members (Bellare and Micciancio,
//! 'A New Paradigm for Collision-Free Hashing', 1997). Equal sets have equal digests in whatever order they came.
//! They find errors, not forgers: a peer is trusted.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Scope, codec};

/// Into how many parts the scopes are divided for exchange between peers.
pub const SHARDS: usize = 256;

/// The digest of a set; empty by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest(u128);

impl Digest {
    /// A set of one: what `key` and `value` say in the table `table`.
    pub fn of(table: &str, key: &[u8], value: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        // Lengths go first, so that no two different rows hash alike.
        for part in [table.as_bytes(), key, value] {
            hasher.update(&(part.len() as u64).to_be_bytes()).update(part);
        }
        let bytes = hasher.finalize().as_bytes()[..16].try_into().expect("a hash has 32 bytes");
        Self(u128::from_le_bytes(bytes))
    }

    /// With the members of another set that shares none with this one.
    pub fn add(&mut self, other: Self) {
        self.0 = self.0.wrapping_add(other.0);
    }

    /// Without the members of another set, all of which are in this one.
    pub fn remove(&mut self, other: Self) {
        self.0 = self.0.wrapping_sub(other.0);
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// What is kept of a scope, or of a part of all scopes. Where two nodes have applied the same and show something
/// else, they have diverged; where they have not applied the same, nothing can be said yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScopeDigest {
    /// The events that were applied; none of a kind that this version does not know.
    pub applied: Digest,
    /// The rows of the views that came of it.
    pub views: Digest,
}

impl ScopeDigest {
    /// With what another one has.
    pub fn add(&mut self, other: Self) {
        self.applied.add(other.applied);
        self.views.add(other.views);
    }

    /// As 32 bytes, for a table.
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

    /// Whether both come of the same events and yet differ.
    pub fn contradicts(self, other: Self) -> bool {
        self.applied == other.applied && self.views != other.views
    }
}

/// Which of the [`SHARDS`] a scope belongs to.
pub fn part_of(scope: &Scope) -> u8 {
    blake3::hash(&codec::encode(scope)).as_bytes()[0]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Promise 4: a digest depends on what is there, not on how it came to be.
        #[test]
        fn a_digest_is_of_a_set(rows in prop::collection::btree_set(any::<(u8, u8)>(), 0..20), gone in any::<(u8, u8)>()) {
            let of = |&(key, value): &(u8, u8)| Digest::of("t", &[key], &[value]);
            let mut up = Digest::default();
            for row in &rows {
                up.add(of(row));
            }
            let mut down = of(&gone);
            for row in rows.iter().rev() {
                down.add(of(row));
            }
            prop_assert_ne!(up, down);
            down.remove(of(&gone));
            prop_assert_eq!(up, down);
        }
    }

    #[test]
    fn rows_that_only_look_alike_hash_otherwise() {
        assert_ne!(Digest::of("t", b"ab", b"c"), Digest::of("t", b"a", b"bc"));
        assert_ne!(Digest::of("ta", b"b", b"c"), Digest::of("t", b"ab", b"c"));
    }
}
