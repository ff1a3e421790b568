//! Resume cursors. A cursor says which events a client has received, so that it can resume at any node. It is encrypted
//! and authenticated: only nodes with the cluster's key can make and read one.

use std::sync::Arc;

use chacha20poly1305::{
    Key, XChaCha20Poly1305, XNonce,
    aead::{Aead, KeyInit, Payload},
};
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    Fold, FoldRank, GuestId, Hlc, NodeId, OriginId, RoomId, Seq, UserId, VersionVector, codec, fold,
    limits::CURSOR_CHARS_MAX,
};

/// Length of the nonce for [`CursorKey::seal`]: long enough that random nonces never repeat.
pub const NONCE_BYTES: usize = 24;

/// The owner of a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CursorOwner {
    /// Anybody in a quick room, also a person with an account.
    Guest {
        /// The person's id in the room. That of a person with an account is their user id.
        id: GuestId,
        /// The quick room.
        room: RoomId,
    },
    /// A user with an account: the cursor covers all of their rooms and contacts.
    User(UserId),
}

/// The events that a client has received. Clients hold it as a sealed text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The user or guest who received the events.
    pub owner: CursorOwner,
    /// All events up to here that concern the owner were sent to them.
    pub vector: VersionVector,
    /// In a quick room: the greatest stamp among these events. The owner's next post is stamped above it. Unused for users.
    pub greatest: Hlc,
}

/// The reason why a cursor was refused. The client gets a resync in each case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CursorError {
    /// It was not sealed with this cluster's key, or was altered, or has another format.
    #[error("the cursor cannot be read here")]
    Unreadable,
    /// It has more than [`CURSOR_CHARS_MAX`] characters.
    #[error("the cursor is longer than {CURSOR_CHARS_MAX} characters")]
    TooLong,
    /// It is written over a fold that this node can't use yet. It says nothing until then, not even that it is empty.
    #[error("the cursor is written over a fold that this node does not have")]
    UnknownFold {
        /// The fold.
        fold: FoldRank,
        /// The event that brought the fold to the node that sealed the cursor: what to wait for.
        event: (OriginId, Seq),
    },
}

/// Binds the sealed text to this purpose and to format 1, that of vectors without a fold.
const ASSOCIATED_DATA: &[u8] = b"starling cursor 1";
/// Binds the sealed text to this purpose and to format 2, that of vectors over a fold.
const ASSOCIATED_DATA_FOLDED: &[u8] = b"starling cursor 2";

/// The sealed content. Incarnations are grouped by node, to write the 16 bytes of each node's id only once.
#[derive(Serialize, Deserialize)]
struct Plain {
    owner: CursorOwner,
    greatest: Hlc,
    vector: Vec<(NodeId, Vec<(u64, Seq)>)>,
}

/// The sealed content of format 2.
#[derive(Serialize, Deserialize)]
struct PlainFolded {
    owner: CursorOwner,
    greatest: Hlc,
    fold: FoldRank,
    event: (OriginId, Seq),
    /// The entries that differ from the fold; 0 for what the fold has and the client lacks.
    difference: Vec<(NodeId, Vec<(u64, Seq)>)>,
}

/// The key that seals cursors, the same on every node of a cluster.
#[derive(Clone)]
pub struct CursorKey(XChaCha20Poly1305);

impl CursorKey {
    /// Makes a key of 32 secret bytes.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(XChaCha20Poly1305::new(Key::from_slice(key)))
    }

    /// Seals a cursor, over the fold of its vector if that has one. Each call needs a fresh random nonce. Fails with
    /// `TooLong` if the vector has too many origins, or too many that differ from the fold.
    pub fn seal(&self, cursor: &Cursor, nonce: [u8; NONCE_BYTES]) -> Result<String, CursorError> {
        let Cursor { owner, greatest, ref vector } = *cursor;
        let (plain, aad) = match vector.base() {
            None => {
                let vector = fold::group(vector.iter());
                (codec::encode(&Plain { owner, greatest, vector }), ASSOCIATED_DATA)
            }
            Some(base) => {
                let (fold, event) = (base.rank(), base.event());
                let difference = fold::group(vector.difference());
                let plain = PlainFolded { owner, greatest, fold, event, difference };
                (codec::encode(&plain), ASSOCIATED_DATA_FOLDED)
            }
        };
        let payload = Payload { msg: &plain, aad };
        let sealed =
            self.0.encrypt(XNonce::from_slice(&nonce), payload).expect("the cipher takes a few kilobytes");
        let text = BASE64URL_NOPAD.encode(&[&nonce[..], &sealed].concat());
        if text.len() > CURSOR_CHARS_MAX { Err(CursorError::TooLong) } else { Ok(text) }
    }

    /// Opens a text that [`CursorKey::seal`] made on any node with the same key, if it is not written over a fold.
    pub fn open(&self, text: &str) -> Result<Cursor, CursorError> {
        self.open_over(text, |_| None)
    }

    /// Opens a text that [`CursorKey::seal`] made on any node with the same key. `fold` looks up the fold that it is written
    /// over, if any; without it the cursor fails with `UnknownFold`.
    pub fn open_over(
        &self,
        text: &str,
        fold: impl FnOnce(FoldRank) -> Option<Arc<Fold>>,
    ) -> Result<Cursor, CursorError> {
        if text.len() > CURSOR_CHARS_MAX {
            return Err(CursorError::TooLong);
        }
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| CursorError::Unreadable)?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_BYTES).ok_or(CursorError::Unreadable)?;
        let decrypt = |aad| self.0.decrypt(XNonce::from_slice(nonce), Payload { msg: sealed, aad });
        let Ok(plain) = decrypt(ASSOCIATED_DATA_FOLDED) else {
            let plain = decrypt(ASSOCIATED_DATA).map_err(|_| CursorError::Unreadable)?;
            let Plain { owner, greatest, vector } =
                codec::decode(&plain, CURSOR_CHARS_MAX).map_err(|_| CursorError::Unreadable)?;
            return Ok(Cursor { owner, vector: fold::ungroup(&vector).collect(), greatest });
        };
        let PlainFolded { owner, greatest, fold: rank, event, difference } =
            codec::decode(&plain, CURSOR_CHARS_MAX).map_err(|_| CursorError::Unreadable)?;
        let base = fold(rank).ok_or(CursorError::UnknownFold { fold: rank, event })?;
        Ok(Cursor { owner, vector: VersionVector::over(base, fold::ungroup(&difference)), greatest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(origins: u64) -> Cursor {
        let origin = |n: u64| OriginId { node: NodeId([(n % 3) as u8; 16]), incarnation: u64::MAX - n };
        Cursor {
            owner: CursorOwner::Guest { id: GuestId([1; 16]), room: RoomId([2; 10]) },
            vector: (0..origins).map(|n| (origin(n), Seq(1_000_000 + n))).collect(),
            greatest: Hlc(77),
        }
    }

    #[test]
    fn a_cursor_opens_with_its_own_key_only() {
        let key = CursorKey::new(&[1; 32]);
        let user_cursor = Cursor { owner: CursorOwner::User(UserId([1; 16])), ..cursor(9) };
        for cursor in [cursor(9), user_cursor] {
            let text = key.seal(&cursor, [5; NONCE_BYTES]).unwrap();
            assert_eq!(key.open(&text), Ok(cursor));
        }
        let text = key.seal(&cursor(9), [5; NONCE_BYTES]).unwrap();
        assert_eq!(CursorKey::new(&[2; 32]).open(&text), Err(CursorError::Unreadable));
    }

    /// Promise 13: over a fold a cursor is short, however many origins there are, and says the same.
    #[test]
    fn a_cursor_over_a_fold_is_short_and_says_the_same() {
        let key = CursorKey::new(&[1; 32]);
        let vector = cursor(3_900).vector;
        let event = (OriginId { node: NodeId([7; 16]), incarnation: 7 }, Seq(7));
        let base = Fold::expand(None, [(event, fold::VectorFolded::new(None, vector.iter()))]).unwrap();
        let mut folded = Cursor { vector: vector.clone(), ..cursor(0) };
        folded.vector.rebase(&base);
        let (first, _) = vector.iter().next().unwrap();
        // The client lacks an origin that the fold has, and has more of others.
        folded.vector.limit(first, Seq(0));
        for n in 0..8 {
            folded
                .vector
                .advance(OriginId { node: NodeId([8 + n % 3; 16]), incarnation: u64::MAX }, Seq(1 << 40));
        }
        let text = key.seal(&folded, [5; NONCE_BYTES]).unwrap();
        assert!(text.len() < 512, "{} characters", text.len());
        let opened = key.open_over(&text, |rank| (rank == base.rank()).then(|| Arc::clone(&base))).unwrap();
        assert_eq!((opened.vector.get(first), &opened), (Seq::NONE, &folded));
        let plain: VersionVector = folded.vector.iter().collect();
        assert_eq!(opened.vector, plain);
    }

    /// Promise 3: an unknown fold is never taken as empty: that would be a silent gap.
    #[test]
    fn a_cursor_over_an_unknown_fold_says_which_event_to_wait_for() {
        let key = CursorKey::new(&[1; 32]);
        let event = (OriginId { node: NodeId([7; 16]), incarnation: 7 }, Seq(7));
        let folded = fold::VectorFolded::new(None, cursor(3).vector.iter());
        let base = Fold::expand(None, [(event, folded)]).unwrap();
        let folded = Cursor { vector: VersionVector::over(Arc::clone(&base), []), ..cursor(0) };
        let text = key.seal(&folded, [5; NONCE_BYTES]).unwrap();
        assert_eq!(key.open(&text), Err(CursorError::UnknownFold { fold: base.rank(), event }));
    }

    #[test]
    fn altered_texts_are_unreadable() {
        let key = CursorKey::new(&[1; 32]);
        let text = key.seal(&cursor(2), [5; NONCE_BYTES]).unwrap();
        for at in [0, NONCE_BYTES * 2, text.len() - 2] {
            let mut altered = text.clone().into_bytes();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(key.open(&String::from_utf8(altered).unwrap()), Err(CursorError::Unreadable), "{at}");
        }
        for text in ["", "A", "not base 64!", &text[..20], &"A".repeat(CURSOR_CHARS_MAX)] {
            assert_eq!(key.open(text), Err(CursorError::Unreadable), "{text}");
        }
        assert_eq!(key.open(&"A".repeat(CURSOR_CHARS_MAX + 1)), Err(CursorError::TooLong));
    }

    #[test]
    fn a_vector_of_200_origins_fits_and_a_larger_one_is_refused() {
        let key = CursorKey::new(&[1; 32]);
        assert!(key.seal(&cursor(200), [5; NONCE_BYTES]).is_ok());
        assert_eq!(key.seal(&cursor(500), [5; NONCE_BYTES]), Err(CursorError::TooLong));
    }

    /// Clients and proxies rely on the limit: a text of exactly so many characters is good.
    #[test]
    fn a_cursor_may_have_4_096_characters() {
        let key = CursorKey::new(&[1; 32]);
        // The numbers of the nodes, of the origins and of short sequence numbers among them give each length in bytes.
        let sealed = |nodes: u8, origins: u64, short: u64| {
            let origin = |n: u64| OriginId {
                node: NodeId([u8::from(nodes == 2 && !n.is_multiple_of(2)); 16]),
                incarnation: u64::MAX - n,
            };
            let seq = |n| if n < short { 1 } else { 1_000_000 };
            let vector = (0..origins).map(|n| (origin(n), Seq(seq(n)))).collect();
            key.seal(&Cursor { vector, ..cursor(0) }, [5; NONCE_BYTES])
        };
        let lengths = [1, 2].into_iter().flat_map(|nodes| (205..220).map(move |origins| (nodes, origins)));
        let lengths = lengths.flat_map(|(nodes, origins)| (0..4).map(move |short| (nodes, origins, short)));
        let texts = lengths.filter_map(|(nodes, origins, short)| sealed(nodes, origins, short).ok());
        let longest = texts.max_by_key(String::len).unwrap();
        assert_eq!(longest.len(), CURSOR_CHARS_MAX);
        assert!(key.open(&longest).is_ok());
    }

    /// Ids of nodes are written once, else a cursor would hold half as many origins.
    #[test]
    fn the_incarnations_of_a_node_share_its_id() {
        let key = CursorKey::new(&[1; 32]);
        let sealed = |nodes: u8| {
            let origin = |n: u8| OriginId { node: NodeId([n % nodes; 16]), incarnation: n.into() };
            let vector = (0..20).map(|n| (origin(n), Seq(1))).collect();
            key.seal(&Cursor { vector, ..cursor(0) }, [5; NONCE_BYTES]).unwrap().len()
        };
        assert!(sealed(20) - sealed(1) >= 19 * 16, "{} and {}", sealed(20), sealed(1));
    }
}
