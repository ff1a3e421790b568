//! The control socket, `DATA/control.sock` (mode 0600), over which commands of this binary use a running node. A question is
//! one JSON line; an answer is JSON lines: progress, then a result or an error.

mod client;
mod members;
mod password_prompt;
mod server;
mod socket_path;
mod starting;
mod status;
mod users;
mod verify;

use serde::{Deserialize, Serialize};

pub use self::{
    client::{AskError, ask},
    members::{LeaveRequest, MemberCommands},
    password_prompt::{PromptError, new_password},
    server::ControlServer,
    starting::{StartingControl, StartingStatus},
    status::{PeerStatus, Queues, Status, StatusSource, StoreStatus},
    users::{UserAct, UserCommands},
};
use crate::verify::Findings;

/// The name of the socket in the data directory.
pub const SOCKET: &str = "control.sock";
/// Bytes in a question, at most.
const QUESTION_BYTES_MAX: u64 = 64 * 1024;

/// A command to a running node.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Question {
    /// Report the status.
    Status,
    /// Check the log, and the views against a rebuild.
    Verify {
        /// Whether to report the digest of each scope.
        scopes: bool,
    },
    /// Switch the cluster to its new secret.
    RotateSecret {
        /// Whether to go on without the nodes that have not reported it.
        go_on: bool,
    },
    /// Act on an account.
    User {
        /// The name of the account, as it is shown.
        name: String,
        /// The action.
        act: UserAct,
    },
    /// Leave the cluster, and end.
    Leave,
    /// Forget another node.
    Forget {
        /// The node's id.
        node: String,
        /// Whether to forget it even if it was heard lately.
        force: bool,
    },
}

/// One line of an answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// A line about the progress; more lines follow.
    Progress(String),
    /// The status of the node.
    Status(Box<Status>),
    /// The result of a check.
    Verified(Findings),
    /// The command is done; a line for the operator.
    Done(String),
    /// A link for choosing a new password.
    ResetLink {
        /// The address of the link.
        url: String,
        /// When the link expires: RFC 3339 in UTC.
        expires_at: String,
    },
    /// The command has failed; a line that says why.
    Error(String),
}
