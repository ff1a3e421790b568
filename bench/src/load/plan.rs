//! The plan of a run, which the subcommands make from their options.
//! It also assigns a room and a node to each guest.

use std::time::Duration;

use crate::check::Place;
use crate::node::NodeUrl;
use crate::process::Process;

/// The plan of a run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// The subcommand, for the report.
    pub(crate) title: &'static str,
    /// The nodes; rooms are made on the first.
    pub(crate) nodes: Vec<NodeUrl>,
    /// The number of rooms.
    pub(crate) rooms: usize,
    /// Guests that send; they also receive.
    pub(crate) senders: usize,
    /// Guests that only receive.
    pub(crate) receivers: usize,
    /// Messages a second over all senders, on a fixed schedule (open loop).
    pub(crate) rate: f64,
    /// Time before the measured window; its messages are checked, not measured.
    pub(crate) warmup: Duration,
    /// Length of the measured window.
    pub(crate) duration: Duration,
    /// Longest wait for what is still on its way at the end.
    pub(crate) drain: Duration,
    /// Characters of each body.
    pub(crate) body_bytes: usize,
    /// Draws the senders' offsets and the ids.
    pub(crate) seed: u64,
    /// Reconnect to the next node and go on.
    pub(crate) resume: bool,
    /// `error` frames are reported without failing the run.
    pub(crate) errors_allowed: bool,
    /// Compare the nodes' lists at the end.
    pub(crate) lists: bool,
    /// Limit for the 99th percentile of the delivery latency, in ms.
    pub(crate) p99_limit_ms: Option<f64>,
    /// The share of first acks that must say two copies or more, in percent; fewer fail the run.
    pub(crate) copied_percent_min: Option<f64>,
    /// The nodes' processes, if they are to be observed.
    pub(crate) processes: Vec<Process>,
}

impl Plan {
    /// Room, node and name of every guest, senders first.
    pub(crate) fn guests(&self) -> Vec<(Place, String)> {
        let senders = (0..self.senders).map(|index| (self.place(index, 0), format!("sender-{index}")));
        // One node on from the senders, so that few guests over several nodes already talk across them.
        let receivers = (0..self.receivers).map(|index| (self.place(index, 1), format!("receiver-{index}")));
        senders.chain(receivers).collect()
    }

    /// Spreads guests evenly over all pairs of room and node.
    fn place(&self, index: usize, shift: usize) -> Place {
        let (rooms, nodes) = (self.rooms.max(1), self.nodes.len().max(1));
        let round = rooms / common_divisor(rooms, nodes) * nodes;
        Place {
            room: u32::try_from(index % rooms).expect("fewer rooms than 2^32"),
            node: (index + index / round + shift) % nodes,
        }
    }

    /// In words.
    pub(crate) fn describe(&self) -> String {
        let plural =
            |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
        format!(
            "{}: {} msg/s for {} s after {} s warm-up, {} bytes, {}, {}, {} + {}, seed {}",
            self.title,
            self.rate,
            self.duration.as_secs_f64(),
            self.warmup.as_secs_f64(),
            self.body_bytes,
            plural(self.nodes.len(), "node"),
            plural(self.rooms, "room"),
            plural(self.senders, "sender"),
            plural(self.receivers, "receiver"),
            self.seed
        )
    }
}

fn common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn guests_fill_all_pairs_of_room_and_node_evenly() {
        for (rooms, nodes) in [(1, 1), (1, 2), (1, 3), (2, 3), (3, 3), (4, 2), (6, 4)] {
            let node: NodeUrl = "http://127.0.0.1:1".parse().unwrap();
            let plan = Plan {
                title: "test",
                nodes: vec![node; nodes],
                rooms,
                senders: 1,
                receivers: rooms * nodes * 2,
                rate: 1.0,
                warmup: Duration::ZERO,
                duration: Duration::ZERO,
                drain: Duration::ZERO,
                body_bytes: 1,
                seed: 1,
                resume: false,
                errors_allowed: false,
                lists: false,
                p99_limit_ms: None,
                copied_percent_min: None,
                processes: vec![],
            };
            let mut pairs: BTreeMap<(u32, usize), usize> = BTreeMap::new();
            for (place, _) in &plan.guests()[1..] {
                *pairs.entry((place.room, place.node)).or_default() += 1;
            }
            assert_eq!(pairs.len(), rooms * nodes, "{rooms} rooms, {nodes} nodes");
            assert!(pairs.values().all(|&guests| guests == 2), "{rooms} rooms, {nodes} nodes: {pairs:?}");
        }
    }
}
