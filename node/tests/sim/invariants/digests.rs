//! Promise 4: after a split has healed, the views of all nodes are equal and sound; a rebuild changes nothing.

use starling_node::store::{Store, StoreError};
use starling_protocol::{NodeId, Scope, ScopeDigest};

use crate::world::World;

/// Compares the views of a peer with those of the node, as `node`'s driver does before it reports a difference.
pub fn compared(
    store: &Store,
    peer: NodeId,
    scopes: &[(Scope, ScopeDigest)],
) -> Result<Option<String>, StoreError> {
    for (scope, theirs) in scopes {
        if store.scope_digest(scope)?.contradicts(*theirs) {
            return Ok(Some(format!("{peer} shows something else in {scope}, although it has the same")));
        }
    }
    Ok(None)
}

pub fn check(world: &World) -> Result<(), String> {
    let mut digests = Vec::new();
    let mut told = Vec::new();
    for run in world.nodes.iter().filter_map(|node| node.run.as_ref()) {
        digests.push(run.store.verify().map_err(|error| error.to_string())?.digest);
        told.push(run.replica().digest());
    }
    if told.windows(2).any(|pair| pair[0] != pair[1]) {
        return Err(format!("the digests that nodes tell each other differ: {told:?}"));
    }
    let mut runs = world.nodes.iter().filter_map(|node| node.run.as_ref());
    let store = &runs.next().expect("somebody runs").store;
    store.rebuild(|_| ()).map_err(|error| error.to_string())?;
    digests.push(store.digest().map_err(|error| error.to_string())?);
    if digests.windows(2).any(|pair| pair[0] != pair[1]) {
        return Err(format!("the digests differ: {digests:?}"));
    }
    Ok(())
}
