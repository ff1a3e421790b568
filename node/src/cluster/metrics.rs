//! Measures links and replication for `metrics`.

use std::time::Duration;

use starling_protocol::clock_majority::ClockVerdict;

use super::{Links, Report};
use crate::metrics::{ClusterMetrics, OriginLabel, PeerLabel};

fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn seconds(ms: i64) -> f64 {
    let seconds = Duration::from_millis(ms.unsigned_abs()).as_secs_f64();
    if ms < 0 { -seconds } else { seconds }
}

impl ClusterMetrics {
    /// Measures the links as they are now.
    pub fn measure_links(&self, links: &Links) {
        let known = links.known();
        let mut linked = 0;
        for member in &known {
            let (label, is_linked) = (PeerLabel { peer: member.node.to_string() }, links.has(member.node));
            linked += u64::from(is_linked);
            self.peer_linked.get_or_create(&label).set(i64::from(is_linked));
            if !is_linked {
                // The driver measures only linked peers.
                self.peer_in_sync.get_or_create(&label).set(0);
            }
        }
        self.peers_known.set(gauge(known.len() as u64));
        self.peers_linked.set(gauge(linked));
        self.pairs_unlinked.set(gauge(links.unlinked_pairs().len() as u64));
        self.join_failing.set(gauge(links.join_problems().len() as u64));
    }

    /// Replaces the previous values.
    pub fn measure(&self, report: &Report) {
        for family in [&self.peer_lag, &self.peer_in_sync, &self.shards_equal, &self.shards_diverged] {
            family.clear();
        }
        for peer in &report.peers {
            let label = PeerLabel { peer: peer.peer.to_string() };
            self.peer_lag.get_or_create(&label).set(gauge(peer.lag));
            self.peer_in_sync.get_or_create(&label).set(i64::from(peer.in_sync));
            self.shards_equal.get_or_create(&label).set(gauge(peer.shards_equal as u64));
            self.shards_diverged.get_or_create(&label).set(gauge(peer.shards_diverged as u64));
        }
        self.origin_lag.clear();
        for (origin, lag) in &report.missing {
            let label = OriginLabel { origin: origin.to_string() };
            self.origin_lag.get_or_create(&label).set(gauge(*lag));
        }
        self.clock_offset_seconds.set(match report.clock {
            ClockVerdict::Wrong(ms) => seconds(ms),
            ClockVerdict::Agrees | ClockVerdict::Disputed(_) => 0.0,
        });
        self.pending_replies.set(gauge(report.pending_replies as u64));
    }
}
