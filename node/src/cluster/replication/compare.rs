//! A peer shows something else: finds out in which scopes, and says so where operators look.

use std::sync::PoisonError;

use starling_protocol::{NodeId, Scope, ScopeDigest};

use super::handle::Shared;
use crate::store::{Store, StoreError};

/// Scopes that are named, at most.
const NAMED_MAX: usize = 8;
/// Differences that are kept for operators, at most; they go when the peer shows the same again.
const KEPT_MAX: usize = 64;

/// Compares what a peer shows with what the store shows. Reads from disk.
pub(super) fn compare(store: &Store, shared: &Shared, peer: NodeId, scopes: &[(Scope, ScopeDigest)]) {
    let named = match store.guarded(|store| contradictions(store, scopes)) {
        Ok(named) => named.join(", "),
        Err(error) => return tracing::error!(%error, "cannot compare the views with a peer's"),
    };
    // What differed may have been a moment between two commits.
    if named.is_empty() {
        return;
    }
    tracing::error!(%peer, %named, "this node and a peer show something else: run 'starling verify' on both");
    let mut differences = shared.differences.lock().unwrap_or_else(PoisonError::into_inner);
    if differences.len() < KEPT_MAX {
        differences.push((peer, named));
    }
}

fn contradictions(store: &Store, scopes: &[(Scope, ScopeDigest)]) -> Result<Vec<String>, StoreError> {
    let mut named = Vec::new();
    for (scope, theirs) in scopes {
        if named.len() < NAMED_MAX && store.scope_digest(scope)?.contradicts(*theirs) {
            named.push(scope.to_string());
        }
    }
    Ok(named)
}
