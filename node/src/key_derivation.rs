//! Keys for each purpose out of one secret: HKDF (RFC 5869) with SHA-256. Who has one key learns none of the others.

use ring::hkdf;

/// What is derived from; as secret as the secret that it was made of.
pub struct RootKey(hkdf::Prk);

impl RootKey {
    /// Of a secret that is beyond guessing; `salt` names its use and format, such as `starling cluster 1`.
    pub fn new(salt: &str, secret: &[u8]) -> Self {
        Self(hkdf::Salt::new(hkdf::HKDF_SHA256, salt.as_bytes()).extract(secret))
    }

    /// The key for a purpose.
    pub fn expand(&self, purpose: &[u8]) -> [u8; 32] {
        let mut key = [0; 32];
        self.0
            .expand(&[purpose], hkdf::HKDF_SHA256)
            .and_then(|expanded| expanded.fill(&mut key))
            .expect("32 bytes are within what HKDF gives");
        key
    }
}
