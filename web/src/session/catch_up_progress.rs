//! Whether a session that falls behind again and again gets on all the same.

/// Catch-ups in a row that are no smaller than an earlier one, after which the session is too slow.
const WITHOUT_HEADWAY_MAX: u32 = 3;

/// How a session gets on that falls behind again before it has caught up: whether it lacks less each time.
#[derive(Default)]
pub struct CatchUpProgress {
    /// The fewest things that it lacked in this row.
    least: Option<usize>,
    /// Catch-ups since, none of which was smaller.
    without: u32,
}

impl CatchUpProgress {
    /// Notes that it lacks so many things; says whether there is hope.
    pub fn made(&mut self, backlog: usize) -> bool {
        if self.least.is_none_or(|least| backlog < least) {
            *self = Self { least: Some(backlog), without: 0 };
        } else {
            self.without += 1;
        }
        self.without < WITHOUT_HEADWAY_MAX
    }
}
