//! The texts of the commands and of a node's status, in English. A second language needs this file, and:
//! - the help, which clap reads from the docs in `config`,
//! - the errors of types, each at its type (`#[error("…")]`),
//! - the layouts of a status and of findings, at their types (`impl Display`).
//!
//! Refusals have theirs in `starling_protocol::texts`, because users see them on every surface.

use std::{fmt::Display, path::Path};

/// The one line of a command that failed.
pub fn failure(error: impl Display) -> String {
    format!("starling: {error}")
}

// The start of a node.

pub fn running(url: &str) -> String {
    format!("Starling is running: open {url}/")
}

pub fn reachable_at(address: impl Display) -> String {
    format!("From other machines, unless a firewall blocks it: http://{address}/")
}

pub fn no_administrator(setup_address: &str) -> String {
    format!("There is no administrator yet: create the first account at {setup_address}")
}

// `starling cluster secret`.

pub fn secret_exists(file: &Path) -> String {
    format!(
        "{} already exists, and a cluster secret is never overwritten; choose another file",
        file.display()
    )
}

pub fn cannot_write(file: &Path, error: impl Display) -> String {
    format!("cannot write {}: {error}", file.display())
}

// `starling user`.

pub const REPEAT_PASSWORD: &str = "Repeat the password: ";

pub fn new_password(name: &str) -> String {
    format!("New password for {name}: ")
}

pub fn added(username: impl Display, admin: bool) -> String {
    format!("added {username}{}", if admin { " as an administrator" } else { "" })
}

pub fn password_changed(name: &str) -> String {
    format!("{name} has a new password, and is logged out everywhere")
}

pub fn is_administrator(name: &str, changed: bool) -> String {
    format!("{name} is an administrator {}", if changed { "now" } else { "already" })
}

pub fn reset_link_expires(at: impl Display) -> String {
    format!("The link works once, until {at}.")
}

/// `why` completes the sentence, such as `must not be empty`.
pub fn bad_name(why: impl Display) -> String {
    format!("the name {why}")
}

/// `why` completes the sentence.
pub fn bad_password(why: impl Display) -> String {
    format!("the password {why}; nothing was changed")
}

// `starling verify`.

pub const COMMAND_FAILED: &str = "the command failed unexpectedly; see the log of the node";
pub const CHECK_FAILED: &str = "the check failed unexpectedly; see the log of the node";

pub fn checking(events: u64) -> String {
    format!("checking: {events} events")
}

pub fn rebuilding(events: u64) -> String {
    format!("rebuilding: {events} events")
}

/// The node is of another version than the command.
pub fn unknown_command(error: impl Display) -> String {
    format!("this node does not understand the command: {error}; use the same binary as the node")
}

// Why a node is not ready, in `starling status` and at `/readyz`.

pub fn migrating(done: u64, total: u64) -> String {
    format!("migrating the store to this version: {done} of {total} events")
}

/// The answer to a command other than `starling status`.
pub fn command_while_migrating(done: u64, total: u64) -> String {
    format!("the node is {}; repeat the command once it is ready", migrating(done, total))
}

pub const NO_PEER_YET: &str = "no other node was reached yet, and cluster.expect_peers is set";
pub const REFILLING: &str = "the store was lost, and the other nodes are refilling it; if no node with the data is running, start one, or restart this node with --fresh to begin with an empty store";
pub const CATCHING_UP: &str = "catching up with the other nodes";
pub const COMMIT_STALLED: &str = "one commit has kept the disk busy for more than a second";

pub fn task_down(task: impl Display) -> String {
    format!("{task} has failed and is being restarted")
}

pub fn identity_copied(reported_by: impl Display) -> String {
    format!(
        "a connection with {reported_by} showed that another running node has this node's identity: was the data \
         directory copied? Stop one of the two, and start it with an empty --data-dir"
    )
}

pub fn store_damaged(damage: &str) -> String {
    format!(
        "the store cannot be read: {damage}; stop the node, run 'starling verify', then restore a backup, or move \
         the store away so that the peers refill it"
    )
}

/// `ahead_ms` is positive if this clock is ahead of most others, negative if it is behind.
pub fn clock_wrong(ahead_ms: i64) -> String {
    let (seconds, side) = (ahead_ms.unsigned_abs() / 1_000, if ahead_ms > 0 { "ahead of" } else { "behind" });
    format!("this node's clock is {seconds} s {side} the clocks of most other nodes; correct it")
}

// Troubles that don't keep a node from serving.

pub fn clocks_differ(seconds: impl Display) -> String {
    format!("the clocks of the nodes differ by {seconds} s; correct them")
}

pub fn views_differ(peer: impl Display, shards: usize, scopes: &str) -> String {
    format!("this node and {peer} differ in {shards} of 256 shards ({scopes}); run 'starling verify' on both")
}
