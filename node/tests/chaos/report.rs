//! The report of a run and its findings, in Markdown: to the terminal, and to the file `STARLING_CHAOS_REPORT`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use crate::link_fault::LinkFault;
use crate::node_fault::NodeFault;
use crate::run::Run;
use crate::verdict::Line;
use harness::process::starling;

/// Adds a line.
macro_rules! say {
    ($text:expr, $($format:tt)*) => { writeln!($text, $($format)*).expect("a string takes text") };
}

/// Composes the report and writes it.
pub(crate) fn write(run: &Run, command: &str, nodes: usize, under_load: Duration, lines: &[Line]) {
    let mut text = String::new();
    head(&mut text, command, nodes, under_load);
    verdict(&mut text, lines);
    counts(&mut text, run, under_load);
    faults(&mut text, run);
    timeline(&mut text, run);
    match std::env::var("STARLING_CHAOS_REPORT") {
        Ok(file) => fs::write(&file, &text).expect("the report can be written"),
        Err(_) => eprintln!("{text}"),
    }
}

fn head(text: &mut String, command: &str, nodes: usize, under_load: Duration) {
    let version = starling(&["--version"]).output().map(|output| output.stdout).unwrap_or_default();
    let commit = std::env::var("STARLING_CHAOS_COMMIT").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    say!(text, "# Chaos: {nodes} nodes, {} s under load\n", under_load.as_secs());
    say!(text, "    {command}\n");
    say!(
        text,
        "The seed decides what breaks and in which order; what is under way just then is up to the machine.\n"
    );
    say!(text, "- version: {} {commit}", String::from_utf8_lossy(&version).trim());
    say!(
        text,
        "- machine: {cores} × {}, {} MiB, Linux {}; all nodes, all guests and the network between them on it",
        cpu.map_or("unknown", |(_, model)| model),
        kib("/proc/meminfo", "MemTotal:") / 1024,
        kernel.trim()
    );
    say!(
        text,
        "- memory of the guests, the ledger and the network: {} MiB at most\n",
        kib("/proc/self/status", "VmHWM:") / 1024
    );
}

/// A figure that the system gives in KiB.
fn kib(file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let figure =
        text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok());
    figure.unwrap_or_default()
}

fn verdict(text: &mut String, lines: &[Line]) {
    let passed = lines.iter().all(|line| line.wrong.is_empty());
    say!(text, "## Verdict: {}\n", if passed { "passed" } else { "FAILED" });
    for Line { what, wrong } in lines {
        say!(text, "- {}: {what}", if wrong.is_empty() { "yes" } else { "**NO**" });
        for wrong in wrong {
            say!(text, "    - {wrong}");
        }
    }
    say!(text, "");
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn counts(text: &mut String, run: &Run, under_load: Duration) {
    let ledger = run.load.ledger();
    say!(text, "## Load\n");
    let per_second = ledger.acked as f64 / under_load.as_secs_f64();
    say!(
        text,
        "- {} acked, {per_second:.0} a second, by {} guests in {} rooms",
        ledger.acked,
        ledger.guests.len(),
        ledger.rooms.len()
    );
    let mut copies: BTreeMap<u8, usize> = BTreeMap::new();
    for message in ledger.guests.iter().flat_map(|guest| &guest.messages) {
        *copies.entry(message.copies).or_default() += 1;
    }
    let copies: Vec<_> = copies.iter().map(|(copies, count)| format!("{count} with {copies}")).collect();
    say!(text, "- copies, as the last ack of each said: {}", copies.join(", "));
    let times = ledger.ack_times();
    let percentile = |per_mille: usize| {
        let at = (times.len() * per_mille / 1_000).min(times.len().saturating_sub(1));
        times.get(at).copied().unwrap_or_default()
    };
    let percentiles = [("p50", 500), ("p90", 900), ("p99", 990), ("p99.9", 999), ("greatest", 1_000)];
    let percentiles = percentiles.map(|(name, per_mille)| format!("{name} {:.1?}", percentile(per_mille)));
    say!(text, "- from the first sending to the first ack, faults included: {}", percentiles.join(", "));
    say!(
        text,
        "- {} sessions ended by nodes; {} times a guest left a node that did not answer; {} resyncs; {} posts refused \
         for want of space; {} messages shown again",
        ledger.dropped.len(),
        ledger.given_up,
        ledger.resyncs,
        ledger.storage_full,
        ledger.shown_again
    );
    say!(
        text,
        "- {} restarts one after the other ended {} sessions, with {} posts in flight that were all acked in the end\n",
        run.rolling.restarts,
        run.rolling.sessions,
        run.rolling.in_flight
    );
}

fn faults(text: &mut String, run: &Run) {
    let mut kinds: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    for passed in &run.passed {
        let node = passed.round.node.map(NodeFault::name);
        let link = passed.round.link.map(LinkFault::name);
        for name in node.into_iter().chain(link) {
            kinds.entry(name).or_default().push(passed.merged);
        }
    }
    say!(text, "## Faults\n\n| kind | times | until merged, median | slowest |\n|---|---|---|---|");
    for (name, mut merged) in kinds {
        merged.sort_unstable();
        let (median, slowest) = (merged[merged.len() / 2], merged[merged.len() - 1]);
        say!(text, "| {name} | {} | {median:.1?} | {slowest:.1?} |", merged.len());
    }
    say!(
        text,
        "\nMerged: every running node is in sync with all others, and lists what was posted on each after all was mended.\n"
    );
}

fn timeline(text: &mut String, run: &Run) {
    say!(text, "## Timeline\n\n| at | what | lasted | merged after | acked |\n|---|---|---|---|---|");
    for passed in &run.passed {
        let (began, lasted) = (passed.began.as_secs_f64(), passed.lasted.as_secs_f64());
        say!(
            text,
            "| {began:.1} s | {} | {lasted:.1} s | {:.1?} | {} |",
            passed.what,
            passed.merged,
            passed.acked
        );
    }
}
