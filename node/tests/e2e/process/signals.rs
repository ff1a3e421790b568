//! The signals that stop a node.

use std::net::UdpSocket;
use std::process::Command;

use rustix::process::Signal;

use crate::process::running::Running;
use crate::process::{about, serve};
use harness::process::{free_port, starling};
use harness::{Client, PATIENCE, cluster::new_secret, eventually, http::create_room};

/// SIGHUP's bit in the masks of `/proc/PID/status`.
fn has_hangup(status: &str, mask: &str) -> bool {
    let line = status.lines().find_map(|line| line.strip_prefix(mask));
    line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

/// A closed terminal ends a node as SIGTERM does: its sessions are sent elsewhere, and nothing is torn.
#[tokio::test]
async fn a_hangup_stops_in_order() {
    let mut node = Running::new();
    let listen = node.http.to_string();
    node.serve(&mut serve(&listen, &node.data())).await;
    let room = create_room(node.http).await;
    let mut ann = Client::join(node.http, &room, "Ann").await;
    ann.post("hello").await;
    node.signal(Signal::HUP);
    assert_eq!(node.exit().await, Some(0));
    assert!(node.said("stderr").contains("stopped"), "{}", node.said("stderr"));
    let verified = harness::process::run(about(&["verify"], &node.data())).await;
    assert_eq!(verified.code, Some(0), "{verified:?}");
}

/// Nor does it kill a node that is only starting.
#[tokio::test]
async fn a_hangup_ends_a_start_in_order() {
    // Somebody who never answers, so that the start waits for a moment.
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a port can be held");
    let join = silent.local_addr().expect("a socket has an address").to_string();
    let mut node = Running::new();
    let mut command = serve(&node.http.to_string(), &node.data());
    command.args(["--cluster-secret", &new_secret().await, "--join", &join]);
    command.args(["--cluster-listen", &format!("127.0.0.1:{}", free_port())]);
    let (out, err) = (node.file("stdout"), node.file("stderr"));
    node.start(command.stdout(out).stderr(err));
    eventually(PATIENCE, "the node receives signals", async || {
        let status = node.kernel("status");
        if has_hangup(&status, "SigCgt:") { Ok(()) } else { Err(status) }
    })
    .await;
    node.signal(Signal::HUP);
    assert_eq!(node.exit().await, Some(0));
}

/// `nohup starling` outlives its terminal.
#[tokio::test]
async fn a_hangup_that_was_ignored_before_stays_ignored() {
    let mut node = Running::new();
    let mut command = Command::new("sh");
    let inner = starling(&["serve", "--listen", &node.http.to_string(), "--data-dir"]);
    command.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).arg(inner.get_program()).args(inner.get_args());
    command.arg(node.data());
    node.serve(&mut command).await;
    node.signal(Signal::HUP);
    assert!(has_hangup(&node.kernel("status"), "SigIgn:"));
    node.ready().await;
    assert_eq!(node.stop().await, Some(0));
}
