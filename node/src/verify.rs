//! Checks a store against a rebuild of its views, for `verify_command` and the control socket.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::store::{CheckReport, Store, StoreError, UnusableStore, remove_files};

/// Why a check failed.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// A store file cannot be opened.
    #[error(transparent)]
    Unusable(#[from] UnusableStore),
    /// The check was stopped early; the store may be sound or not.
    #[error("the check was stopped: {0}")]
    Stopped(&'static str),
    /// The store is not sound.
    #[error("the store is not sound: {0}")]
    Store(#[source] StoreError),
}

impl From<StoreError> for VerifyError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Stopped(reason) => Self::Stopped(reason),
            error => Self::Store(error),
        }
    }
}

/// The findings of a check of a sound store.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Findings {
    /// Events in the log.
    pub events: u64,
    /// Origins in the log.
    pub origins: usize,
    /// The digest of all views: equal on two nodes if and only if their views are equal.
    pub digest: String,
    /// The scopes (rooms and others) and the digests of their views, if asked for.
    pub scopes: Vec<(String, String)>,
    /// For a running node, its peers: id, how many of 256 shards are known to be equal, how many differ.
    pub peers: Vec<(String, usize, usize)>,
    /// The scopes that differ, by peer, as far as known.
    pub differences: Vec<(String, String)>,
}

impl Findings {
    /// Makes the findings of a store alone; `with_scopes` lists the digest of each scope.
    pub(crate) fn new(report: &CheckReport, with_scopes: bool) -> Self {
        let scopes =
            report.scopes.iter().map(|(scope, digest)| (scope.to_string(), digest.views.to_string()));
        Self {
            events: report.events,
            origins: report.origins,
            digest: report.digest.to_string(),
            scopes: if with_scopes { scopes.collect() } else { Vec::new() },
            peers: Vec::new(),
            differences: Vec::new(),
        }
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (scope, digest) in &self.scopes {
            writeln!(f, "{scope} {digest}")?;
        }
        for (peer, equal, diverged) in &self.peers {
            writeln!(f, "peer {peer} {equal} of 256 shards equal, {diverged} diverged")?;
        }
        for (peer, scopes) in &self.differences {
            writeln!(f, "DIVERGED from {peer}: {scopes}")?;
        }
        writeln!(f, "events {}\norigins {}\ndigest {}", self.events, self.origins, self.digest)
    }
}

/// Checks a store against a rebuild of its views, made in a file beside it; needs as much disk space as the store.
pub(crate) fn verify_against_rebuild(
    store: &Store,
    data_dir: &Path,
    progress: impl FnMut(u64) -> Result<(), StoreError>,
) -> Result<CheckReport, VerifyError> {
    let scratch = Scratch(data_dir.join("verify.new"));
    scratch.remove();
    let rebuilt = Store::open_file(&scratch.0).map_err(|error| UnusableStore::new(&scratch.0, error))?;
    Ok(store.verify_against_rebuild(&rebuilt, progress)?)
}

/// A temporary store; it is removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn remove(&self) {
        if let Err(error) = remove_files(&self.0) {
            tracing::warn!(%error, file = %self.0.display(), "cannot remove a scratch store");
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.remove();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Say what is true: a check that was stopped early has found nothing wrong with the store.
    #[test]
    fn a_check_that_was_stopped_does_not_call_the_store_unsound() {
        let stopped = VerifyError::from(StoreError::Stopped("the disk is filling up"));
        assert_eq!(stopped.to_string(), "the check was stopped: the disk is filling up");
        let corrupt = VerifyError::from(StoreError::Corrupt("a gap".into()));
        assert!(corrupt.to_string().starts_with("the store is not sound: "), "{corrupt}");
    }
}
