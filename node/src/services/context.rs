//! The context that all services share: they read the store on threads that may block, decide through the writer, and wait until
//! peers have a write. Each service holds a clone.

use std::sync::Arc;

use starling_protocol::{ErrorCode, Pos, replica::Until, texts};
use starling_web::service::Refusal;

use crate::{
    cluster::DriverHandle,
    environment::Environment,
    permissions::rooms::Denied,
    store::{Decide, Decision, Op, OpResult, RecordsReader, Store, StoreError, Tables},
    writer::WriterHandle,
};

/// How long a write other than a post waits for the peers in sync.
pub const REPLICATION_WAIT_MS: u64 = 250;

/// The part of the disk that a write may use.
#[derive(Clone, Copy, Debug)]
enum DiskShare {
    /// All but the reserve.
    Users,
    /// Also the reserve for replication, erasure and revocation.
    WithReserve,
}

/// The parts of a node that services use.
#[derive(Clone)]
pub struct ServiceContext {
    /// The clock, random numbers, and threads to read on.
    pub environment: Arc<dyn Environment>,
    /// Services only read it.
    pub store: Arc<Store>,
    /// Takes all writes.
    pub writer: WriterHandle,
    /// Knows what peers have.
    pub driver: DriverHandle,
}

impl ServiceContext {
    /// Reads from the store on a thread that may block.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let store = Arc::clone(&self.store);
        let result = self.environment.blocking(move || store.guarded(read)).await;
        let unavailable = || Refusal::new(ErrorCode::Unavailable, texts::node::CANNOT_READ);
        result.ok_or_else(unavailable)?.map_err(|error| {
            tracing::error!(%error, "cannot read the store");
            unavailable()
        })
    }

    /// Reads the views of users and member rooms, as of one moment.
    pub async fn read_records<T: Send + 'static>(
        &self,
        read: impl FnOnce(&RecordsReader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Refusal> {
        self.read(move |store| read(&store.records()?)).await
    }

    /// Looks something up, and if it is missing, once more after catching up with the peers in sync: the node says "not
    /// found" only then.
    pub async fn find_or_catch_up<T: Send + 'static>(
        &self,
        find: impl Fn(&RecordsReader) -> Result<Option<T>, StoreError> + Send + Sync + 'static,
    ) -> Result<Option<T>, Refusal> {
        let find = Arc::new(find);
        let find_again = Arc::clone(&find);
        // Taken first: a node that becomes ready during the look has not looked at everything.
        let was_ready = self.driver.is_ready();
        if let Some(found) = self.read_records(move |records| find(records)).await? {
            return Ok(Some(found));
        }
        let ready = self.catch_up().await && was_ready;
        let found = self.read_records(move |records| find_again(records)).await?;
        if found.is_none() && !ready {
            return Err(catching_up());
        }
        Ok(found)
    }

    /// Queries the store. A refusal that may be due to missing data is given only after catching up with the peers in sync.
    pub async fn query<T: Send + 'static>(
        &self,
        query: impl Fn(&Store) -> Result<T, Denied> + Send + Sync + 'static,
    ) -> Result<T, Refusal> {
        let query = Arc::new(query);
        let query_again = Arc::clone(&query);
        let was_ready = self.driver.is_ready();
        match self.query_local(move |store| query(store)).await {
            Err(refusal) if may_lack_data(refusal.code) => {
                let ready = self.catch_up().await && was_ready;
                self.query_local(move |store| query_again(store)).await.map_err(|refusal| {
                    if !ready && may_lack_data(refusal.code) { catching_up() } else { refusal }
                })
            }
            answer => answer,
        }
    }

    /// Queries the store, and gives a refusal without catching up first.
    pub async fn query_local<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Store) -> Result<T, Denied> + Send + 'static,
    ) -> Result<T, Refusal> {
        let answer = self.read(move |store| match query(store) {
            Ok(answer) => Ok(Ok(answer)),
            Err(Denied::Refused(refusal)) => Ok(Err(refusal)),
            Err(Denied::Failed(error)) => Err(error),
        });
        answer.await?
    }

    /// Decides within a commit, and waits until every peer in sync has the result, for 250 ms at most. Returns the
    /// position of the last event, or `None` if there was nothing to change. A refusal that may be due to missing data
    /// is given only after catching up with the peers in sync.
    pub async fn commit_and_replicate(
        &self,
        decide: impl Fn(&Tables<'_>) -> Result<Decision, StoreError> + Send + Sync + 'static,
    ) -> Result<Option<Pos>, Refusal> {
        self.decide_with(DiskShare::Users, Decide::new(decide)).await
    }

    /// As [`ServiceContext::commit_and_replicate`], for decisions that remove something: they may use the reserve of a full disk.
    pub async fn commit_and_replicate_from_reserve(
        &self,
        decide: impl Fn(&Tables<'_>) -> Result<Decision, StoreError> + Send + Sync + 'static,
    ) -> Result<Option<Pos>, Refusal> {
        self.decide_with(DiskShare::WithReserve, Decide::new(decide)).await
    }

    async fn decide_with(&self, share: DiskShare, decide: Decide) -> Result<Option<Pos>, Refusal> {
        let was_ready = self.driver.is_ready();
        let decided = match self.commit_with(share, decide.clone()).await {
            Err(refusal) if may_lack_data(refusal.code) => {
                let ready = self.catch_up().await && was_ready;
                match self.commit_with(share, decide).await {
                    Err(refusal) if !ready && may_lack_data(refusal.code) => Err(catching_up()),
                    decided => decided,
                }
            }
            decided => decided,
        }?;
        if let Some(pos) = decided {
            self.driver.wait(pos.origin, pos.seq, Until::InSync, REPLICATION_WAIT_MS).await;
        }
        Ok(decided)
    }

    /// Catches up with the peers in sync. Returns whether the node is ready afterwards: one that was suspended learns of
    /// that here, and has no peer in sync then.
    pub async fn catch_up(&self) -> bool {
        self.driver.barrier().await;
        self.driver.is_ready()
    }

    /// Decides within a commit, without waiting for peers.
    pub async fn commit_local(&self, decide: Decide) -> Result<Option<Pos>, Refusal> {
        self.commit_with(DiskShare::Users, decide).await
    }

    async fn commit_with(&self, share: DiskShare, decide: Decide) -> Result<Option<Pos>, Refusal> {
        let op = Op::Decide(decide);
        decided(match share {
            DiskShare::Users => self.writer.commit(op).await,
            DiskShare::WithReserve => self.writer.commit_from_reserve(op).await,
        }?)
    }

    /// As [`ServiceContext::commit_and_replicate_from_reserve`], but gives a refusal without catching up first.
    pub async fn commit_and_replicate_from_reserve_without_catch_up(
        &self,
        decide: Decide,
    ) -> Result<(), Refusal> {
        if let Some(pos) = self.commit_with(DiskShare::WithReserve, decide).await? {
            self.driver.wait(pos.origin, pos.seq, Until::InSync, REPLICATION_WAIT_MS).await;
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
            Err(Refusal::new(ErrorCode::Unavailable, texts::node::FAILED))
        }
    }
}

/// The refusal of a node that is not ready: with no peer in sync, it cannot know that something does not exist.
pub fn catching_up() -> Refusal {
    Refusal::new(ErrorCode::Unavailable, texts::node::CATCHING_UP)
}

/// Whether data from another node could turn the refusal into a yes.
fn may_lack_data(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::NotFound | ErrorCode::Forbidden | ErrorCode::NotContacts | ErrorCode::RegistrationClosed
    )
}
