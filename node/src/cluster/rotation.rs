//! The rotation of the cluster's secret, as decisions without IO. It has three phases: (1) each node is given the new secret
//! beside the old one, (2) the cluster switches to the new one, (3) the old one is removed from each node. What nodes
//! have and use is in the log, and so is the switch: a phase begins when every member has reported the one before.

use std::collections::BTreeSet;

use starling_protocol::{
    NodeId,
    event::{SecretFingerprint, SecretsReported},
};

use super::keys::{HeldKeys, KeyError};
use crate::{config::ClusterSecrets, store::cluster::SecretLog};

/// The phase of a rotation, and the members that it waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// There is no rotation.
    Settled,
    /// Phase 1: nodes are given the secret `to`.
    Distributing {
        /// The new secret.
        to: SecretFingerprint,
        /// The members that have not reported both secrets.
        missing: BTreeSet<NodeId>,
    },
    /// Phase 2: the cluster has switched.
    Switching {
        /// The members that have not reported that they use the new secret.
        missing: BTreeSet<NodeId>,
    },
    /// Phase 3: every member uses the new secret; the old one may be removed.
    Removing {
        /// The members that still have an old secret.
        holders: BTreeSet<NodeId>,
    },
    /// The cluster has switched to a secret that this node does not have: the others refuse it.
    LeftBehind,
}

/// Returns the phase, as the node `me` sees it. `members` are all nodes that are not forgotten, `me` among them or not.
pub fn phase(me: NodeId, own: &SecretsReported, log: &SecretLog, members: &BTreeSet<NodeId>) -> Phase {
    let in_use = log.switched_to().unwrap_or(own.uses);
    if !own.has(in_use) {
        return Phase::LeftBehind;
    }
    let members: BTreeSet<_> = members.iter().copied().chain([me]).collect();
    let report = |node: &NodeId| if *node == me { Some(own) } else { log.reports.get(node) };
    let retired = log.retired();
    let is_new = |secret: &SecretFingerprint| *secret != in_use && !retired.contains(secret);
    let theirs = members.iter().filter_map(report).flat_map(SecretsReported::secrets);
    // If several were given out, this node goes by its own.
    let to = own.secrets().find(is_new).or_else(|| theirs.filter(is_new).min());
    let without = |has: &dyn Fn(&SecretsReported) -> bool| {
        members.iter().copied().filter(|node| !report(node).is_some_and(has)).collect::<BTreeSet<_>>()
    };
    if let Some(to) = to {
        let missing = without(&|report| report.has(to) && report.has(in_use));
        return Phase::Distributing { to, missing };
    }
    if log.switches.is_empty() {
        return Phase::Settled;
    }
    let missing = without(&|report| report.uses == in_use);
    if !missing.is_empty() {
        return Phase::Switching { missing };
    }
    let holders = without(&|report| report.older.is_none());
    if holders.is_empty() { Phase::Settled } else { Phase::Removing { holders } }
}

/// The outcome of [`adopt`].
pub enum Adopted {
    /// The node has these secrets now, and uses the one that the cluster has switched to, if it has that one.
    Keys(HeldKeys),
    /// The secret in use is not among those given: the node goes on with the ones that it had.
    WithoutTheOneInUse,
}

/// Decides what a running node does with the secrets that it is given. `current` are its keys.
pub fn adopt(
    current: &HeldKeys,
    given: &ClusterSecrets,
    switched_to: Option<SecretFingerprint>,
) -> Result<Adopted, KeyError> {
    if let Some(switched_to) = switched_to
        && let Some(keys) = HeldKeys::derive(given, Some(switched_to))?
    {
        return Ok(Adopted::Keys(keys));
    }
    let keys = HeldKeys::derive(given, Some(current.active.fingerprint))?;
    Ok(keys.map_or(Adopted::WithoutTheOneInUse, Adopted::Keys))
}

#[cfg(test)]
mod tests;
