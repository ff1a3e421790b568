//! Changes of the identity file while the node runs: one at a time, as each reads the file and writes it.

use std::sync::{Mutex, PoisonError};

use starling_protocol::event::SecretFingerprint;

use super::{DataDir, DataDirError, IDENTITY_FILE, Identity};

static CHANGING: Mutex<()> = Mutex::new(());

impl DataDir {
    /// Records that the refill of a lost store has ended.
    pub fn end_refill(&self) -> Result<(), DataDirError> {
        let _changing = CHANGING.lock().unwrap_or_else(PoisonError::into_inner);
        match self.read(IDENTITY_FILE)? {
            Some(identity @ Identity { refilling: true, .. }) => {
                self.write_identity(&Identity { refilling: false, ..identity })
            }
            _ => Ok(()),
        }
    }

    /// Records that the node uses another secret of its cluster, for its next start.
    pub fn set_cluster(&self, secret: SecretFingerprint) -> Result<(), DataDirError> {
        let _changing = CHANGING.lock().unwrap_or_else(PoisonError::into_inner);
        match self.read::<Identity>(IDENTITY_FILE)? {
            Some(identity) => self.write_identity(&identity.in_cluster(Some(secret.to_string()))),
            None => Err(DataDirError::Missing(self.path.clone())),
        }
    }
}
