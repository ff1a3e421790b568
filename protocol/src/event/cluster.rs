//! Events about the cluster itself: its id, and the rotation of its secret.

use std::fmt;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

/// The id of a cluster: random, and the same for ever, whatever its secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ClusterId(pub [u8; 16]);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

/// Names a cluster secret without revealing it: the first half of the BLAKE3 hash of the public key of the CA that is derived
/// from the secret. Every certificate of the cluster shows it, so whoever has it from the log can test guesses of the
/// secret no faster than anybody who dials a node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SecretFingerprint(pub [u8; 16]);

impl SecretFingerprint {
    /// Parses the 32 hexadecimal digits that `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok().map(Self)
    }
}

impl fmt::Display for SecretFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for SecretFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0[..4]))
    }
}

/// The id of the cluster was drawn. Its scope is the cluster. Of several, the earliest counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterIdDrawn {
    /// The id.
    pub id: ClusterId,
}

/// The cluster uses another secret from now on. Its scope is the cluster. The last one counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretSwitched {
    /// The secret that is refused from now on.
    pub from: SecretFingerprint,
    /// The secret that is used from now on.
    pub to: SecretFingerprint,
}

/// A node has read other secrets than before, or uses another one. Its scope is the cluster; the node is that of its origin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretsReported {
    /// The first secret that the node was given.
    pub newest: SecretFingerprint,
    /// The second one.
    pub older: Option<SecretFingerprint>,
    /// The one of these that the node uses.
    pub uses: SecretFingerprint,
}

impl SecretsReported {
    /// Whether the node has a secret.
    pub fn has(&self, secret: SecretFingerprint) -> bool {
        self.newest == secret || self.older == Some(secret)
    }

    /// Returns the secrets that the node has.
    pub fn secrets(&self) -> impl Iterator<Item = SecretFingerprint> {
        [Some(self.newest), self.older].into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{EventBody, limits::EVENT_BYTES_MAX};

    /// Promise: the kinds keep their numbers and their layouts; stores of this version hold them.
    #[test]
    fn events_of_the_cluster_have_their_kinds_and_bytes() {
        let [from, to] = [1, 2].map(|n| SecretFingerprint([n; 16]));
        let reported = |older| SecretsReported { newest: to, older, uses: from };
        for (body, kind, bytes) in [
            (EventBody::from(ClusterIdDrawn { id: ClusterId([7; 16]) }), 47, [&[1][..], &[7; 16]].concat()),
            (SecretSwitched { from, to }.into(), 48, [&[1][..], &[1; 16], &[2; 16]].concat()),
            (reported(None).into(), 49, [&[1][..], &[2; 16], &[0], &[1; 16]].concat()),
            (reported(Some(from)).into(), 49, [&[1][..], &[2; 16], &[1], &[1; 16], &[1; 16]].concat()),
        ] {
            assert_eq!(body.encode(), (kind, Bytes::from(bytes.clone())));
            assert_eq!(EventBody::decode(kind, bytes.into(), EVENT_BYTES_MAX).unwrap(), body);
        }
    }

    #[test]
    fn a_fingerprint_is_parsed_from_its_text_alone() {
        let fingerprint = SecretFingerprint([0xab; 16]);
        assert_eq!(SecretFingerprint::parse(&fingerprint.to_string()), Some(fingerprint));
        for wrong in ["", "ab", &"AB".repeat(16), &"ab".repeat(17)] {
            assert_eq!(SecretFingerprint::parse(wrong), None, "{wrong}");
        }
    }
}
