//! Service keys, which new sessions and invite codes are derived from: creates the first one, verifies codes, and reseals the
//! keys of a lone node once it has joined a cluster.

use std::time::Duration;

use starling_protocol::{ErrorCode, EventDraft, InviteCode, InviteId, Scope, texts};
use starling_web::service::Refusal;
use tokio::time::sleep;

use super::ServiceContext;
use crate::{
    auth::{SealerWatch, ServiceKey, ServiceKeySealer},
    store::{Decision, Records, Rows, StoreError, Tables},
    supervisor::SupervisedTask,
};

/// The wait before a failed resealing is tried again; it doubles up to the maximum.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_mins(1);

/// Finds and creates service keys.
#[derive(Clone)]
pub struct ServiceKeyring {
    context: ServiceContext,
    sealer: ServiceKeySealer,
}

impl ServiceKeyring {
    /// Makes a keyring that opens and seals with `sealer`.
    pub fn new(context: ServiceContext, sealer: ServiceKeySealer) -> Self {
        Self { context, sealer }
    }

    /// Opens and seals the service keys.
    pub fn sealer(&self) -> &ServiceKeySealer {
        &self.sealer
    }

    /// The service key for new sessions and invite codes: the oldest that this node can open. Creates the first one
    /// when it is needed.
    pub async fn oldest_openable(&self) -> Result<ServiceKey, Refusal> {
        if let Some(key) = self.find_oldest_openable().await? {
            return Ok(key);
        }
        // Another node may have created one.
        self.context.driver.barrier().await;
        let first = self.sealer.seal(&self.context.environment.random(), self.context.environment.random());
        let sealer = self.sealer.clone();
        let make = move |tables: &Tables<'_>| {
            Ok(match oldest_openable(&sealer, &tables.records)? {
                Some(_) => Decision::Nothing,
                None => Decision::one(Scope::cluster(), first.clone()),
            })
        };
        self.context.commit_and_replicate(make).await?;
        self.find_oldest_openable().await?.ok_or_else(no_key_yet)
    }

    /// The task that reseals what was sealed under another secret than the present one.
    pub fn reseal_task(&self) -> ResealTask {
        let watch = self.sealer.watch();
        ResealTask { context: self.context.clone(), sealer: self.sealer.clone(), watch }
    }

    async fn find_oldest_openable(&self) -> Result<Option<ServiceKey>, Refusal> {
        let sealer = self.sealer.clone();
        self.context.read_records(move |records| oldest_openable(&sealer, records)).await
    }
}

fn no_key_yet() -> Refusal {
    Refusal::new(ErrorCode::Unavailable, texts::node::NO_SERVICE_KEY)
}

/// The id of an invite, if its code was made under any service key that this node can open, not only under that for new
/// codes.
pub fn verify_invite<T: Rows>(
    sealer: &ServiceKeySealer,
    records: &Records<T>,
    code: InviteCode,
) -> Result<Option<InviteId>, StoreError> {
    let service_keys = records.service_keys()?;
    Ok(service_keys.iter().find_map(|(id, state)| sealer.open(*id, state)?.verify_invite(code)))
}

/// The oldest key that this node can open.
fn oldest_openable<T: Rows>(
    sealer: &ServiceKeySealer,
    records: &Records<T>,
) -> Result<Option<ServiceKey>, StoreError> {
    Ok(records.service_keys()?.iter().find_map(|(id, state)| sealer.open(*id, state)))
}

/// Reseals service keys under the secret of the cluster, so that all nodes can open them: those of a node that was alone, and
/// those that were made under a secret that is rotated.
pub struct ResealTask {
    context: ServiceContext,
    sealer: ServiceKeySealer,
    watch: SealerWatch,
}

impl ResealTask {
    async fn reseal(&self) -> Result<(), Refusal> {
        loop {
            let (sealer, nonce) = (self.sealer.clone(), self.context.environment.random());
            if self.context.read_records(move |records| next_reseal(&sealer, records, nonce)).await?.is_none()
            {
                return Ok(());
            }
            let sealer = self.sealer.clone();
            // One key in each commit, so that no nonce is used twice.
            let seal = move |tables: &Tables<'_>| {
                let draft = next_reseal(&sealer, &tables.records, nonce)?;
                Ok(draft.map_or(Decision::Nothing, |draft| Decision::Write(vec![draft])))
            };
            self.context.commit_and_replicate_from_reserve(seal).await?;
            tracing::info!(
                "resealed a service key under the cluster's secret: its sessions now work on all nodes"
            );
        }
    }
}

impl SupervisedTask for ResealTask {
    fn name(&self) -> &'static str {
        "service keys"
    }

    async fn run(&mut self) {
        loop {
            let mut pause = RETRY_MIN;
            while let Err(refusal) = self.reseal().await {
                tracing::warn!(reason = %refusal.detail, "cannot reseal the service keys under the cluster's secret yet; trying again");
                sleep(pause).await;
                pause = RETRY_MAX.min(pause * 2);
            }
            self.watch.replaced().await;
        }
    }
}

/// The event that reseals the next key; `None` if all are sealed under the cluster's secret.
fn next_reseal<T: Rows>(
    sealer: &ServiceKeySealer,
    records: &Records<T>,
    nonce: [u8; 12],
) -> Result<Option<EventDraft>, StoreError> {
    Ok(records.service_keys()?.into_iter().find_map(|(id, state)| {
        let new_seal = sealer.reseal(id, &state, nonce)?;
        Some(EventDraft::new(Scope::cluster(), new_seal).above(state.first.hlc))
    }))
}
