//! The report of a run: figures as JSON, and the same as text.
//! Rates and CPU are those of the measured window; totals and checks are of everything, warm-up and drain included.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::meter::Sample;
use super::plan::Plan;
use super::state::{Notes, State};
use crate::check::{Check, Unacked};
use crate::latency::{Latency, Quantiles};
use crate::number::{count, float, grouped, nanos, ratio, round3};
use crate::table::Table;

/// A finished run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// The run in words.
    pub(crate) plan: String,
    /// Whether all checks passed.
    pub(crate) passed: bool,
    /// Over the whole run.
    totals: Totals,
    /// Over the measured window, a second.
    rates: Rates,
    /// From the intended send time to the first ack.
    ack: Quantiles,
    /// From the intended send time to arrival, over all receivers.
    delivery: Quantiles,
    /// Delays of the generator; if they are large, the generator was short of CPU time, not the node.
    sent_late: Quantiles,
    nodes: Vec<NodeReport>,
    /// First acks by the number of copies that they told.
    copies_first: BTreeMap<String, u64>,
    /// The share of first acks that told two copies or more, in percent.
    copied_percent: f64,
    /// Messages by the number of copies that their last ack told.
    copies_last: BTreeMap<String, u64>,
    processes: Vec<ProcessReport>,
    /// CPU time of the generator in the window, in s.
    generator_cpu_s: f64,
    notes: Notes,
    checks: Vec<CheckReport>,
}

#[derive(Debug, Serialize)]
struct Totals {
    connections: u64,
    sent: u64,
    acked: u64,
    refused: u64,
    unanswered: u64,
    received_unacked: u64,
    delivered: u64,
}

#[derive(Debug, Serialize)]
struct Rates {
    window_s: f64,
    sent: f64,
    acked: f64,
    delivered: f64,
}

#[derive(Debug, Serialize)]
struct NodeReport {
    node: String,
    ack: Quantiles,
    delivery: Quantiles,
}

#[derive(Debug, Serialize)]
struct ProcessReport {
    pid: u32,
    /// CPU time in the window, in s; `None` if the process ended.
    cpu_s: Option<f64>,
    /// CPU time per delivery by any node, in µs.
    cpu_us_per_delivery: Option<f64>,
    /// Resident memory at the window's end, in KiB.
    rss_kib: Option<u64>,
}

#[derive(Debug, Serialize)]
struct CheckReport {
    check: Check,
    title: &'static str,
    passed: bool,
    count: u64,
    examples: Vec<String>,
}

impl Report {
    /// Puts together what `state` says at the end of `plan`.
    pub(super) fn new(
        plan: &Plan,
        state: &mut State,
        unacked: Unacked,
        before: &Sample,
        after: &Sample,
    ) -> Self {
        let (mut ack, mut delivery) = (Latency::new(), Latency::new());
        for node in &state.nodes {
            ack.merge(&node.ack);
            delivery.merge(&node.delivery);
        }
        let p99_ms = delivery.quantile_ms(0.99);
        if let Some(limit) = plan.p99_limit_ms.filter(|&limit| p99_ms > limit) {
            state.findings.add(Check::Fast, || format!("{p99_ms} ms, the limit is {limit} ms"));
        }
        let copied_percent =
            round3(100.0 * ratio(float(state.copies[2..].iter().sum()), float(state.ledger.acked())));
        if let Some(limit) = plan.copied_percent_min.filter(|&limit| copied_percent < limit) {
            state.findings.add(Check::Copied, || format!("{copied_percent} %, demanded are {limit} %"));
        }
        if delivery.is_empty() {
            state.findings.add(Check::Received, || "nothing was delivered in the measured window".into());
        }
        let window_s = float(after.at_ns - before.at_ns) / 1e9;
        let rate = |before: u64, after: u64| round3(ratio(float(after - before), window_s));
        Self {
            plan: plan.describe(),
            passed: state.findings.passed(),
            totals: Totals {
                connections: count(&state.receipts),
                sent: state.ledger.len(),
                acked: state.ledger.acked(),
                refused: state.ledger.refused(),
                unanswered: unacked.unanswered,
                received_unacked: unacked.received,
                delivered: state.delivered,
            },
            rates: Rates {
                window_s: round3(window_s),
                sent: rate(before.sent, after.sent),
                acked: rate(before.acked, after.acked),
                delivered: rate(before.delivered, after.delivered),
            },
            ack: ack.quantiles(),
            delivery: delivery.quantiles(),
            sent_late: state.lag.quantiles(),
            nodes: std::iter::zip(&plan.nodes, &state.nodes)
                .map(|(node, figures)| NodeReport {
                    node: node.to_string(),
                    ack: figures.ack.quantiles(),
                    delivery: figures.delivery.quantiles(),
                })
                .collect(),
            copies_first: (0..)
                .zip(state.copies)
                .filter(|&(_, acks)| acks > 0)
                .map(|(copies, acks): (u32, _)| (copies.to_string(), acks))
                .collect(),
            copied_percent,
            copies_last: copies_last(state),
            processes: processes(plan, before, after),
            generator_cpu_s: round3((after.own_cpu.saturating_sub(before.own_cpu)).as_secs_f64()),
            notes: state.notes.clone(),
            checks: checks(plan, state),
        }
    }

    /// As text.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{}\n\n", self.plan);
        text.push_str(&self.counts().render());
        text.push_str("\nlatency in ms, from the intended send time\n");
        text.push_str(&self.latencies().render());
        self.copies_text(&mut text);
        self.processes_text(&mut text);
        self.notes_text(&mut text);
        text.push_str("\nchecks\n");
        for check in &self.checks {
            let verdict = if check.passed { "ok  " } else { "FAIL" };
            let _ = write!(text, "  {verdict}  {}", check.title);
            if !check.passed {
                let _ = write!(text, ": {} times", grouped(check.count));
            }
            text.push('\n');
            for example in &check.examples {
                let _ = writeln!(text, "          {example}");
            }
        }
        let _ = writeln!(text, "\n{}", if self.passed { "passed" } else { "FAILED" });
        text
    }

    fn counts(&self) -> Table {
        let mut table = Table::new(&["", "in all", "a second"]);
        let rate = |rate: f64| format!("{rate:.1}");
        let Totals { sent, acked, delivered, .. } = self.totals;
        table.row("sent", [grouped(sent), rate(self.rates.sent)]);
        table.row("acked", [grouped(acked), rate(self.rates.acked)]);
        table.row("delivered", [grouped(delivered), rate(self.rates.delivered)]);
        table.row("connections", [grouped(self.totals.connections), String::new()]);
        for (name, count) in [
            ("refused by an error", self.totals.refused),
            ("never answered", self.totals.unanswered),
            ("received, never acked", self.totals.received_unacked),
        ] {
            if count > 0 {
                table.row(name, [grouped(count), String::new()]);
            }
        }
        table
    }

    fn latencies(&self) -> Table {
        let mut table = Table::new(&["", "count", "p50", "p90", "p99", "p99.9", "max"]);
        let mut row = |name: &str, q: &Quantiles| {
            let ms = |ms: f64| format!("{ms:.2}");
            let cells =
                [grouped(q.count), ms(q.p50_ms), ms(q.p90_ms), ms(q.p99_ms), ms(q.p999_ms), ms(q.max_ms)];
            table.row(name, cells);
        };
        row("ack", &self.ack);
        row("delivery", &self.delivery);
        if self.nodes.len() > 1 {
            for node in &self.nodes {
                row(&format!("ack by {}", node.node), &node.ack);
                row(&format!("delivery by {}", node.node), &node.delivery);
            }
        }
        row("sent late by the generator", &self.sent_late);
        table
    }

    fn copies_text(&self, text: &mut String) {
        let show = |copies: &BTreeMap<String, u64>| -> String {
            let each: Vec<_> =
                copies.iter().map(|(copies, acks)| format!("{copies}: {}", grouped(*acks))).collect();
            each.join("   ")
        };
        let (first, percent) = (show(&self.copies_first), self.copied_percent);
        let _ = writeln!(text, "\ncopies, as first acked  {first}   (2 or more: {percent} %)");
        if self.copies_last != self.copies_first {
            let _ = writeln!(text, "        as last acked  {}", show(&self.copies_last));
        }
    }

    fn processes_text(&self, text: &mut String) {
        text.push('\n');
        for process in &self.processes {
            let _ = match (process.cpu_s, process.cpu_us_per_delivery, process.rss_kib) {
                (Some(cpu), Some(each), Some(rss)) => writeln!(
                    text,
                    "process {}: {cpu:.2} s CPU, {each:.2} µs per delivery; RSS {:.1} MiB",
                    process.pid,
                    float(rss) / 1024.0
                ),
                _ => writeln!(text, "process {}: ended during the run", process.pid),
            };
        }
        let _ = writeln!(
            text,
            "generator: {:.2} s CPU in a window of {:.1} s",
            self.generator_cpu_s, self.rates.window_s
        );
    }

    fn notes_text(&self, text: &mut String) {
        let notes = &self.notes;
        for (count, name) in [
            (notes.inversions, "deliveries below one seen before (live order between nodes)"),
            (notes.reconnects, "reconnects"),
            (notes.resent, "messages resent"),
            (notes.history, "messages replayed"),
            (notes.repeats, "messages seen again after a reconnect"),
            (notes.moved, "messages moved to a new pos after a resend"),
            (notes.resyncs, "resyncs"),
        ] {
            if count > 0 {
                let _ = writeln!(text, "note: {} {name}", grouped(count));
            }
        }
        for (code, count) in &notes.errors {
            let _ = writeln!(text, "note: error {code}: {}", grouped(*count));
        }
        for (reason, count) in &notes.lost {
            let _ = writeln!(text, "note: connection lost, {reason}: {}", grouped(*count));
        }
    }
}

fn copies_last(state: &State) -> BTreeMap<String, u64> {
    let mut copies: BTreeMap<String, u64> = BTreeMap::new();
    for (_, message) in state.ledger.numbered().filter(|(_, message)| message.acks > 0) {
        *copies.entry(message.copies_last.to_string()).or_default() += 1;
    }
    copies
}

fn processes(plan: &Plan, before: &Sample, after: &Sample) -> Vec<ProcessReport> {
    let delivered = float(after.delivered - before.delivered);
    let both = std::iter::zip(&before.processes, &after.processes);
    std::iter::zip(&plan.processes, both)
        .map(|(process, (before, after))| {
            let cpu = before.zip(*after).map(|((before, _), (after, _))| after.saturating_sub(before));
            ProcessReport {
                pid: process.0,
                cpu_s: cpu.map(|cpu| round3(cpu.as_secs_f64())),
                cpu_us_per_delivery: cpu.map(|cpu| round3(ratio(float(nanos(cpu)) / 1e3, delivered))),
                rss_kib: after.map(|(_, rss)| rss),
            }
        })
        .collect()
}

/// Leaves out what this run did not look at.
fn checks(plan: &Plan, state: &State) -> Vec<CheckReport> {
    let looked_at = |check: &Check| match check {
        Check::ListsAgree | Check::Listed => plan.lists,
        Check::NoErrors => !plan.errors_allowed,
        Check::Connected => !plan.resume,
        Check::Fast => plan.p99_limit_ms.is_some(),
        Check::Copied => plan.copied_percent_min.is_some(),
        _ => true,
    };
    Check::ALL
        .into_iter()
        .filter(looked_at)
        .map(|check| {
            let found = state.findings.of(check);
            CheckReport {
                check,
                title: check.title(),
                passed: found.count == 0,
                count: found.count,
                examples: found.examples.clone(),
            }
        })
        .collect()
}
