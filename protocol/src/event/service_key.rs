//! The service key: a random key, sealed so that a copy of the log is not enough to forge tokens.

use serde::{Deserialize, Serialize};

/// The id of a service key: derived from the key, so that no two keys have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ServiceKeyId(pub [u8; 16]);

/// The id of the secret that seals a service key: the cluster's secret, or that of a node without a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SecretId(pub [u8; 16]);

/// A service key was made, or sealed with another secret. Its scope is the cluster. The key is as old as its first event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceKeySealed {
    /// The key's id.
    pub key: ServiceKeyId,
    /// The secret that unseals it.
    pub secret: SecretId,
    /// The nonce of the cipher.
    pub nonce: [u8; 12],
    /// The key, encrypted and authenticated (ChaCha20-Poly1305) together with both ids.
    pub sealed: Box<[u8]>,
}
