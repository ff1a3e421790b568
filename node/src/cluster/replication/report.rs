//! The report for operators: the state of replication once a second, and a warning when the clock's verdict changes.

use std::sync::PoisonError;

use starling_protocol::clock_majority::ClockVerdict;

use super::{Driver, PeerReport, Report};

/// The interval of reports.
const REPORT_EVERY_MS: u64 = 1_000;

impl Driver {
    /// Reports the state if a report is due. Also gives the clock's verdict to the writer.
    pub(super) fn report(&mut self) {
        let now = self.now();
        if now < self.next_report {
            return;
        }
        self.next_report = now + REPORT_EVERY_MS;
        let replica = self.core.replica();
        let agreements = replica.agreements();
        let peers = replica.lag(now).zip(agreements).map(|((peer, lag, in_sync), agreement)| PeerReport {
            peer,
            lag,
            in_sync,
            shards_equal: agreement.equal,
            shards_diverged: agreement.diverged,
        });
        let report = Report {
            clock: replica.judge_clock(now),
            peers: peers.collect(),
            missing: replica.missing().collect(),
            pending_replies: replica.waiting(),
            digest: replica.digest().views,
        };
        self.metrics.measure(&report);
        let shared = &self.handle.shared;
        let old = std::mem::replace(
            &mut *shared.report.lock().unwrap_or_else(PoisonError::into_inner),
            report.clone(),
        );
        warn_of_clock(old.clock, report.clock);
        self.writer.set_clock(report.clock);
        let mut differences = shared.differences.lock().unwrap_or_else(PoisonError::into_inner);
        differences.retain(|(node, _)| {
            report.peers.iter().any(|peer| peer.peer == *node && peer.shards_diverged > 0)
        });
    }
}

/// Logs the clock's verdict when it changes.
fn warn_of_clock(old: ClockVerdict, new: ClockVerdict) {
    match new {
        _ if std::mem::discriminant(&old) == std::mem::discriminant(&new) => {}
        ClockVerdict::Agrees => tracing::info!("the clocks agree again"),
        ClockVerdict::Wrong(ms) => {
            tracing::error!(
                ahead_ms = ms,
                "this node's clock is wrong: a majority of the nodes agrees on another time"
            );
        }
        ClockVerdict::Disputed(ms) => {
            tracing::warn!(spread_ms = ms, "the nodes' clocks differ, and no majority agrees");
        }
    }
}
