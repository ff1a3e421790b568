//! Sends each message when it is due, on a timer of nanosecond resolution, and never waits for an answer.
//! tokio's own timer rounds to milliseconds, which would be most of what is measured here.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use tokio::io::unix::AsyncFd;

use super::shared::Shared;
use crate::schedule::Schedule;

/// Plays the schedule to its end.
///
/// Cancellation safety: dropping the future ends the sending between two messages.
pub(super) async fn pace(shared: Rc<Shared>, mut schedule: Schedule) -> io::Result<()> {
    let alarm = Alarm::new()?;
    let mut touched = vec![false; shared.senders()];
    while let Some(next) = schedule.peek() {
        let now_ns = shared.now_ns();
        if next.due_ns > now_ns {
            alarm.wait(Duration::from_nanos(next.due_ns - now_ns)).await?;
        }
        // All that is due goes out in one write per sender.
        while let Some(due) = schedule.take_due(shared.now_ns()) {
            shared.post(due.sender, due.due_ns);
            touched[due.sender] = true;
        }
        for (sender, touched) in touched.iter_mut().enumerate() {
            if std::mem::take(touched) {
                shared.outbox(sender).flush();
            }
        }
        // Even when always late, the sessions get their turn.
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// A timer of the kernel that wakes the event loop.
struct Alarm(AsyncFd<OwnedFd>);

impl Alarm {
    #[expect(
        deprecated,
        reason = "sound for an OwnedFd, which stays open and the same; its successor is unsafe"
    )]
    fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        Ok(Self(AsyncFd::new(rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags)?)?))
    }

    async fn wait(&self, delay: Duration) -> io::Result<()> {
        let setting = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: Timespec {
                tv_sec: i64::try_from(delay.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(delay.subsec_nanos()),
            },
        };
        rustix::time::timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &setting)?;
        loop {
            let mut guard = self.0.readable().await?;
            // Readiness may be left over from an earlier setting: only a successful read is an expiry.
            match guard.try_io(|timer| Ok(rustix::io::read(timer.get_ref(), &mut [0_u8; 8])?)) {
                Ok(read) => return read.map(drop),
                Err(_would_block) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[tokio::test]
    async fn the_alarm_is_not_early() {
        let alarm = Alarm::new().unwrap();
        for _ in 0..3 {
            let delay = Duration::from_micros(300);
            let before = Instant::now();
            alarm.wait(delay).await.unwrap();
            assert!(before.elapsed() >= delay);
        }
    }
}
