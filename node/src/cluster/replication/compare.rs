//! Finds the scopes in which the views of a peer differ, and reports them to operators.

use std::sync::PoisonError;

use starling_protocol::{NodeId, Scope, ScopeDigest};

use super::handle::Shared;
use crate::store::{Store, StoreError};

/// The most scopes that a report names.
const NAMED_MAX: usize = 8;
/// The most differences that are kept for operators; each is dropped once the views of the peer are equal again.
const KEPT_MAX: usize = 64;

/// Compares the digests of a peer with those of the store. Reads from disk.
pub(super) fn compare(store: &Store, shared: &Shared, peer: NodeId, scopes: &[(Scope, ScopeDigest)]) {
    let named = match store.guarded(|store| contradictions(store, scopes)) {
        Ok(named) => named.join(", "),
        Err(error) => return tracing::error!(%error, "cannot compare the views with a peer's"),
    };
    // The difference may have lasted only between two commits.
    if named.is_empty() {
        return;
    }
    tracing::error!(%peer, %named, "the views of this node and a peer differ: run 'starling verify' on both");
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
