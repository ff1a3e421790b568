//! Refusals that are about the state of a node.

pub const DISK_FULL: &str = "the disk of this node is full; use another node, or try again later";
pub const DISK_FULL_NOTHING_WRITTEN: &str =
    "the disk of this node is full, so nothing was written; use another node, or try again later";
pub const STOPPING: &str = "this node is stopping; use another node";
pub const CREATION_UNCONFIRMED: &str = "the room could not be created; try again";
pub const CANNOT_READ: &str = "this node can't read its store right now; use another node";
pub const FAILED: &str = "this node could not do that; try again";
pub const CATCHING_UP: &str = "this node is still catching up; try again, or use another node";
pub const NO_SERVICE_KEY: &str = "this node can't do logins or invites yet; try again, or use another node";
pub const QUEUE_FULL: &str = "the node has too many writes waiting; try again in a second";
pub const BEHIND_CURSOR: &str =
    "this node doesn't have everything that you have seen yet; use another node, or try again";
pub const ROOM_UNKNOWN_YET: &str = "this node doesn't know the room yet; use another node, or try again";
pub const TOO_MANY_CONNECTIONS: &str =
    "this node can't accept more connections from your network now; try again later";
pub const TOO_MANY_OPEN: &str = "your network has too many open requests and WebSockets; try again later";
pub const DISK_FULL_REASON: &str = "the disk is full";

/// The clock of this node is `own_ahead_ms` ahead of those of most other nodes; behind them if negative.
pub fn clock_wrong(own_ahead_ms: i64) -> String {
    let side = if own_ahead_ms > 0 { "ahead of" } else { "behind" };
    format!(
        "nothing was written: the clock of this node is {} s {side} those of most other nodes; use another node, \
         and ask the operator to set this one's clock",
        own_ahead_ms.unsigned_abs() / 1_000
    )
}
