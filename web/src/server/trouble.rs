//! What is done when connections cannot be accepted, mostly for want of open files: it is logged once and then counted,
//! with growing pauses, and a file that is kept for this lets somebody ask for health meanwhile.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use rustix::io::Errno;
use tokio::time::{Instant, sleep};

/// How long to wait after an accept failed; twice as long after each that follows, up to the second of these.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// How long until the trouble is told of again; twice as long each time, up to the second.
const QUIET_MIN: Duration = Duration::from_secs(10);
const QUIET_MAX: Duration = Duration::from_hours(1);
/// Trouble after so long without any is new trouble.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(1);

/// Failures to accept.
pub struct AcceptTrouble {
    /// A file that makes room for one connection when it is closed.
    spare: Option<OwnedFd>,
    /// Whether it is closed for that.
    lent: bool,
    pause: Duration,
    told: Told,
}

impl AcceptTrouble {
    pub fn new() -> Self {
        Self { spare: spare(), lent: false, pause: PAUSE_MIN, told: Told::default() }
    }

    /// A connection was accepted. Whether it has the place of the spare file: then it is to end soon.
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

    /// Accepting failed: tells of it, and waits before the next try unless the spare file makes room.
    pub async fn on_error(&mut self, error: &io::Error) {
        if error.kind() == io::ErrorKind::ConnectionAborted {
            // The client's doing; the next may be there already.
            return;
        }
        if let Some(times) = self.told.on_trouble(Instant::now()) {
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

/// When somebody was told of something that goes on and on.
#[derive(Default)]
struct Told {
    last: Option<Instant>,
    next: Option<Instant>,
    quiet: Duration,
    /// How often it happened since.
    times: u64,
}

impl Told {
    /// It happens once more: how often it has since it was told of, if that is to be told now.
    fn on_trouble(&mut self, now: Instant) -> Option<u64> {
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

    /// A day of trouble twenty times a second is told in a few dozen lines, and none of it goes uncounted.
    #[test]
    fn trouble_that_goes_on_is_told_at_once_and_then_ever_more_rarely() {
        let (mut told, begin) = (Told::default(), Instant::now());
        let times: Vec<_> = (0..24 * 3_600 * 20)
            .filter_map(|tick| told.on_trouble(begin + tick * Duration::from_millis(50)))
            .collect();
        assert_eq!((times[0], times[1]), (1, 200));
        assert!(times.len() < 40, "{} lines", times.len());
        assert!(times.iter().sum::<u64>() > 23 * 3_600 * 20);
        let later = begin + Duration::from_hours(25);
        assert_eq!(told.on_trouble(later), Some(1), "new trouble is told at once");
    }
}
