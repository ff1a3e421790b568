//! `starling cluster secret rotate`: waits for the members, switches, and says when the old secret may be removed.

use std::{collections::BTreeSet, time::Duration};

use starling_protocol::{
    EventDraft, NodeId, Scope,
    event::{ClusterId, ClusterIdDrawn, SecretFingerprint, SecretSwitched},
};
use starling_web::service::Refusal;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

use super::{RotationStatus, SecretRotation};
use crate::{
    auth::ServiceKeySealer,
    cluster::Phase,
    store::{Decision, RecordsReader, StoreError, Tables},
    texts,
};

/// The interval of looks at the phase.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// The longest wait for members to take up the new secret, once the cluster has switched.
const TAKE_UP_MAX: Duration = Duration::from_mins(1);

impl SecretRotation {
    /// Switches the cluster to the new secret once every member has reported it beside the old one; with `go_on`, at once.
    /// Then waits until they use it, for a minute at most. `progress` is told whom it waits for. Returns a line for the
    /// operator, or the reason why it can't.
    pub async fn rotate(&self, go_on: bool, progress: mpsc::Sender<String>) -> Result<String, String> {
        let mut refused = BTreeSet::new();
        let mut switched_at = None;
        loop {
            let RotationStatus { phase, has_new, .. } = self.status();
            match phase {
                Phase::LeftBehind => return Err(texts::LEFT_BEHIND.to_owned()),
                Phase::Distributing { .. } if !has_new => return Err(texts::NEW_SECRET_MISSING.to_owned()),
                Phase::Distributing { to, missing } if switched_at.is_none() => {
                    if missing.is_empty() || go_on {
                        refused = missing;
                        self.switch(to).await.map_err(|refusal| refusal.detail.into_owned())?;
                        switched_at = Some(Instant::now());
                        continue;
                    }
                    let _ = progress.try_send(texts::waiting_for_secret(&missing));
                }
                // This node looks at the log each second.
                Phase::Distributing { .. } => {}
                Phase::Settled if switched_at.is_none() => return Err(texts::NO_SECOND_SECRET.to_owned()),
                Phase::Settled | Phase::Removing { .. } => return Ok(texts::old_secret_may_go(&refused)),
                Phase::Switching { missing } => {
                    let missing: BTreeSet<NodeId> = missing.difference(&refused).copied().collect();
                    if missing.is_empty() {
                        return Ok(texts::old_secret_may_go(&refused));
                    }
                    if switched_at.get_or_insert_with(Instant::now).elapsed() > TAKE_UP_MAX {
                        return Ok(texts::switched_without(&missing));
                    }
                    let _ = progress.try_send(texts::waiting_for_switch(&missing));
                }
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Switches the cluster to a secret that this node has. The service keys are sealed under it in the same commit, so that
    /// every node that knows of the switch can open them.
    async fn switch(&self, to: SecretFingerprint) -> Result<(), Refusal> {
        self.cluster_id().await?;
        let keys = self.keys();
        let from = keys.active.fingerprint;
        let Some(new) = keys.using(to) else { return Ok(()) };
        let others = new.other.iter().map(|keys| keys.sealing_key);
        let sealer = ServiceKeySealer::new(new.active.sealing_key, &self.users.opening_keys(others));
        let nonces: [u8; 32] = self.context.environment.random();
        let decide = move |tables: &Tables<'_>| {
            let log = tables.records.secret_log()?;
            if log.switched_to() == Some(to) {
                return Ok(Decision::Nothing);
            }
            let mut drafts = seals(&sealer, tables, &nonces)?;
            let last = log.last_switch().map(|(pos, _)| pos.hlc);
            drafts.push(EventDraft::new(Scope::cluster(), SecretSwitched { from, to }).above(last));
            Ok(Decision::Write(drafts))
        };
        self.context.commit_and_replicate_from_reserve(decide).await?;
        tracing::warn!(
            "the cluster secret is switched: nodes that only have the old one are refused from now on"
        );
        Ok(())
    }

    /// Returns the cluster's id, and draws it if there is none. It stays the same for ever, whatever the secret.
    pub async fn cluster_id(&self) -> Result<ClusterId, Refusal> {
        let read = || self.context.find_or_catch_up(RecordsReader::cluster_id);
        if let Some(id) = read().await? {
            return Ok(id);
        }
        let drawn = ClusterId(self.context.environment.random());
        let decide = move |tables: &Tables<'_>| {
            Ok(match tables.records.cluster_id()? {
                Some(_) => Decision::Nothing,
                None => Decision::one(Scope::cluster(), ClusterIdDrawn { id: drawn }),
            })
        };
        self.context.commit_and_replicate_from_reserve(decide).await?;
        // Another node's may be earlier.
        Ok(read().await?.unwrap_or(drawn))
    }
}

/// Seals all service keys that `sealer` can open and has not sealed.
fn seals(
    sealer: &ServiceKeySealer,
    tables: &Tables<'_>,
    nonces: &[u8; 32],
) -> Result<Vec<EventDraft>, StoreError> {
    let keys = tables.records.service_keys()?.into_iter();
    Ok(keys
        .filter_map(|(id, state)| {
            // A nonce for each key: one secret seals them all.
            let nonce = blake3::keyed_hash(nonces, &id.0);
            let nonce = *nonce.as_bytes().first_chunk().expect("12 of 32");
            let seal = sealer.reseal(id, &state, nonce)?;
            Some(EventDraft::new(Scope::cluster(), seal).above(state.first.hlc))
        })
        .collect())
}
