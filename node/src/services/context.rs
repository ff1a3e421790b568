//! What every service stands on: reads from the store on threads that may block, decisions through the writer, and
//! the wait until peers have a write. Services hold a clone each and never call one another's tables.

use std::sync::Arc;

use starling_protocol::{ErrorCode, Pos, replica::Until};
use starling_web::service::Refusal;

use crate::{
    cluster::DriverHandle,
    environment::Environment,
    store::{Decide, Decision, Op, OpResult, RecordsReader, Store, StoreError, Tables},
    writer::WriterHandle,
};

/// How long a metadata write waits for the peers in sync.
pub const METADATA_WAIT_MS: u64 = 250;

/// Which part of the disk a write may use.
#[derive(Clone, Copy, Debug)]
enum Space {
    /// What is left for users.
    OfUsers,
    /// Also what is kept for replication, erasure and revocation.
    Reserved,
}

/// The parts of a node that services use.
#[derive(Clone)]
pub struct ServiceContext {
    /// Clock, chance, and threads to read on.
    pub machine: Arc<dyn Environment>,
    /// Read only here.
    pub store: Arc<Store>,
    /// Everything that is written goes through it.
    pub writer: WriterHandle,
    /// What peers have.
    pub driver: DriverHandle,
}

impl ServiceContext {
    /// Reads from the store on a thread that may block.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let store = Arc::clone(&self.store);
        let result = self.machine.blocking(move || store.guarded(read)).await;
        let unavailable =
            || Refusal::new(ErrorCode::Unavailable, "the node cannot read its store now; use another");
        result.ok_or_else(unavailable)?.map_err(|error| {
            tracing::error!(%error, "cannot read the store");
            unavailable()
        })
    }

    /// Reads the views of people and rooms of members, as of one moment.
    pub async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&RecordsReader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Refusal> {
        self.read(move |store| look(&store.records()?)).await
    }

    /// Looks something up, and if it is not there again after catching up with the peers in sync: 'no' is only said
    /// then.
    pub async fn find<T: Send + 'static>(
        &self,
        look: impl Fn(&RecordsReader) -> Result<Option<T>, StoreError> + Send + Sync + 'static,
    ) -> Result<Option<T>, Refusal> {
        let look = Arc::new(look);
        let again = Arc::clone(&look);
        // Asked first: who becomes ready while this looks has not looked with all that there is.
        let ready = self.driver.is_ready();
        if let Some(found) = self.look(move |records| look(records)).await? {
            return Ok(Some(found));
        }
        let ready = self.catch_up().await && ready;
        let found = self.look(move |records| again(records)).await?;
        if found.is_none() && !ready {
            return Err(catching_up());
        }
        Ok(found)
    }

    /// Asks the store. A refusal that may rest on something missing is only given after catching up with the peers in
    /// step.
    pub async fn ask<T: Send + 'static>(
        &self,
        ask: impl Fn(&Store) -> Result<Result<T, Refusal>, StoreError> + Send + Sync + 'static,
    ) -> Result<T, Refusal> {
        let ask = Arc::new(ask);
        let again = Arc::clone(&ask);
        let ready = self.driver.is_ready();
        match self.read(move |store| ask(store)).await? {
            Err(refusal) if may_rest_on_something_missing(refusal.code) => {
                let ready = self.catch_up().await && ready;
                let answer = self.read(move |store| again(store)).await?;
                answer.map_err(|refusal| {
                    let missing = !ready && may_rest_on_something_missing(refusal.code);
                    if missing { catching_up() } else { refusal }
                })
            }
            answer => answer,
        }
    }

    /// Decides within a commit and makes durable what comes of it; returns when every peer in sync has it, or after
    /// 250 ms. Gives the place of the last event; nothing if all was as it was wanted. A refusal that may rest on
    /// something missing is only given after catching up with the peers in sync.
    pub async fn decide(
        &self,
        decide: impl Fn(&Tables<'_>) -> Result<Decision, StoreError> + Send + Sync + 'static,
    ) -> Result<Option<Pos>, Refusal> {
        self.decide_with(Space::OfUsers, Decide::new(decide)).await
    }

    /// As [`ServiceContext::decide`], for what takes something away: also when the disk is full for users.
    pub async fn commit_reclaiming(
        &self,
        decide: impl Fn(&Tables<'_>) -> Result<Decision, StoreError> + Send + Sync + 'static,
    ) -> Result<Option<Pos>, Refusal> {
        self.decide_with(Space::Reserved, Decide::new(decide)).await
    }

    async fn decide_with(&self, space: Space, decide: Decide) -> Result<Option<Pos>, Refusal> {
        let ready = self.driver.is_ready();
        let decided = match self.commit_with(space, decide.clone()).await {
            Err(refusal) if may_rest_on_something_missing(refusal.code) => {
                let ready = self.catch_up().await && ready;
                match self.commit_with(space, decide).await {
                    Err(refusal) if !ready && may_rest_on_something_missing(refusal.code) => {
                        Err(catching_up())
                    }
                    decided => decided,
                }
            }
            decided => decided,
        }?;
        if let Some(pos) = decided {
            self.driver.wait(pos.origin, pos.seq, Until::InSync, METADATA_WAIT_MS).await;
        }
        Ok(decided)
    }

    /// Catches up with the peers in sync, and says whether there could be any: a node that slept finds out by being
    /// asked, and has nobody in sync then.
    pub async fn catch_up(&self) -> bool {
        self.driver.barrier().await;
        self.driver.is_ready()
    }

    /// Decides within a commit, without waiting for anybody else.
    pub async fn commit(&self, decide: Decide) -> Result<Option<Pos>, Refusal> {
        self.commit_with(Space::OfUsers, decide).await
    }

    async fn commit_with(&self, space: Space, decide: Decide) -> Result<Option<Pos>, Refusal> {
        let op = Op::Decide(decide);
        decided(match space {
            Space::OfUsers => self.writer.commit(op).await,
            Space::Reserved => self.writer.commit_reserved(op).await,
        }?)
    }

    /// As [`ServiceContext::commit_reclaiming`], where a refusal needs no catching up.
    pub async fn revoke(&self, decide: Decide) -> Result<(), Refusal> {
        if let Some(pos) = self.commit_with(Space::Reserved, decide).await? {
            self.driver.wait(pos.origin, pos.seq, Until::InSync, METADATA_WAIT_MS).await;
        }
        Ok(())
    }
}

fn decided(result: OpResult) -> Result<Option<Pos>, Refusal> {
    match result {
        OpResult::Done(pos) => Ok(Some(pos)),
        OpResult::Nothing => Ok(None),
        OpResult::Refused(refusal) => Err(refusal),
        OpResult::Erased { .. } | OpResult::Received => {
            Err(Refusal::new(ErrorCode::Unavailable, "the node could not do that; try again"))
        }
    }
}

/// Nothing can be denied here yet.
pub fn catching_up() -> Refusal {
    // No peer is in sync yet, so the barrier has asked nobody.
    Refusal::new(ErrorCode::Unavailable, "this node is still catching up, use another")
}

/// Whether what another node knows could make it a yes.
fn may_rest_on_something_missing(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::NotFound | ErrorCode::Forbidden | ErrorCode::NotContacts | ErrorCode::RegistrationClosed
    )
}
