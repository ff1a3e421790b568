//! Samples counters and the observed processes at the begin and the end of the measured window.
//! Figures per delivery are the differences.

use std::time::Duration;

use super::shared::Shared;
use crate::process::Process;

/// All counters at one moment.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    /// The time, in ns since the run began.
    pub(super) at_ns: u64,
    /// Messages entered.
    pub(super) sent: u64,
    /// Messages acked.
    pub(super) acked: u64,
    /// The number of deliveries.
    pub(super) delivered: u64,
    /// CPU time and resident KiB of each observed process; `None` if it is gone.
    pub(super) processes: Vec<Option<(Duration, u64)>>,
    /// CPU time of the generator.
    pub(super) own_cpu: Duration,
}

impl Sample {
    /// Takes all counters now.
    pub(super) fn take(shared: &Shared, processes: &[Process]) -> Self {
        let state = shared.state.borrow();
        Self {
            at_ns: shared.now_ns(),
            sent: state.ledger.len(),
            acked: state.ledger.acked(),
            delivered: state.delivered,
            processes: processes
                .iter()
                .map(|process| Some((process.cpu_time().ok()?, process.rss_kib().ok()?)))
                .collect(),
            own_cpu: Process::own().cpu_time().unwrap_or_default(),
        }
    }
}
