//! The limit of open files.

use std::process::Command;

use crate::process::running::Running;
use harness::process::starling;

/// A node under these limits, as a shell sets them.
async fn under(limits: &str) -> Running {
    let mut node = Running::new();
    let mut command = Command::new("sh");
    let inner = starling(&["serve", "--listen", &node.http.to_string(), "--data-dir"]);
    command.args(["-c", &format!("{limits}; exec \"$@\""), "sh"]);
    command.arg(inner.get_program()).args(inner.get_args()).arg(node.data());
    node.serve(&mut command).await;
    node
}

/// The soft and the hard limit.
fn limits(node: &Running) -> [String; 2] {
    let limits = node.kernel("limits");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let mut words = line.expect("the kernel tells the limit").split_whitespace().map(str::to_owned);
    [words.next(), words.next()].map(|word| word.expect("there are two limits"))
}

/// 15,000 connections are promised, and systems give a process 1,024 files unless it asks for more.
#[tokio::test]
async fn the_soft_limit_is_raised_to_the_hard_one() {
    let mut node = under("ulimit -Sn 300; ulimit -Hn 900").await;
    assert_eq!(limits(&node), ["900", "900"]);
    let said = node.said("stderr");
    let warned = said.lines().any(|line| line.contains("limit of open files") && line.contains("WARN"));
    assert!(warned && said.contains("LimitNOFILE"), "{said}");
    assert_eq!(node.stop().await, Some(0));
}

/// Promise: an operator who allows enough open files is not warned.
#[tokio::test]
async fn a_high_limit_draws_no_warning() {
    let mut node = under("ulimit -Sn 300").await;
    let [soft, hard] = limits(&node);
    assert_eq!(soft, hard);
    let enough = hard == "unlimited" || hard.parse::<u64>().is_ok_and(|hard| hard >= 15_256);
    assert_eq!(node.said("stderr").contains("limit of open files"), !enough);
    assert_eq!(node.stop().await, Some(0));
}
