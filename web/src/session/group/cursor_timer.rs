//! When cursors are due.

use std::time::Duration;

use tokio::time::Instant;

use super::run::Run;

/// The most time between the last frame and its cursor.
pub const CURSOR_AFTER: Duration = Duration::from_millis(200);
/// While frames flow, the least time between two cursors: each costs as much as a frame.
const CURSOR_EVERY: Duration = Duration::from_secs(1);

/// Returns whether a cursor goes with a frame, if the last frame was sent `since_frame` ago, and the last cursor `since_cursor`
/// ago: frames that come one by one have theirs with them, which saves a write.
pub fn is_cursor_due(since_frame: Duration, since_cursor: Duration) -> bool {
    since_cursor >= if since_frame < CURSOR_AFTER { CURSOR_EVERY } else { CURSOR_AFTER }
}

/// The reason for which cursors are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// The last frame was sent [`CURSOR_AFTER`] ago.
    Late,
    /// There are frames, and the last cursors are old.
    WithFrames,
}

impl Due {
    /// Returns whether this holds for a reader with its last cursor at a time, which may come from elsewhere.
    pub fn is_after(self, last: std::time::Instant, now: Instant) -> bool {
        self == Self::Late || now.duration_since(last.into()) >= CURSOR_AFTER
    }
}

/// When a group sends cursors: with frames, if the last ones are old enough, and otherwise a while after the frames.
#[derive(Debug, Default)]
pub struct CursorTimer {
    wake_at: Option<Instant>,
    last_frames: Option<Instant>,
    last_cursors: Option<Instant>,
}

impl CursorTimer {
    /// Returns the time at which cursors are due if no frame comes before.
    pub fn wake_at(&self) -> Option<Instant> {
        self.wake_at
    }

    /// Returns whether cursors go with the frames of a run, or follow now that there are none, and why.
    pub fn due(&self, run: &Run, now: Instant) -> Option<Due> {
        if self.wake_at.is_some_and(|at| at <= now) {
            return Some(Due::Late);
        }
        let since = |last: Option<Instant>| last.map_or(Duration::MAX, |last| now.duration_since(last));
        let since_frames = since(self.last_frames);
        // While frames flow, a cursor for all but the newest is of use. Otherwise a complete one can wait.
        let covers_enough = run.is_published() || since_frames < CURSOR_AFTER;
        let is_due =
            !run.is_empty() && covers_enough && is_cursor_due(since_frames, since(self.last_cursors));
        is_due.then_some(Due::WithFrames)
    }

    /// Notes a run, whether cursors went with it, and whether any reader needs one still.
    pub fn note(&mut self, run: &Run, due: Option<Due>, needs_cursor: bool, now: Instant) {
        if !run.is_empty() {
            self.last_frames = Some(now);
        }
        if due.is_some() {
            self.last_cursors = Some(now);
        }
        self.wake_at = needs_cursor.then(|| now + CURSOR_AFTER);
    }
}
