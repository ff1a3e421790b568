//! Resume cursors: 'I have everything that concerned me up to here', sealed so that only nodes of the
//! cluster make and read them. Any node that knows the cluster key accepts any node's cursor.

use chacha20poly1305::{
    Key, XChaCha20Poly1305, XNonce,
    aead::{Aead, KeyInit, Payload},
};
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{GuestId, Hlc, NodeId, OriginId, RoomId, UserId, VersionVector, codec, limits::CURSOR_CHARS_MAX};

/// Length of the nonce that [`CursorKey::seal`] wants: long enough to be drawn at random for ever.
pub const NONCE_BYTES: usize = 24;

/// Whose a cursor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CursorOwner {
    /// Of somebody in a quick room, with an account or without.
    Guest {
        /// Who.
        id: GuestId,
        /// Where.
        room: RoomId,
    },
    /// Of somebody with an account, for all that concerns him.
    User(UserId),
}

/// What a client holds of the cluster's events, as told to it in a sealed text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Whose it is.
    pub owner: CursorOwner,
    /// Everything that concerns him up to here was sent to him.
    pub vector: VersionVector,
    /// The greatest stamp among that in a quick room; what he posts there next is stamped above it.
    pub greatest: Hlc,
}

/// Why a text is no cursor here. All of them are answered by a resync.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CursorError {
    /// Not sealed under this cluster's key, or altered, or of another format.
    #[error("the cursor cannot be read here")]
    Unreadable,
    /// More than 4 KB.
    #[error("the cursor is longer than {CURSOR_CHARS_MAX} characters")]
    TooLong,
}

/// Binds the sealed text to this use of the key and this format.
const ASSOCIATED_DATA: &[u8] = b"starling cursor 1";

/// Incarnations are grouped by their node: 16 of 24 bytes of an origin need not be repeated.
#[derive(Serialize, Deserialize)]
struct Plain {
    owner: CursorOwner,
    greatest: Hlc,
    vector: Vec<(NodeId, Vec<(u64, u64)>)>,
}

/// The key that seals cursors, the same on every node of a cluster.
#[derive(Clone)]
pub struct CursorKey(XChaCha20Poly1305);

impl CursorKey {
    /// A key of 32 secret bytes.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(XChaCha20Poly1305::new(Key::from_slice(key)))
    }

    /// Seals a cursor with a fresh random nonce; `TooLong` if its vector has too many origins.
    pub fn seal(&self, cursor: &Cursor, nonce: [u8; NONCE_BYTES]) -> Result<String, CursorError> {
        let mut vector: Vec<(NodeId, Vec<(u64, u64)>)> = Vec::new();
        for (origin, seq) in cursor.vector.iter() {
            match vector.last_mut() {
                Some((node, seqs)) if *node == origin.node => seqs.push((origin.incarnation, seq)),
                _ => vector.push((origin.node, vec![(origin.incarnation, seq)])),
            }
        }
        let Cursor { owner, greatest, .. } = *cursor;
        let plain = codec::encode(&Plain { owner, greatest, vector });
        let payload = Payload { msg: &plain, aad: ASSOCIATED_DATA };
        let sealed = self
            .0
            .encrypt(XNonce::from_slice(&nonce), payload)
            .expect("a few kilobytes are within what the cipher takes");
        let text = BASE64URL_NOPAD.encode(&[&nonce[..], &sealed].concat());
        if text.len() > CURSOR_CHARS_MAX { Err(CursorError::TooLong) } else { Ok(text) }
    }

    /// Opens what [`CursorKey::seal`] made, on any node with the same key.
    pub fn open(&self, text: &str) -> Result<Cursor, CursorError> {
        if text.len() > CURSOR_CHARS_MAX {
            return Err(CursorError::TooLong);
        }
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| CursorError::Unreadable)?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_BYTES).ok_or(CursorError::Unreadable)?;
        let payload = Payload { msg: sealed, aad: ASSOCIATED_DATA };
        let plain =
            self.0.decrypt(XNonce::from_slice(nonce), payload).map_err(|_| CursorError::Unreadable)?;
        let Plain { owner, greatest, vector } =
            codec::decode(&plain, CURSOR_CHARS_MAX).map_err(|_| CursorError::Unreadable)?;
        let vector = vector
            .into_iter()
            .flat_map(|(node, seqs)| {
                seqs.into_iter().map(move |(incarnation, seq)| (OriginId { node, incarnation }, seq))
            })
            .collect();
        Ok(Cursor { owner, vector, greatest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(origins: u64) -> Cursor {
        let origin = |n: u64| OriginId { node: NodeId([(n % 3) as u8; 16]), incarnation: u64::MAX - n };
        Cursor {
            owner: CursorOwner::Guest { id: GuestId([1; 16]), room: RoomId([2; 10]) },
            vector: (0..origins).map(|n| (origin(n), 1_000_000 + n)).collect(),
            greatest: Hlc(77),
        }
    }

    #[test]
    fn a_cursor_opens_under_its_key_only() {
        let key = CursorKey::new(&[1; 32]);
        let of_a_user = Cursor { owner: CursorOwner::User(UserId([1; 16])), ..cursor(9) };
        for cursor in [cursor(9), of_a_user] {
            let text = key.seal(&cursor, [5; NONCE_BYTES]).unwrap();
            assert_eq!(key.open(&text), Ok(cursor));
        }
        let text = key.seal(&cursor(9), [5; NONCE_BYTES]).unwrap();
        assert_eq!(CursorKey::new(&[2; 32]).open(&text), Err(CursorError::Unreadable));
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
    fn two_hundred_restarts_fit_and_more_than_fit_are_told() {
        let key = CursorKey::new(&[1; 32]);
        assert!(key.seal(&cursor(200), [5; NONCE_BYTES]).is_ok());
        assert_eq!(key.seal(&cursor(500), [5; NONCE_BYTES]), Err(CursorError::TooLong));
    }
}
