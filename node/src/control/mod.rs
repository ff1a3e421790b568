//! The control socket, `DATA/control.sock` (mode 0600): how commands of this binary speak with a running node. One
//! JSON line asks; JSON lines answer: progress, then a result or an error.

mod client;
mod server;
mod status;

use serde::{Deserialize, Serialize};

pub use self::{
    client::{AskError, ask},
    server::ControlServer,
    status::{PeerStatus, Queues, Status, StatusSource, StoreStatus},
};
use crate::verify::Findings;

/// The socket's name in the data directory.
pub const SOCKET: &str = "control.sock";
/// Bytes in a question, at most.
const QUESTION_BYTES_MAX: u64 = 64 * 1024;

/// What may be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Question {
    /// How is the node?
    Status,
    /// Check the log, and the views against a rebuild.
    Verify {
        /// With the digest of each scope.
        scopes: bool,
    },
}

/// One line of an answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// How far it has come.
    Progress(String),
    /// How the node is.
    Status(Box<Status>),
    /// What the check has found.
    Verified(Findings),
    /// Why there is no result.
    Error(String),
}
