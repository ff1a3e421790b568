//! Reads what the kernel knows of a node's process: CPU time and resident memory, from `/proc`.

use std::fs;
use std::time::Duration;

use harness::Node;

#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// User and system, all threads, in steps of 10 ms.
    pub cpu: Duration,
    pub rss_mib: f64,
    /// The most that it ever held.
    pub peak_mib: f64,
}

/// The resources that a running node has used up to now.
pub fn usage(node: &Node) -> Usage {
    let pid = node.pid();
    let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).expect("the node runs");
    let (stat, status) = (read("stat"), read("status"));
    // The name in it may hold spaces and brackets: fields count from the last.
    let fields = stat.rsplit_once(')').expect("the name ends").1;
    let ticks: u64 = fields
        .split_ascii_whitespace()
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u64>().expect("a number"))
        .sum();
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    let memory = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("memory is told");
        let kib = line.split_ascii_whitespace().next().and_then(|text| text.parse::<u32>().ok());
        f64::from(kib.expect("a number of KiB")) / 1024.0
    };
    Usage {
        cpu: Duration::from_millis(ticks * 1_000 / per_second),
        rss_mib: memory("VmRSS:"),
        peak_mib: memory("VmHWM:"),
    }
}
