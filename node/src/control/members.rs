//! The commands of an operator on the members of the cluster: `starling leave` and `starling cluster forget`.

use std::{io, sync::Arc};

use starling_protocol::NodeId;
use tokio::{
    io::AsyncWriteExt,
    sync::{mpsc, oneshot},
};

use super::{
    Answer,
    server::{PROGRESS_MAX, send, wait_with_progress},
};
use crate::{
    services::{LeavePermit, MembershipService},
    texts,
};

/// A node that is about to leave the cluster: the command waits for the outcome.
pub struct LeaveRequest {
    /// Allows it.
    pub permit: LeavePermit,
    /// Takes lines of progress.
    pub progress: mpsc::Sender<String>,
    /// Takes the outcome: a line for the operator, or an error.
    pub outcome: oneshot::Sender<Result<String, String>>,
    /// Ends when the operator has the outcome, or is gone.
    pub answered: oneshot::Receiver<()>,
}

/// Carries out commands on members.
pub struct MemberCommands {
    membership: Arc<MembershipService>,
    leave: mpsc::Sender<LeaveRequest>,
}

impl MemberCommands {
    /// Makes the commands, and the end at which the node takes the request to leave.
    pub fn new(membership: Arc<MembershipService>) -> (Self, mpsc::Receiver<LeaveRequest>) {
        let (leave, requests) = mpsc::channel(1);
        (Self { membership, leave }, requests)
    }

    /// Forgets a node.
    pub(super) async fn forget(&self, node: &str, force: bool) -> Answer {
        let Ok(id) = NodeId::parse(node) else { return Answer::Error(texts::no_node_id(node)) };
        match self.membership.forget(id, force).await {
            Ok(was_member) => Answer::Done(texts::is_forgotten(id, was_member)),
            Err(refused) => Answer::Error(refused.to_string()),
        }
    }

    /// Leaves the cluster. Until the node drains, it stays if the caller goes; from then on it leaves in any case.
    pub(super) async fn leave(&self, writer: &mut (impl AsyncWriteExt + Unpin)) -> io::Result<()> {
        let (progress, mut lines) = mpsc::channel(PROGRESS_MAX);
        let prepared = {
            let report = |text| drop(progress.try_send(text));
            wait_with_progress(writer, &mut lines, self.membership.prepare_leave(report)).await?
        };
        let permit = match prepared {
            Ok(permit) => permit,
            Err(refused) => return send(writer, &Answer::Error(refused.to_string())).await,
        };
        let (outcome, left) = oneshot::channel();
        let (_answered, answered) = oneshot::channel();
        // The permit is dropped if the node is stopping already: then it stays a member.
        let _ = self.leave.try_send(LeaveRequest { permit, progress, outcome, answered });
        let answer = match wait_with_progress(writer, &mut lines, left).await? {
            Ok(Ok(text)) => Answer::Done(text),
            Ok(Err(text)) => Answer::Error(text),
            Err(_) => Answer::Error(texts::LEAVE_INTERRUPTED.to_owned()),
        };
        send(writer, &answer).await
    }
}
