//! The signals that stop a node: SIGTERM, SIGINT (Ctrl-C) and SIGHUP (the terminal was closed).

use std::{fs, io};

use futures_util::FutureExt;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Receives the signals that stop a node.
#[derive(Debug)]
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
    /// `None` if the process was started with SIGHUP ignored, as by `nohup`.
    hangup: Option<Signal>,
}

impl StopSignals {
    /// Starts receiving the signals, which end the process otherwise.
    pub fn listen() -> io::Result<Self> {
        let hangup = if hangup_is_ignored() { None } else { Some(signal(SignalKind::hangup())?) };
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup,
        })
    }

    /// Waits for the next signal.
    pub async fn recv(&mut self) {
        let Self { terminate, interrupt, hangup } = self;
        let hangup = async {
            match hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup => {}
        }
    }

    /// Discards signals that have arrived.
    pub fn clear(&mut self) {
        let Self { terminate, interrupt, hangup } = self;
        for signal in [Some(terminate), Some(interrupt), hangup.as_mut()].into_iter().flatten() {
            let _ = signal.recv().now_or_never();
        }
    }
}

/// Whether this process was started with SIGHUP ignored. Assumed not, except on Linux.
fn hangup_is_ignored() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hangup(&status))
}

/// Reads the mask of ignored signals in `/proc/PID/status`; SIGHUP is number 1, its lowest bit.
fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_ignored_signals_is_read() {
        assert!(ignores_hangup("Name:\tx\nSigIgn:\t0000000000001001\n"));
        assert!(!ignores_hangup("Name:\tx\nSigIgn:\t0000000000001000\n"));
        assert!(!ignores_hangup("nothing"));
    }
}
