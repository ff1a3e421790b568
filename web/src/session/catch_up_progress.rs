//! Decides whether a session that lags again and again still gets closer to the end of its lane.

/// The session is too slow after this many catch-ups in a row without a smaller backlog.
const NO_PROGRESS_MAX: u32 = 3;

/// The progress of a session that lags again before it has caught up: whether its backlog shrinks.
#[derive(Default)]
pub struct CatchUpProgress {
    /// The smallest backlog since the session was last without one.
    least: Option<usize>,
    /// The number of catch-ups since that smallest backlog.
    without_progress: u32,
}

impl CatchUpProgress {
    /// Notes the size of the backlog. Returns whether the session may continue.
    pub fn note(&mut self, backlog: usize) -> bool {
        if self.least.is_none_or(|least| backlog < least) {
            *self = Self { least: Some(backlog), without_progress: 0 };
        } else {
            self.without_progress += 1;
        }
        self.without_progress < NO_PROGRESS_MAX
    }
}
