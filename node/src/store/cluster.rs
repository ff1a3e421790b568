//! Applies and reads what the log says about the cluster itself: its id, and the rotation of its secret.

use std::collections::{BTreeMap, BTreeSet};

use redb::{ReadableTable, WriteTransaction};
use starling_protocol::{
    Event, EventBody, NodeId, Pos, Scope,
    event::{ClusterId, SecretFingerprint, SecretSwitched, SecretsReported},
    merge::{cluster::apply_id, register},
};

use super::{
    Records, RecordsWriter, Rows, StoreError, Tables,
    digests::DigestBook,
    records::trailing_id,
    tables,
    verify::is_rebuilding,
    views::{ClusterIdentity, SecretReport, SecretSwitch},
};

/// What the log says about the secrets of the cluster.
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

/// Applies an event of the cluster's scope.
pub fn apply(
    records: &mut RecordsWriter<'_>,
    book: &mut DigestBook,
    event: &Event,
) -> Result<(), StoreError> {
    let (scope, pos) = (&event.scope, event.pos());
    match &event.body {
        EventBody::ClusterIdDrawn(drawn) => {
            records.merge::<ClusterIdentity>(book, scope, &[], |state| apply_id(state, pos, drawn.id))?;
        }
        EventBody::SecretSwitched(SecretSwitched { from, to }) => {
            let rule = |state| register::apply(state, pos, *from);
            records.merge::<SecretSwitch>(book, scope, &to.0, rule)?;
        }
        EventBody::SecretsReported(reported) => {
            let rule = |state| register::apply(state, pos, reported.clone());
            records.merge::<SecretReport>(book, scope, &event.origin.node.0, rule)?;
        }
        _ => {}
    }
    Ok(())
}

/// Applies the events about the cluster that an earlier version stored without knowing their kinds.
pub fn apply_stored(transaction: &WriteTransaction) -> Result<(), StoreError> {
    // A rebuild that is due applies them.
    if is_rebuilding(transaction)? {
        return Ok(());
    }
    let mut stored = Vec::new();
    {
        let (scopes, log) = (transaction.open_table(tables::SCOPES)?, transaction.open_table(tables::LOG)?);
        let prefix = tables::scope_beginning(&Scope::cluster());
        for row in scopes.range(&prefix[..]..)? {
            let key = row?.0;
            if !key.value().starts_with(&prefix) {
                break;
            }
            let Some((origin, seq)) = tables::parse_scope_key(key.value()) else { continue };
            let bytes = log.get(&tables::log_key(origin, seq))?;
            stored.extend(bytes.map(|bytes| Event::decode(bytes.value().to_vec().into())).transpose()?);
        }
    }
    let mut tables = Tables::open(transaction)?;
    for event in stored.iter().filter(|event| is_about_cluster(&event.body)) {
        tables.apply(event)?;
    }
    tables.flush().map(drop)
}

fn is_about_cluster(body: &EventBody) -> bool {
    matches!(
        body,
        EventBody::ClusterIdDrawn(_) | EventBody::SecretSwitched(_) | EventBody::SecretsReported(_)
    )
}
