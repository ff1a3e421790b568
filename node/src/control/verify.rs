//! Checks the store of a running node, and how its views compare with those of its peers.

use std::path::Path;

use super::StatusSource;
use crate::{
    cluster::PeerReport,
    store::StoreError,
    texts,
    verify::{Findings, VerifyError, verify_against_rebuild},
};

/// Checks a running node. `progress` receives texts for the user, and returns false to end the check early.
pub(super) fn verify_running(
    source: &StatusSource,
    data_dir: &Path,
    with_scopes: bool,
    mut progress: impl FnMut(String) -> bool,
) -> Result<Findings, VerifyError> {
    if !source.space.has_besides_reserve(source.store_bytes()) {
        let why = "the check needs as much room on the disk as the store, besides the reserve; stop the node and copy \
                   its directory to a larger disk to check it there";
        return Err(VerifyError::Stopped(why));
    }
    let progress = |done| {
        if !source.space.has_besides_reserve(0) {
            return Err(StoreError::Stopped("the disk is filling up"));
        }
        if progress(texts::checking(done)) {
            Ok(())
        } else {
            Err(StoreError::Stopped("the command that asked for it has ended"))
        }
    };
    let report = source.store.guarded(|store| Ok(verify_against_rebuild(store, data_dir, progress)))??;
    let mut findings = Findings::new(&report, with_scopes);
    let report = source.driver.report();
    let peer = |peer: &PeerReport| (peer.peer.to_string(), peer.shards_equal, peer.shards_diverged);
    findings.peers = report.peers.iter().map(peer).collect();
    let differences = source.driver.differences().into_iter();
    findings.differences = differences.map(|(peer, scopes)| (peer.to_string(), scopes)).collect();
    Ok(findings)
}
