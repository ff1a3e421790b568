//! Which service key serves new sessions and the codes of invites, how one is made, which codes are good, and how the keys
//! of a lone node are sealed anew once it is part of a cluster.

use std::time::Duration;

use starling_protocol::{ErrorCode, EventDraft, InviteCode, InviteId, Scope};
use starling_web::service::Refusal;
use tokio::time::sleep;

use super::ServiceContext;
use crate::{
    auth::{ServiceKey, ServiceKeys},
    store::{Decision, Records, Rows, StoreError, Tables},
    supervisor::SupervisedTask,
};

/// How long to wait before service keys are sealed anew again, after that failed; doubles up to the maximum.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_mins(1);

/// The service keys that this node can open.
#[derive(Clone)]
pub struct ServiceKeyring {
    context: ServiceContext,
    keys: ServiceKeys,
}

impl ServiceKeyring {
    /// `keys` opens and seals them.
    pub fn new(context: ServiceContext, keys: ServiceKeys) -> Self {
        Self { context, keys }
    }

    /// Opens and seals service keys.
    pub fn keys(&self) -> &ServiceKeys {
        &self.keys
    }

    /// The service key of new sessions, and of invite codes that are shown now. The first one to be needed is made.
    pub async fn current(&self) -> Result<ServiceKey, Refusal> {
        if let Some(key) = self.find_current().await? {
            return Ok(key);
        }
        // Others may have made one.
        self.context.driver.barrier().await;
        let first = self.keys.seal(&self.context.environment.random(), self.context.environment.random());
        let keys = self.keys.clone();
        let make = move |tables: &Tables<'_>| {
            Ok(match current(&keys, &tables.records)? {
                Some(_) => Decision::Nothing,
                None => Decision::one(Scope::cluster(), first.clone()),
            })
        };
        self.context.decide(make).await?;
        self.find_current().await?.ok_or_else(no_key_yet)
    }

    /// The part that seals anew what this node sealed while it was alone.
    pub fn seal_anew(&self) -> SealAnew {
        SealAnew { context: self.context.clone(), service_keys: self.keys.clone() }
    }

    async fn find_current(&self) -> Result<Option<ServiceKey>, Refusal> {
        let keys = self.keys.clone();
        self.context.look(move |records| current(&keys, records)).await
    }
}

fn no_key_yet() -> Refusal {
    Refusal::new(ErrorCode::Unavailable, "this node has no service key yet; use another, or try again")
}

/// The id of an invite whose code was made under a service key that this node can open: each of them verifies, for the
/// code may be older than the current key.
pub fn verify_invite<T: Rows>(
    keys: &ServiceKeys,
    records: &Records<T>,
    code: InviteCode,
) -> Result<Option<InviteId>, StoreError> {
    let service_keys = records.service_keys()?;
    Ok(service_keys.iter().find_map(|(id, state)| keys.open(*id, state)?.verify_invite(code)))
}

/// The earliest key that this node can open.
fn current<T: Rows>(keys: &ServiceKeys, records: &Records<T>) -> Result<Option<ServiceKey>, StoreError> {
    Ok(records.service_keys()?.iter().find_map(|(id, state)| keys.open(*id, state)))
}

/// Seals the service keys of a node that was alone under the secret of its cluster, once, so that all nodes can open them.
pub struct SealAnew {
    context: ServiceContext,
    service_keys: ServiceKeys,
}

impl SealAnew {
    async fn seal(&self) -> Result<(), Refusal> {
        loop {
            let (keys, nonce) = (self.service_keys.clone(), self.context.environment.random());
            if self.context.look(move |records| due(&keys, records, nonce)).await?.is_none() {
                return Ok(());
            }
            let keys = self.service_keys.clone();
            // One in each commit, so that no nonce is used twice.
            let seal = move |tables: &Tables<'_>| {
                let due = due(&keys, &tables.records, nonce)?;
                Ok(due.map_or(Decision::Nothing, |draft| Decision::Write(vec![draft])))
            };
            self.context.commit_reclaiming(seal).await?;
            tracing::info!(
                "a service key is sealed under the cluster's secret: its sessions go on, on all nodes"
            );
        }
    }
}

impl SupervisedTask for SealAnew {
    fn name(&self) -> &'static str {
        "service keys"
    }

    async fn run(&mut self) {
        let mut pause = RETRY_MIN;
        while let Err(refusal) = self.seal().await {
            tracing::warn!(reason = %refusal.detail, "cannot seal the service keys under the cluster's secret yet");
            sleep(pause).await;
            pause = RETRY_MAX.min(pause * 2);
        }
    }
}

/// The next key that is to be sealed under the secret of this node's cluster, sealed.
fn due<T: Rows>(
    keys: &ServiceKeys,
    records: &Records<T>,
    nonce: [u8; 12],
) -> Result<Option<EventDraft>, StoreError> {
    Ok(records.service_keys()?.into_iter().find_map(|(id, state)| {
        let sealed = keys.sealed_anew(id, &state, nonce)?;
        Some(EventDraft::new(Scope::cluster(), sealed).above(state.first.hlc))
    }))
}
