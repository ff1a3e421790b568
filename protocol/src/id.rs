//! Identifiers: fixed-size bytes, random or derived. Their text forms are URL-safe and at most 64 characters.
//! The caller provides the randomness.

use std::{fmt, str::FromStr, sync::LazyLock};

use data_encoding::{Encoding, HEXLOWER, Specification};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use crate::{event::scope::Scope, limits::ID_CHARS_MAX};

/// A message's id: the UUID that the client chose, or a derived one if two senders chose the same.
pub type MessageId = Uuid;

/// The text is not an id: empty, too long, or not URL-safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("an id is 1 to {ID_CHARS_MAX} characters of A-Z a-z 0-9 - _ . ~")]
pub struct MalformedId;

/// A node's id: random, made with its data directory.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub [u8; 16]);

impl NodeId {
    /// Parses the 32 hexadecimal digits that `Display` writes.
    pub fn parse(text: &str) -> Result<Self, MalformedId> {
        let bytes = HEXLOWER.decode(text.as_bytes()).map_err(|_| MalformedId)?;
        bytes.try_into().map(Self).map_err(|_| MalformedId)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0[..4]))
    }
}

/// The id of one process as a writer: its node, and a random incarnation, drawn at its first write. No other process
/// continues it, so a sequence number is never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OriginId {
    /// The node.
    pub node: NodeId,
    /// A random number, drawn at the process's first write.
    pub incarnation: u64,
}

impl OriginId {
    /// The length of [`OriginId::to_bytes`].
    pub const BYTES: usize = 24;

    /// Returns big-endian bytes. They sort like the ids.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..16].copy_from_slice(&self.node.0);
        bytes[16..].copy_from_slice(&self.incarnation.to_be_bytes());
        bytes
    }

    /// The inverse of [`OriginId::to_bytes`].
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let (node, incarnation) = bytes.split_at(16);
        Self {
            node: NodeId(node.try_into().expect("split at 16")),
            incarnation: u64::from_be_bytes(incarnation.try_into().expect("8 of 24 remain")),
        }
    }
}

impl fmt::Display for OriginId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:016x}", self.node, self.incarnation)
    }
}

impl fmt::Debug for OriginId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}-{:x}", self.node, self.incarnation)
    }
}

/// A room's id: 80 bits, random (and so impossible to guess) or derived; 16 characters in a link.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RoomId(pub [u8; 10]);

/// Crockford's base 32 in lower case. It has no `i l o u`, so people can read an id aloud.
static TEXT_ENCODING: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification.symbols.push_str("0123456789abcdefghjkmnpqrstvwxyz");
    specification.encoding().expect("32 distinct symbols make an encoding")
});

/// Parses an id from a client. Returns `Ok(None)` for a well-formed id of another length or alphabet.
fn parse_text<const N: usize>(text: &str) -> Result<Option<[u8; N]>, MalformedId> {
    let url_safe = |c: u8| c.is_ascii_alphanumeric() || b"-_.~".contains(&c);
    if text.is_empty() || text.len() > ID_CHARS_MAX || !text.bytes().all(url_safe) {
        return Err(MalformedId);
    }
    let bytes = TEXT_ENCODING.decode(text.as_bytes()).ok();
    Ok(bytes.and_then(|bytes| bytes.try_into().ok()))
}

macro_rules! text_id {
    ($id:ident) => {
        impl $id {
            /// Parses an id from a client. Returns `Ok(None)` for a well-formed id that can't be one of this kind.
            pub fn parse(text: &str) -> Result<Option<Self>, MalformedId> {
                Ok(parse_text(text)?.map(Self))
            }
        }

        /// Like `parse`, but an id of another kind is an error.
        impl FromStr for $id {
            type Err = MalformedId;

            fn from_str(text: &str) -> Result<Self, MalformedId> {
                Self::parse(text)?.ok_or(MalformedId)
            }
        }

        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&TEXT_ENCODING.encode(&self.0))
            }
        }

        impl fmt::Debug for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}
text_id!(RoomId);
text_id!(UserId);
text_id!(SessionId);
text_id!(InviteCode);
text_id!(FileId);
text_id!(HookId);

/// An account's id: random, made at registration; 26 characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UserId(pub [u8; 16]);

/// The id of a login or of a personal access token: random; 26 characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionId(pub [u8; 16]);

/// A file's id: the node that took it (16 bytes), and 16 random bytes; 52 characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FileId(pub [u8; 32]);

/// The id of a webhook that posts in a room: random; 26 characters. It is not enough to post; the webhook's key is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HookId(pub [u8; 16]);

/// The id of an invite in the log: 80 random bits. It is not enough to join a room; an [`InviteCode`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InviteId(pub [u8; 10]);

impl InviteId {
    /// Returns the scope of the invite's lookup.
    pub fn lookup_scope(self) -> Scope {
        Scope::cluster_bucket(self.0[0])
    }
}

/// The code of an invite: its id, and a MAC that only the cluster's nodes can make; 42 characters. Everybody who has it
/// may join, so it is never stored in an event or a view.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct InviteCode([u8; 26]);

impl InviteCode {
    /// Makes a code of an id and its MAC.
    pub fn new(id: InviteId, mac: [u8; 16]) -> Self {
        let mut bytes = [0; 26];
        bytes[..10].copy_from_slice(&id.0);
        bytes[10..].copy_from_slice(&mac);
        Self(bytes)
    }

    /// Returns the id and the MAC. The caller must check the MAC.
    pub fn unverified(self) -> (InviteId, [u8; 16]) {
        let (id, mac) = self.0.split_at(10);
        (InviteId(id.try_into().expect("split at 10")), mac.try_into().expect("16 of 26 remain"))
    }
}

/// The id of a person in a quick room, never shown to others. A guest's is random, drawn when they first enter a room, and
/// kept in their cursor; the id of somebody with an account is their user id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GuestId(pub [u8; 16]);

impl fmt::Debug for GuestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "guest-{}", HEXLOWER.encode(&self.0[..4]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_id_round_trips_through_text() {
        let room = RoomId([0, 1, 2, 3, 250, 251, 252, 253, 254, 255]);
        assert_eq!(room.to_string().len(), 16);
        assert_eq!(RoomId::parse(&room.to_string()), Ok(Some(room)));
    }

    #[test]
    fn an_invite_code_round_trips_through_text() {
        let (id, mac) = (InviteId([250; 10]), [251; 16]);
        let code = InviteCode::new(id, mac);
        assert_eq!(code.to_string().len(), 42);
        assert_eq!(InviteCode::parse(&code.to_string()), Ok(Some(code)));
        assert_eq!(code.unverified(), (id, mac));
    }

    #[test]
    fn only_malformed_room_ids_are_refused() {
        let long = "a".repeat(ID_CHARS_MAX + 1);
        for malformed in ["", "a b", "a/b", "ä", long.as_str()] {
            assert_eq!(RoomId::parse(malformed), Err(MalformedId), "{malformed:?}");
        }
        for unknown in ["nope", "A-room_of.another~system", &long[1..], "0123456789abcdeu"] {
            assert_eq!(RoomId::parse(unknown), Ok(None), "{unknown:?}");
        }
    }

    #[test]
    fn origins_sort_like_their_bytes() {
        let origin = |node: u8, incarnation| OriginId { node: NodeId([node; 16]), incarnation };
        let mut origins = [origin(2, 1), origin(1, 256), origin(1, 1)];
        origins.sort();
        assert!(origins.is_sorted_by_key(|origin| origin.to_bytes()));
        assert!(origins.iter().all(|origin| OriginId::from_bytes(origin.to_bytes()) == *origin));
    }
}
