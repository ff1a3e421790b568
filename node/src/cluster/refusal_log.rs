//! Log lines about peers that are turned away again and again: one at once, then counts with growing pauses, so that a
//! stranger neither fills the log nor pushes other errors out of `status`.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Pause after the first line; doubles up to the maximum.
const PAUSE_MIN: Duration = Duration::from_mins(1);
const PAUSE_MAX: Duration = Duration::from_hours(4);
/// The most addresses with a count of their own; all others share one.
const ADDRESSES_MAX: usize = 64;

#[derive(Debug, Default)]
pub(super) struct RefusalLog(Mutex<BTreeMap<IpAddr, Refusals>>);

#[derive(Debug)]
struct Refusals {
    /// The refusals since the last line.
    count: u64,
    not_before: Instant,
    pause: Duration,
}

impl RefusalLog {
    /// Counts a refusal. If a line is due, returns the number of refusals that it covers.
    pub(super) fn note(&self, peer: SocketAddr) -> Option<u64> {
        let now = Instant::now();
        let mut by_address = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ip = peer.ip().to_canonical();
        if !by_address.contains_key(&ip) && by_address.len() >= ADDRESSES_MAX {
            by_address.retain(|_, old| now < old.not_before + old.pause);
            if by_address.len() >= ADDRESSES_MAX {
                ip = Ipv4Addr::UNSPECIFIED.into();
            }
        }
        let fresh = || Refusals { count: 0, not_before: now, pause: PAUSE_MIN };
        let refusals = by_address.entry(ip).or_insert_with(fresh);
        refusals.count += 1;
        if now < refusals.not_before {
            return None;
        }
        refusals.not_before = now + refusals.pause;
        refusals.pause = (refusals.pause * 2).min(PAUSE_MAX);
        Some(std::mem::take(&mut refusals.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stranger that comes every 2 s for a day causes a handful of lines, which count all attempts.
    #[tokio::test(start_paused = true)]
    async fn a_day_of_refusals_is_a_few_lines_that_count_all() {
        let log = RefusalLog::default();
        let peer = SocketAddr::from(([192, 0, 2, 1], 7946));
        let mut lines = Vec::new();
        for _ in 0..43_200 {
            lines.extend(log.note(peer));
            tokio::time::advance(Duration::from_secs(2)).await;
        }
        assert_eq!(lines[0], 1, "the first is said at once");
        assert!(lines.len() < 20, "{lines:?}");
        let untold = log.0.lock().unwrap()[&peer.ip()].count;
        assert_eq!(lines.iter().sum::<u64>() + untold, 43_200);
    }

    /// A stranger with many addresses doesn't get a count for each, and doesn't keep others from being named.
    #[tokio::test(start_paused = true)]
    async fn the_log_of_refusals_is_bounded() {
        let log = RefusalLog::default();
        let lines =
            (0..10_000_u32).filter_map(|ip| log.note(SocketAddr::from((ip.to_be_bytes(), 1)))).count();
        assert_eq!(lines, ADDRESSES_MAX, "0.0.0.0 is among them: the rest shares its count");
        assert!(log.0.lock().unwrap().len() <= ADDRESSES_MAX + 1);
    }
}
