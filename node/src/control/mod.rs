//! The control socket, `DATA/control.sock` (mode 0600): how commands of this binary speak with a running node. One
//! JSON line asks; JSON lines answer: progress, then a result or an error.

mod client;
mod password_prompt;
mod server;
mod socket_path;
mod status;
mod users;
mod verify;

use serde::{Deserialize, Serialize};

pub use self::{
    client::{AskError, ask},
    password_prompt::{PromptError, new_password},
    server::ControlServer,
    status::{PeerStatus, Queues, Status, StatusSource, StoreStatus},
    users::{UserAct, UserCommands},
};
use crate::verify::Findings;

/// The socket's name in the data directory.
pub const SOCKET: &str = "control.sock";
/// Bytes in a question, at most.
const QUESTION_BYTES_MAX: u64 = 64 * 1024;

/// What may be asked.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Question {
    /// How is the node?
    Status,
    /// Check the log, and the views against a rebuild.
    Verify {
        /// With the digest of each scope.
        scopes: bool,
    },
    /// Do something to an account.
    User {
        /// Its name, as it is shown.
        name: String,
        /// What.
        act: UserAct,
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
    /// What was done.
    Done(String),
    /// A link with which a password can be chosen.
    ResetLink {
        /// Its address.
        url: String,
        /// Until when.
        expires_at: String,
    },
    /// Why there is no result.
    Error(String),
}
