//! Decides whether a session that lags again and again still gets closer to its lane.

/// The session is too slow after this many catch-ups in a row without a smaller backlog.
const NO_PROGRESS_MAX: u32 = 3;

/// The progress of a session that lags again before it has caught up: whether its backlog shrinks.
#[derive(Default)]
pub struct CatchUpProgress {
    /// The smallest backlog in this row.
    least: Option<usize>,
    /// Catch-ups since then.
    without: u32,
}

impl CatchUpProgress {
    /// Notes the size of the backlog. Returns whether to go on.
    pub fn note(&mut self, backlog: usize) -> bool {
        if self.least.is_none_or(|least| backlog < least) {
            *self = Self { least: Some(backlog), without: 0 };
        } else {
            self.without += 1;
        }
        self.without < NO_PROGRESS_MAX
    }
}
