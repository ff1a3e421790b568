//! Derives a key for each purpose from one secret: HKDF (RFC 5869) with SHA-256. A key tells nothing about the others.

use ring::hkdf;

/// The extracted secret that keys are derived from.
pub struct RootKey(hkdf::Prk);

impl RootKey {
    /// Extracts from a secret with enough entropy; `salt` names its use and format, such as `starling cluster 1`.
    pub fn new(salt: &str, secret: &[u8]) -> Self {
        Self(hkdf::Salt::new(hkdf::HKDF_SHA256, salt.as_bytes()).extract(secret))
    }

    /// The key for a purpose.
    pub fn expand(&self, purpose: &[u8]) -> [u8; 32] {
        let mut key = [0; 32];
        self.0
            .expand(&[purpose], hkdf::HKDF_SHA256)
            .and_then(|expanded| expanded.fill(&mut key))
            .expect("HKDF can give 32 bytes");
        key
    }
}
