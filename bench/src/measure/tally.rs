//! The account of a measurement: what was sent, what came back, and how late.

use std::ops::Range;

use super::stamp::{StampFinder, StampedIds};
use crate::latency::Latency;
use crate::wire::Incoming;

/// All counts since a measurement began. Latencies are of messages due in the window only.
#[derive(Debug)]
pub(crate) struct Tally {
    /// In ns since the driver began.
    pub(crate) window: Range<u64>,
    /// Messages sent.
    pub(crate) sent: u64,
    /// Deliveries to all connections.
    pub(crate) delivered: u64,
    /// Deliveries of messages that were due in the window.
    pub(crate) delivered_of_window: u64,
    /// First acks of messages.
    pub(crate) acked: u64,
    /// Frames that say that something was refused or lost, and the first of them.
    pub(crate) refused: u64,
    /// The first of these, or the reason why the first connection was lost.
    pub(crate) trouble: Option<String>,
    /// Connections that were lost.
    pub(crate) lost_connections: u64,
    /// From the intended time of sending to the arrival.
    pub(crate) delivery: Latency,
    /// From sending to the first ack.
    pub(crate) ack: Latency,
    /// By how much messages were sent later than intended.
    pub(crate) lateness: Latency,
    finder: StampFinder,
}

impl Tally {
    /// An empty account.
    pub(crate) fn new() -> Self {
        Self {
            window: 0..u64::MAX,
            sent: 0,
            delivered: 0,
            delivered_of_window: 0,
            acked: 0,
            refused: 0,
            trouble: None,
            lost_connections: 0,
            delivery: Latency::new(),
            ack: Latency::new(),
            lateness: Latency::new(),
            finder: StampFinder::default(),
        }
    }

    /// Enters a message that was due at `due_ns` and is sent now.
    pub(super) fn send(&mut self, due_ns: u64, now_ns: u64) {
        self.sent += 1;
        if self.window.contains(&due_ns) {
            self.lateness.record_ns(now_ns.saturating_sub(due_ns));
        }
    }

    /// Enters a frame that arrives now. True if it acks a message.
    pub(super) fn take(&mut self, payload: &[u8], now_ns: u64) -> bool {
        if let Some(due_ns) = self.finder.find(payload) {
            self.delivered += 1;
            if self.window.contains(&due_ns) {
                self.delivered_of_window += 1;
                self.delivery.record_ns(now_ns.saturating_sub(due_ns));
            }
            return false;
        }
        // The contract does not fix the order of fields, but nearly all other frames are presence, and end here.
        let is_of_interest = |kind: &[u8]| payload.windows(kind.len()).take(24).any(|part| part == kind);
        if is_of_interest(b"\"ack\"") {
            return self.take_ack(payload, now_ns);
        }
        if is_of_interest(b"\"error\"") || is_of_interest(b"\"resync\"") {
            self.refused += 1;
            self.trouble.get_or_insert_with(|| String::from_utf8_lossy(payload).into_owned());
        }
        false
    }

    fn take_ack(&mut self, payload: &[u8], now_ns: u64) -> bool {
        let Ok(ack) = serde_json::from_slice::<Incoming<'_>>(payload) else { return false };
        let sent_ns = ack.id.and_then(|id| StampedIds::read(id.as_str().as_bytes()));
        let Some(sent_ns) = sent_ns else { return false };
        self.acked += 1;
        if self.window.contains(&sent_ns) {
            self.ack.record_ns(now_ns.saturating_sub(sent_ns));
        }
        true
    }

    /// Enters the loss of a connection.
    pub(super) fn lose_connection(&mut self, reason: String) {
        self.lost_connections += 1;
        self.trouble.get_or_insert(reason);
    }
}

#[cfg(test)]
mod tests {
    use super::super::stamp::{Body, IdOrder};
    use super::*;

    #[test]
    fn frames_are_counted_by_what_they_say() {
        let mut tally = Tally::new();
        tally.window = 10..20;
        let mut body = Body::new(128);
        let ids = StampedIds::new(IdOrder::Time).make(15);
        let ack = format!(r#"{{"type":"ack","id":"{}"}}"#, std::str::from_utf8(&ids).unwrap());
        for due_ns in [9, 10, 19, 20] {
            let frame = [br#"{"type":"message","body":""#, body.stamped(due_ns), b"\"}"].concat();
            assert!(!tally.take(&frame, 2_000_000));
        }
        assert!(tally.take(ack.as_bytes(), 3_000_015));
        assert!(!tally.take(br#"{"type":"joined","username":"ack"}"#, 0));
        assert!(!tally.take(br#"{"type":"error","code":"rate_limited"}"#, 0));
        assert!(!tally.take(br#"{"type":"resync","cursor":"c"}"#, 0));
        assert_eq!((tally.delivered, tally.delivered_of_window), (4, 2));
        assert_eq!((tally.acked, tally.refused), (1, 2));
        assert_eq!(tally.delivery.quantiles().count, 2);
        assert!((tally.ack.quantile_ms(0.5) - 3.0).abs() < 0.01);
        assert_eq!(tally.trouble.as_deref(), Some(r#"{"type":"error","code":"rate_limited"}"#));
    }
}
