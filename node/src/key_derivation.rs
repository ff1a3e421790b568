//! Derives a key for each purpose from one secret: HKDF (RFC 5869) with SHA-256. A key tells nothing about the others.

use std::sync::Arc;

use ring::hkdf;
use tokio::sync::watch;

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

/// A value that is replaced while others use it: keys, when the cluster's secret is rotated. Clones share it.
#[derive(Debug)]
pub struct Replaceable<T>(watch::Sender<Arc<T>>);

impl<T> Replaceable<T> {
    /// Starts with a value.
    pub fn new(value: T) -> Self {
        Self(watch::Sender::new(Arc::new(value)))
    }

    /// Returns the present value.
    pub fn get(&self) -> Arc<T> {
        Arc::clone(&self.0.borrow())
    }

    /// Replaces the value.
    pub fn replace(&self, value: T) {
        self.0.send_replace(Arc::new(value));
    }

    /// Watches for other values.
    pub fn watch(&self) -> watch::Receiver<Arc<T>> {
        self.0.subscribe()
    }
}

impl<T> Clone for Replaceable<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
