//! The end of a node's membership: it leaves at an operator's command, or learns that it was forgotten. Either way its data
//! directory gets a new identity, since no id that was forgotten is a member again.

use std::time::Duration;

use starling_protocol::NodeId;
use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};

use super::{Node, StartError};
use crate::{
    config::Config,
    control::LeaveRequest,
    data_dir::DataDir,
    environment::{Environment, ThisMachine},
    store::Store,
    texts,
};

/// How long a node that has left waits until the operator's command has its answer.
const ANSWERED_MAX: Duration = Duration::from_secs(1);

/// How long a node with a new identity waits before it starts: by then its peers have noticed the end of all links to its old
/// one. While both were linked, one disk would count as two copies.
const OLD_LINKS_END: Duration = Duration::from_secs(4);

/// Why a node's membership ends.
pub enum Departure {
    /// An operator's command.
    Leave(LeaveRequest),
    /// It was forgotten: it has to start again under a new id.
    Forgotten,
}

/// How a departure ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departed {
    /// The node is no member any more, and nothing is left to do.
    Left,
    /// The node was forgotten: it has to start again under a new id.
    Forgotten,
    /// It could not leave, and is still a member.
    Stayed,
}

impl Node {
    /// Waits until this node is about to leave, or learns that it was forgotten.
    pub async fn departure(&self) -> Departure {
        let mut requests = self.leave_requests.lock().await;
        tokio::select! {
            Some(request) = requests.recv() => Departure::Leave(request),
            () = self.core.forgotten() => Departure::Forgotten,
        }
    }

    /// Leaves the cluster: drains, hands over what only this node has, says so in the log, and waits until the nodes that stay
    /// hold that, too. There is no time limit. If this is cancelled, the node is still a member, or finds out at its next
    /// start that it is none.
    pub async fn leave(&mut self, request: LeaveRequest) -> Departed {
        tracing::info!("leaving the cluster: telling sessions to resume on another node");
        self.drain().await;
        let LeaveRequest { permit, progress, outcome, answered } = request;
        let report = |text: String| drop(progress.try_send(text));
        let (departed, answer) = match permit.finish(report).await {
            Ok(left) => {
                let text = texts::has_left(self.id, left.holders);
                tracing::info!("{text}");
                (Departed::Left, self.renew_identity().map(|()| text).map_err(|error| error.to_string()))
            }
            Err(refused) if self.core.is_forgotten() => (Departed::Forgotten, Err(refused.to_string())),
            Err(refused) => (Departed::Stayed, Err(refused.to_string())),
        };
        let _ = outcome.send(answer);
        wait_for_answer(answered).await;
        departed
    }

    /// Stops a node that was forgotten, and gives its data directory a new identity.
    ///
    /// # Errors
    ///
    /// If the identity cannot be written.
    pub async fn stop_forgotten(self) -> Result<(), StartError> {
        tracing::warn!("{}", texts::FORGOTTEN);
        let renewed = self.renew_identity();
        self.stop().await;
        sleep(OLD_LINKS_END).await;
        renewed
    }

    /// Gives the data directory of this node a new identity for its next start.
    fn renew_identity(&self) -> Result<(), StartError> {
        Ok(self.dir.renew_identity(new_id())?)
    }
}

/// Gives the data directory of a node that does not run a new identity: it was forgotten. Returns once no peer takes the old
/// one for running.
///
/// # Errors
///
/// If the directory or its store cannot be used.
pub async fn renew_identity(config: &Config) -> Result<(), StartError> {
    let (dir, _) = DataDir::inspect(&config.data_dir)?;
    let file = dir.store_file();
    // An open store is locked, so this never happens to a running node.
    let open = || Store::open_file(&file).map_err(|error| StartError::store(&file, error));
    let _store = dir.has_store()?.then(open).transpose()?;
    dir.renew_identity(new_id())?;
    sleep(OLD_LINKS_END).await;
    Ok(())
}

fn new_id() -> NodeId {
    let machine: &dyn Environment = &ThisMachine;
    NodeId(machine.random())
}

/// Waits until the command has its answer, or is gone.
async fn wait_for_answer(answered: oneshot::Receiver<()>) {
    let _ = timeout(ANSWERED_MAX, answered).await;
}
