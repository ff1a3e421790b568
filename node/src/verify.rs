//! Checks a store against a rebuild of its views, and the findings as people read them. `verify_command` and the control
//! socket use it.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::store::{Report, Store, StoreError, UnusableStore};

/// Why a check found nothing, or what is wrong with the store.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// A store file cannot be opened.
    #[error(transparent)]
    Unusable(#[from] UnusableStore),
    /// The store.
    #[error("the store is not sound: {0}")]
    Store(#[from] StoreError),
}

/// What a check has found in a sound store.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Findings {
    /// Events in the log.
    pub events: u64,
    /// Origins in the log.
    pub origins: usize,
    /// Digest of all views: equal on two nodes if and only if they show the same.
    pub digest: String,
    /// Scopes (rooms and others) and the digests of their views, if asked for.
    pub scopes: Vec<(String, String)>,
    /// Of a running node: its peers, how many of 256 parts of all views they are known to show as it does, and in how
    /// many they show something else.
    pub peers: Vec<(String, usize, usize)>,
    /// Where they do, as far as found out.
    pub differences: Vec<(String, String)>,
}

impl Findings {
    /// Of a store alone; `with_scopes` lists the digest of each scope.
    pub(crate) fn new(report: &Report, with_scopes: bool) -> Self {
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
            writeln!(f, "peer {peer} {equal} parts alike, {diverged} diverged")?;
        }
        for (peer, scopes) in &self.differences {
            writeln!(f, "DIVERGED from {peer}: {scopes}")?;
        }
        writeln!(f, "events {}\norigins {}\ndigest {}", self.events, self.origins, self.digest)
    }
}

/// The text of a check's progress.
pub(crate) fn progress_text(done: u64) -> String {
    format!("checking: {done} events")
}

/// Derives all views once more beside the store; needs as much room on the disk as the store itself.
pub(crate) fn against_rebuild(
    store: &Store,
    data_dir: &Path,
    progress: impl FnMut(u64) -> Result<(), StoreError>,
) -> Result<Report, VerifyError> {
    let scratch = Scratch(data_dir.join("verify.new"));
    scratch.remove();
    let rebuilt = Store::open_file(&scratch.0).map_err(|error| UnusableStore::new(&scratch.0, error))?;
    Ok(store.verify_against_rebuild(&rebuilt, progress)?)
}

/// A file that is gone afterwards.
struct Scratch(PathBuf);

impl Scratch {
    fn remove(&self) {
        if let Err(error) = fs::remove_file(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, file = %self.0.display(), "cannot remove a scratch file");
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.remove();
    }
}
