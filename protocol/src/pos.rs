//! Positions: `(hlc, origin, seq)`. All nodes order the events of a scope by them.
//! Clients see a position as an opaque text that sorts the same way.

use std::{fmt, sync::LazyLock};

use data_encoding::{Encoding, Specification};

use serde::{Deserialize, Serialize};

use crate::{Hlc, OriginId, Seq, id::MalformedId};

/// The position of an event in the order of its scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Pos {
    /// The event's stamp.
    pub hlc: Hlc,
    /// The event's origin: breaks ties between writers.
    pub origin: OriginId,
    /// The event's sequence number: breaks ties of one writer.
    pub seq: Seq,
}

/// URL-safe base 64 with its symbols in ASCII order, so that texts sort like the bytes.
static ENCODING: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification.symbols.push_str("-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz");
    specification.encoding().expect("64 distinct symbols make an encoding")
});

impl Pos {
    /// The length of [`Pos::to_bytes`].
    pub const BYTES: usize = 16 + OriginId::BYTES;
    /// A position before every event.
    pub const MIN: Self = Self {
        hlc: Hlc(0),
        origin: OriginId { node: crate::NodeId([0; 16]), incarnation: 0 },
        seq: Seq::NONE,
    };

    /// Returns bytes that sort like the positions.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.hlc.0.to_be_bytes());
        bytes[8..32].copy_from_slice(&self.origin.to_bytes());
        bytes[32..].copy_from_slice(&self.seq.0.to_be_bytes());
        bytes
    }

    /// The inverse of [`Pos::to_bytes`].
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let bytes_at = |range: std::ops::Range<usize>| -> [u8; 8] {
            bytes[range].try_into().expect("ranges of 8 bytes")
        };
        Self {
            hlc: Hlc(u64::from_be_bytes(bytes_at(0..8))),
            origin: OriginId::from_bytes(bytes[8..32].try_into().expect("24 bytes")),
            seq: Seq(u64::from_be_bytes(bytes_at(32..40))),
        }
    }

    /// Parses the text form.
    pub fn parse(text: &str) -> Result<Self, MalformedId> {
        let bytes = ENCODING.decode(text.as_bytes()).map_err(|_| MalformedId)?;
        bytes.try_into().map(Self::from_bytes).map_err(|_| MalformedId)
    }
}

impl fmt::Display for Pos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&ENCODING.encode(&self.to_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn texts_sort_like_positions(a: [u8; Pos::BYTES], b: [u8; Pos::BYTES]) {
            let (a, b) = (Pos::from_bytes(a), Pos::from_bytes(b));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
            prop_assert_eq!(Pos::parse(&a.to_string()), Ok(a));
            prop_assert!(a.to_string().len() <= crate::limits::ID_CHARS_MAX);
        }
    }
}
