//! The service key: random, and sealed, so that a copy of the log is not enough to make anybody's tokens.

use serde::{Deserialize, Serialize};

/// Names a service key. Derived from it, so that no other has the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ServiceKeyId(pub [u8; 16]);

/// Names the secret under which a service key is sealed: the cluster's, or a lone node's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SecretId(pub [u8; 16]);

/// A service key was made, or sealed under another secret. Its scope is the cluster. Of a key's events the first says how
/// old it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceKeySealed {
    /// Which key it is.
    pub key: ServiceKeyId,
    /// The secret that opens it.
    pub secret: SecretId,
    /// The nonce of the cipher.
    pub nonce: [u8; 12],
    /// The key, encrypted and authenticated (ChaCha20-Poly1305) together with both ids.
    pub sealed: Box<[u8]>,
}
