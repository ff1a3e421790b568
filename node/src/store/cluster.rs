//! Reads what the log says about the cluster itself: its id, and the rotation of its secret.

use std::collections::{BTreeMap, BTreeSet};

use starling_protocol::{
    NodeId, Pos, Scope,
    event::{ClusterId, SecretFingerprint, SecretSwitched, SecretsReported},
};

use super::{
    Records, Rows, StoreError,
    records::trailing_id,
    views::{ClusterIdentity, SecretReport, SecretSwitch},
};

/// The reports and switches of the cluster's secret, as the log has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretLog {
    /// The last switch to each secret.
    pub switches: Vec<(Pos, SecretSwitched)>,
    /// The last report of each node.
    pub reports: BTreeMap<NodeId, SecretsReported>,
}

impl SecretLog {
    /// Returns the last switch; `None` if the secret was never rotated.
    pub fn last_switch(&self) -> Option<&(Pos, SecretSwitched)> {
        self.switches.iter().max_by_key(|(pos, _)| *pos)
    }

    /// Returns the secret that the cluster switched to; `None` if its secret was never rotated.
    pub fn switched_to(&self) -> Option<SecretFingerprint> {
        self.last_switch().map(|(_, switched)| switched.to)
    }

    /// Returns the secrets that the cluster no longer uses.
    pub fn retired(&self) -> BTreeSet<SecretFingerprint> {
        let all = self.switches.iter().flat_map(|(_, switched)| [switched.from, switched.to]);
        all.filter(|secret| Some(*secret) != self.switched_to()).collect()
    }

    /// Whether nothing was ever reported or switched.
    pub fn is_empty(&self) -> bool {
        self.switches.is_empty() && self.reports.is_empty()
    }
}

impl<T: Rows> Records<T> {
    /// Reads the cluster's id; `None` if none was drawn.
    pub fn cluster_id(&self) -> Result<Option<ClusterId>, StoreError> {
        Ok(self.get::<ClusterIdentity>(&Scope::cluster(), &[])?.map(|state| state.id))
    }

    /// Reads what the log says about the secrets of the cluster. There are few rows: one for each rotation and each node.
    pub fn secret_log(&self) -> Result<SecretLog, StoreError> {
        let mut log = SecretLog::default();
        for row in self.scan::<SecretSwitch>(&Scope::cluster(), &[])? {
            let (to, from) = row?;
            let to = SecretFingerprint(trailing_id(&to)?);
            log.switches.push((from.pos, SecretSwitched { from: from.value, to }));
        }
        for row in self.scan::<SecretReport>(&Scope::cluster(), &[])? {
            let (node, report) = row?;
            log.reports.insert(NodeId(trailing_id(&node)?), report.value);
        }
        Ok(log)
    }
}
