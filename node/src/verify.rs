//! `starling verify`: checks the log, and the views against a rebuild, of a stopped node or a running one; on a
//! running one also how its views compare with its peers'. Can rebuild the views of a stopped one.

use std::{
    fmt, fs, io,
    io::{IsTerminal, Write, stderr},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    config::VerifyFlags,
    console::{OutputError, print_result},
    control::{self, Answer, AskError, Question, StatusSource},
    data_dir::{DataDir, DataDirError},
    node::StartError,
    store::{Report, Store, StoreError},
};

/// Why nothing could be checked, or what is wrong.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// The directory, or the store in it.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The running node.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// Nobody takes the result.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The store.
    #[error("the store is not sound: {0}")]
    Store(#[from] StoreError),
    /// Rebuilding is not for a running node.
    #[error("a node runs on {0}: stop it to rebuild its views")]
    Running(PathBuf),
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
    fn new(report: &Report, with_scopes: bool) -> Self {
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

/// Checks what is in a data directory; prints what it found, the digest of all views last.
pub fn run(flags: &VerifyFlags) -> Result<(), VerifyError> {
    let data_dir = &flags.data_dir;
    let (dir, identity) = DataDir::inspect(data_dir).map_err(StartError::from)?;
    if identity.is_none() || !dir.store_file().exists() {
        return Err(StartError::from(DataDirError::Missing(data_dir.into())).into());
    }
    let file = dir.store_file();
    let findings = match Store::open_file(&file) {
        Err(StoreError::InUse) if flags.rebuild => return Err(VerifyError::Running(data_dir.into())),
        Err(StoreError::InUse) => {
            match control::ask(data_dir, &Question::Verify { scopes: flags.rooms }, show)? {
                Answer::Verified(findings) => findings,
                _ => return Err(AskError::OtherAnswer.into()),
            }
        }
        Err(error) => return Err(StartError::store(&file, error).into()),
        Ok(store) => {
            if flags.rebuild {
                store.rebuild(|done| show(&format!("rebuilding: {done} events")))?;
            }
            store.verify()?;
            let progress = |done| {
                show(&checking(done));
                Ok(())
            };
            Findings::new(&against_rebuild(&store, data_dir, progress)?, flags.rooms)
        }
    };
    Ok(print_result(findings)?)
}

/// Checks a running node, for its control socket.
pub fn running(
    source: &StatusSource,
    data_dir: &Path,
    with_scopes: bool,
    mut progress: impl FnMut(String) -> bool,
) -> Result<Findings, VerifyError> {
    if !source.space.has_besides_reserve(source.store_bytes()) {
        let why = "the check needs as much room on the disk as the store, besides the reserve; stop the node and copy \
                   its directory to a larger disk to check it there";
        return Err(StoreError::Stopped(why).into());
    }
    let progress = |done| {
        if !source.space.has_besides_reserve(0) {
            return Err(StoreError::Stopped("the disk is filling up"));
        }
        if progress(checking(done)) {
            Ok(())
        } else {
            Err(StoreError::Stopped("nobody waits for it any more"))
        }
    };
    let mut findings = Findings::new(&against_rebuild(&source.store, data_dir, progress)?, with_scopes);
    let report = source.driver.report();
    let peer =
        |peer: &crate::cluster::PeerReport| (peer.peer.to_string(), peer.parts_equal, peer.parts_diverged);
    findings.peers = report.peers.iter().map(peer).collect();
    let differences = source.driver.differences().into_iter();
    findings.differences = differences.map(|(peer, scopes)| (peer.to_string(), scopes)).collect();
    Ok(findings)
}

fn checking(done: u64) -> String {
    format!("checking: {done} events")
}

/// Derives all views once more beside the store; needs as much room on the disk as the store itself.
fn against_rebuild(
    store: &Store,
    data_dir: &Path,
    progress: impl FnMut(u64) -> Result<(), StoreError>,
) -> Result<Report, VerifyError> {
    let scratch = Scratch(data_dir.join("verify.new"));
    scratch.remove();
    let rebuilt = Store::open_file(&scratch.0).map_err(|error| StartError::store(&scratch.0, error))?;
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

fn show(progress: &str) {
    if stderr().is_terminal() {
        let _ = write!(stderr(), "\r{progress}");
        let _ = stderr().flush();
    }
}
