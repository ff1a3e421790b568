//! Handles failed accepts, mostly because the process has too many open files: backs off, logs ever less often, and keeps a
//! spare file descriptor that it frees for one health check at a time.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use rustix::io::Errno;
use tokio::time::{Instant, sleep};

/// The pause after a failed accept. It doubles with each further failure, up to `PAUSE_MAX`.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// The time until the failures are logged again. It doubles each time, up to `QUIET_MAX`.
const QUIET_MIN: Duration = Duration::from_secs(10);
const QUIET_MAX: Duration = Duration::from_hours(1);
/// A failure is new if there was none for this long.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(1);

/// Handles failed accepts: back-off, logging, and the spare file descriptor.
pub struct AcceptErrors {
    /// A file descriptor that is closed to let one connection in.
    spare: Option<OwnedFd>,
    /// Whether it was closed and could not be reopened yet.
    lent: bool,
    pause: Duration,
    log: LogInterval,
}

impl AcceptErrors {
    pub fn new() -> Self {
        Self { spare: spare(), lent: false, pause: PAUSE_MIN, log: LogInterval::default() }
    }

    /// Notes that a connection was accepted. Returns whether it took the spare file descriptor: further ones can't be
    /// accepted before it ends.
    pub fn on_accepted(&mut self) -> bool {
        if self.lent {
            self.spare = spare();
            self.lent = self.spare.is_none();
        }
        if !self.lent {
            self.pause = PAUSE_MIN;
        }
        self.lent
    }

    /// Notes a failed accept: logs it, and pauses unless the spare file descriptor can be freed.
    pub async fn on_error(&mut self, error: &io::Error) {
        if error.kind() == io::ErrorKind::ConnectionAborted {
            // The client gave up; the next may be waiting.
            return;
        }
        if let Some(times) = self.log.on_failure(Instant::now()) {
            tracing::warn!(%error, times, "cannot accept connections; is the limit of open files too low?");
        }
        let no_files =
            [Errno::MFILE, Errno::NFILE].contains(&Errno::from_io_error(error).unwrap_or(Errno::IO));
        if no_files && self.spare.take().is_some() {
            self.lent = true;
            return;
        }
        sleep(self.pause).await;
        self.pause = (2 * self.pause).min(PAUSE_MAX);
    }
}

fn spare() -> Option<OwnedFd> {
    io::stderr().as_fd().try_clone_to_owned().ok()
}

/// Decides when a repeated failure is logged.
#[derive(Default)]
struct LogInterval {
    last: Option<Instant>,
    next: Option<Instant>,
    quiet: Duration,
    /// Failures since it was last logged.
    times: u64,
}

impl LogInterval {
    /// Notes a failure. Returns the number of failures since the last log line if it is time for another one.
    fn on_failure(&mut self, now: Instant) -> Option<u64> {
        let is_new = self.last.is_none_or(|last| now.duration_since(last) > FORGOTTEN_AFTER);
        self.last = Some(now);
        self.times += 1;
        if is_new {
            self.quiet = QUIET_MIN;
            self.times = 1;
        } else if self.next.is_some_and(|next| now >= next) {
            self.quiet = (2 * self.quiet).min(QUIET_MAX);
        } else {
            return None;
        }
        self.next = Some(now + self.quiet);
        Some(std::mem::take(&mut self.times))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: a day of failures, twenty a second, takes a few dozen log lines, and all of them are counted.
    #[test]
    fn failures_are_logged_at_once_and_then_less_and_less_often() {
        let (mut log, begin) = (LogInterval::default(), Instant::now());
        let times: Vec<_> = (0..24 * 3_600 * 20)
            .filter_map(|tick| log.on_failure(begin + tick * Duration::from_millis(50)))
            .collect();
        assert_eq!((times[0], times[1]), (1, 200));
        assert!(times.len() < 40, "{} lines", times.len());
        assert!(times.iter().sum::<u64>() > 23 * 3_600 * 20);
        let later = begin + Duration::from_hours(25);
        assert_eq!(log.on_failure(later), Some(1), "a new failure is logged at once");
    }
}
