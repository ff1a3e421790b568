//! The texts of the commands and of a node's status, in English. A second language needs this file, and:
//! - the help, which clap reads from the docs in `config`,
//! - the errors of types, each at its type (`#[error("…")]`),
//! - the layouts of a status and of findings, at their types (`impl Display`).
//!
//! Refusals have theirs in `starling_protocol::texts`, because users see them on every surface.

use std::{collections::BTreeSet, fmt::Display, path::Path};

use starling_protocol::NodeId;

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

// The rotation of a cluster's secret: `starling cluster secret rotate`, and the status.

pub const NO_CLUSTER: &str = "this node is in no cluster, so there is no secret to rotate";
const OLD_SECRET_MAY_GO: &str = "every node uses the new cluster secret: remove the old one, the second line, from the secret \
     file of each node. Until then nodes go on taking cursors and tokens that were made under it, so a day is a good time to wait";
pub const NO_SECOND_SECRET: &str = "there is no new cluster secret: make one with 'starling cluster secret', and put it into the first line of each node's \
     secret file, above the old one. Nodes notice it within seconds. A secret that was used before is not taken again";
pub const NEW_SECRET_MISSING: &str = "other nodes have a new cluster secret that this node lacks: put the same one into the first line of its secret file";
pub const LEFT_BEHIND: &str = "the cluster has switched to another secret, and the other nodes refuse this one: put the new secret into the first \
     line of this node's secret file, and keep the present one in the second";
pub const SECRET_IN_USE_REMOVED: &str = "the secret file no longer holds the cluster secret in use, so the node goes on with the secrets that it had: put that \
     one back into the second line until 'starling cluster secret rotate' has switched; a restart would fail";
pub const NEW_SECRET_EVERYWHERE: &str =
    "rotation, phase 1 of 3: every node has the new secret; run 'starling cluster secret rotate'";

/// Names nodes.
fn listed(nodes: &BTreeSet<NodeId>) -> String {
    nodes.iter().map(NodeId::to_string).collect::<Vec<_>>().join(", ")
}

/// `reason` is that of a configuration error.
pub fn secret_file_unusable(reason: impl Display) -> String {
    format!("{reason}; the node goes on with the cluster secrets that it had")
}

pub fn waiting_for_secret(missing: &BTreeSet<NodeId>) -> String {
    format!(
        "phase 1 of 3: waiting until these nodes report the new secret beside the old one, or are forgotten: {}. \
         With --go-on they are refused until they are given it",
        listed(missing)
    )
}

pub fn waiting_for_switch(missing: &BTreeSet<NodeId>) -> String {
    format!("phase 2 of 3: switched; waiting until these nodes use the new secret: {}", listed(missing))
}

pub fn old_secret_held(holders: &BTreeSet<NodeId>) -> String {
    format!("rotation, phase 3 of 3: {OLD_SECRET_MAY_GO}. They still have it: {}", listed(holders))
}

pub fn old_secret_may_go(refused: &BTreeSet<NodeId>) -> String {
    if refused.is_empty() {
        return OLD_SECRET_MAY_GO.to_owned();
    }
    format!(
        "the cluster has switched. These nodes are refused until the new secret is in the first line of their secret file, and \
         the old one in the second: {}. Once they have it, or are forgotten, the old one may be removed",
        listed(refused)
    )
}

pub fn switched_without(missing: &BTreeSet<NodeId>) -> String {
    format!(
        "the cluster has switched, but these nodes have not reported that they use the new secret: {}. Keep the old one \
         until 'starling status' says that it may be removed",
        listed(missing)
    )
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

// `starling leave` and `starling cluster forget`.

pub const LEAVE_BEGINS: &str = "leaving: asking the other nodes what they hold";

pub fn leave_waits(holders: usize, copies: usize, lack: &str) -> String {
    let text = format!("leaving: {holders} of {copies} nodes that must remain hold everything");
    if lack.is_empty() { text } else { format!("{text}; waiting for {lack}") }
}

/// For a node that is no member any more. Its peers refuse its links, so it learns of no newcomers.
pub fn end_waits(holders: usize, copies: usize, lack: &str) -> String {
    format!(
        "{}; if that goes on although the others run, stop this node and start it again: it joins under a new id, with all \
         its data, and can leave then",
        leave_waits(holders, copies, lack)
    )
}

pub fn not_linked(node: impl Display) -> String {
    format!("{node} (not linked: start it, or start another node and forget this one)")
}

pub fn lacks_events(node: impl Display, events: u64) -> String {
    format!("{node} (lacks {events} events)")
}

/// `why` is a sentence.
pub fn cannot_write_leave(why: impl Display) -> String {
    format!("leaving: cannot write that this node has left, trying again: {why}")
}

pub fn has_left(node: impl Display, holders: usize) -> String {
    format!(
        "{node} has left the cluster: {} hold all its data. Its data directory can be deleted; if it is started again, it \
         joins as a new node",
        nodes(holders)
    )
}

pub fn is_forgotten(node: impl Display, was_member: bool) -> String {
    format!("{node} {}", if was_member { "is forgotten" } else { "was forgotten already" })
}

pub const LEAVE_INTERRUPTED: &str = "the node was stopped before it had left: start it, which makes it a member again if \
     it was none any more, and run 'starling leave' again";

pub const FORGOTTEN: &str =
    "this node was forgotten by its cluster: it joins again under a new id, with all its data";

pub fn cannot_start_again(error: impl Display) -> String {
    format!("{FORGOTTEN}, but cannot start itself again: {error}; start it")
}

pub fn no_node_id(text: &str) -> String {
    format!("{text} is no id of a node: 'starling status' shows the ids")
}

pub fn nodes(count: usize) -> String {
    if count == 1 { "1 node".to_owned() } else { format!("{count} nodes") }
}

pub fn are(nodes: &std::collections::BTreeSet<impl Display>) -> String {
    let verb = if nodes.len() == 1 { "is" } else { "are" };
    let nodes = nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    format!("{nodes} {verb}")
}

/// A span of time in words.
pub fn span(span: std::time::Duration) -> String {
    match span.as_secs() {
        seconds if seconds < 60 => format!("{seconds} s"),
        seconds => format!("{} min", seconds.div_ceil(60)),
    }
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
