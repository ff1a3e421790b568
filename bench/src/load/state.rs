//! The state of a run, which every arriving frame changes; one thread, so no locks.
//! A message passes the ring comparison, the receipts and the histogram. Other frames are rare, and parsed with serde.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Range;

use super::body::Body;
use super::frame_ring::{FrameRing, Pos, Read};
use crate::check::{AckOutcome, Check, Delivery, Findings, Ledger, PosHash, Receipts, pos_hash};
use crate::ids::IdCodec;
use crate::latency::Latency;
use crate::wire::Incoming;

/// Copies counted one by one in the report; more are counted as this many.
pub(crate) const COPIES_MAX: usize = 15;

/// The state of the present connection of one guest.
pub(crate) struct Live {
    /// The node it is connected to.
    pub(crate) node: usize,
    /// Its position in that node's ring of the room.
    pub(crate) ring_at: u64,
    /// The greatest `pos` that was received or acked.
    pub(crate) greatest: Pos,
    /// The greatest `pos` that was received live or replayed. An ack may come before messages that were posted earlier.
    pub(crate) newest: Pos,
    /// The last resume cursor.
    pub(crate) cursor: Option<String>,
    /// Whether this connection has had its `welcome`.
    pub(crate) welcomed: bool,
    /// The cursor of a `resync` that was not followed yet.
    pub(crate) resync: Option<String>,
}

/// The latencies measured at one node.
pub(crate) struct NodeFigures {
    /// From intended send to arrival, of live messages due in the measured window.
    pub(crate) delivery: Latency,
    /// From intended send to first ack, of messages due in the measured window.
    pub(crate) ack: Latency,
}

/// Events that are reported, but are no failures.
#[derive(Debug, Default, Clone, serde::Serialize)]
pub(crate) struct Notes {
    /// Connections made again after a loss.
    pub(crate) reconnects: u64,
    /// Messages sent again under the same id.
    pub(crate) resent: u64,
    /// Messages that came again over another connection.
    pub(crate) repeats: u64,
    /// Messages that came again with a new `pos` after a resend.
    pub(crate) moved: u64,
    /// Messages replayed after a reconnect.
    pub(crate) history: u64,
    /// `resync` frames.
    pub(crate) resyncs: u64,
    /// Messages that came below one that its connection had seen already (nodes may differ in live order).
    pub(crate) inversions: u64,
    /// `error` frames by code.
    pub(crate) errors: BTreeMap<String, u64>,
    /// Lost connections by reason.
    pub(crate) lost: BTreeMap<String, u64>,
}

/// The state of a run.
pub(crate) struct State {
    /// All messages.
    pub(crate) ledger: Ledger,
    /// The receipts of each guest; senders first.
    pub(crate) receipts: Vec<Receipts>,
    /// The connection of each guest.
    pub(crate) live: Vec<Live>,
    /// Figures by node.
    pub(crate) nodes: Vec<NodeFigures>,
    /// Messages due in this time (ns) count for latencies.
    pub(crate) window: Range<u64>,
    /// Deliveries so far, each message once per session.
    pub(crate) delivered: u64,
    /// How late messages went out, in the measured window.
    pub(crate) lag: Latency,
    /// Failed checks.
    pub(crate) findings: Findings,
    /// Events that are no failures.
    pub(crate) notes: Notes,
    /// First acks by their `copies`.
    pub(crate) copies: [u64; COPIES_MAX + 1],
    /// Whether `error` frames fail the run.
    pub(crate) errors_allowed: bool,
    pub(super) ids: IdCodec,
    pub(super) body: Body,
    pub(super) room_ids: Vec<String>,
    /// By room, then node.
    pub(super) rings: Vec<FrameRing>,
}

impl State {
    /// Takes a text frame of the session of `guest` that arrived at `now_ns`.
    pub(crate) fn take(&mut self, guest: usize, frame: &[u8], now_ns: u64) {
        let ring = self.ring_of(guest);
        if let Some(&read) = self.rings[ring].matches(self.live[guest].ring_at, frame) {
            self.live[guest].ring_at += 1;
            self.deliver(guest, &read, true, now_ns);
            return;
        }
        match serde_json::from_slice::<Incoming<'_>>(frame) {
            Ok(incoming) => self.take_read(guest, frame, &incoming, now_ns),
            Err(error) => self.malformed(guest, &error.to_string(), frame),
        }
    }

    /// Index of the ring that the session of `guest` reads from.
    pub(super) fn ring_of(&self, guest: usize) -> usize {
        self.room_of(guest) * self.nodes.len() + self.live[guest].node
    }

    /// Whether every message was answered and every acked one came to all.
    pub(crate) fn settled(&self) -> bool {
        let complete = |receipts: &Receipts| receipts.unique() >= self.ledger.acked_in(receipts.place.room);
        self.ledger.open() == 0 && self.receipts.iter().all(complete)
    }

    fn room_of(&self, guest: usize) -> usize {
        usize::try_from(self.receipts[guest].place.room).expect("the index of a room")
    }

    fn take_read(&mut self, guest: usize, frame: &[u8], incoming: &Incoming<'_>, now_ns: u64) {
        let kind = incoming.kind.as_str();
        if !self.live[guest].welcomed && kind != "welcome" {
            self.malformed(guest, "before the welcome", frame);
        }
        let cursor = || incoming.cursor.as_ref().map(|cursor| cursor.as_str().to_owned());
        match kind {
            "message" => match self.read_message(guest, incoming) {
                Ok(read) => {
                    if incoming.history {
                        self.notes.history += 1;
                    } else {
                        self.follow(guest, frame, read);
                    }
                    self.deliver(guest, &read, !incoming.history, now_ns);
                }
                Err(why) => self.malformed(guest, why, frame),
            },
            "ack" => self.take_ack(guest, frame, incoming, now_ns),
            "welcome" => {
                self.live[guest].welcomed = true;
                if self.live[guest].cursor.is_none() {
                    self.live[guest].cursor = cursor();
                }
            }
            "cursor" => match cursor() {
                Some(cursor) => self.live[guest].cursor = Some(cursor),
                None => self.malformed(guest, "no cursor in it", frame),
            },
            "resync" => {
                self.notes.resyncs += 1;
                self.live[guest].resync = cursor();
            }
            "error" => self.take_error(frame, incoming),
            // Presence is not checked here, and kinds to come are passed over as clients do.
            _ => {}
        }
    }

    /// Checks a message in full: this happens once per room and node.
    fn read_message(&self, guest: usize, incoming: &Incoming<'_>) -> Result<Read, &'static str> {
        let id = incoming.id.as_ref().ok_or("a message without id")?;
        let number = self.ids.decode(id.as_str().as_bytes()).ok_or("a message that nobody sent")?;
        let message = self.ledger.get(number).ok_or("a message that was not sent yet")?;
        let room = self.room_of(guest);
        let said = incoming.room.as_ref().ok_or("a message without roomID")?;
        if usize::try_from(message.room) != Ok(room) || said.as_str() != self.room_ids[room] {
            return Err("a message of another room");
        }
        let body = incoming.body.as_ref().ok_or("a message without body")?;
        if !self.body.is(number, body.as_str().as_bytes()) {
            return Err("another body than was sent");
        }
        if incoming.username.is_none() || incoming.at.is_none() {
            return Err("a message without username or at");
        }
        let pos = incoming.pos.as_ref().ok_or("a message without pos")?.as_str();
        Ok(Read { number, pos: Pos::new(pos).ok_or("a pos of no usable length")?, pos_hash: pos_hash(pos) })
    }

    /// Finds the place of a frame that was not the next, or makes it the head of the ring.
    fn follow(&mut self, guest: usize, frame: &[u8], read: Read) {
        let ring = self.ring_of(guest);
        let (ring, live) = (&mut self.rings[ring], &mut self.live[guest]);
        if let Some(at) = ring.find(read.number) {
            live.ring_at = at + 1;
        } else if live.ring_at == ring.head() {
            ring.push(frame, read);
            live.ring_at += 1;
        }
    }

    fn deliver(&mut self, guest: usize, read: &Read, live: bool, now_ns: u64) {
        let Some(message) = self.ledger.get_mut(read.number) else { return };
        if message.pos == 0 {
            message.pos = read.pos_hash;
        }
        match self.receipts[guest].deliver(read.number, read.pos_hash, message.pos) {
            Delivery::New => {
                self.delivered += 1;
                if live && self.window.contains(&message.due_ns) {
                    let figures = &mut self.nodes[self.live[guest].node];
                    figures.delivery.record_ns(now_ns.saturating_sub(message.due_ns));
                }
                if read.pos < self.live[guest].newest {
                    self.notes.inversions += 1;
                }
            }
            Delivery::Repeat => self.notes.repeats += 1,
            Delivery::Moved if message.resent => self.notes.moved += 1,
            Delivery::Moved | Delivery::Duplicate => {
                let name = &self.receipts[guest].name;
                self.findings.add(Check::Once, || format!("message {} came twice to {name}", read.number));
            }
        }
        self.raise(guest, read.pos);
        let newest = &mut self.live[guest].newest;
        if *newest < read.pos {
            *newest = read.pos;
        }
    }

    fn take_ack(&mut self, guest: usize, frame: &[u8], incoming: &Incoming<'_>, now_ns: u64) {
        let number = incoming.id.as_ref().and_then(|id| self.ids.decode(id.as_str().as_bytes()));
        let pos = incoming.pos.as_ref().map(crate::wire::Text::as_str);
        let (Some(number), Some(pos), Some(copies)) = (number, pos, incoming.copies) else {
            return self.malformed(guest, "an ack without our id, pos or copies", frame);
        };
        let Some(message) = self.ledger.get(number).copied() else {
            return self.malformed(guest, "an ack for what was not sent", frame);
        };
        if usize::try_from(message.sender) != Ok(guest) {
            self.findings
                .add(Check::Acks, || format!("message {number} was acked to another than its sender"));
        }
        let copies = u8::try_from(copies).unwrap_or(u8::MAX);
        let outcome = self.ledger.ack(number, pos_hash(pos), copies);
        match outcome {
            AckOutcome::First => {
                self.copies[usize::from(copies).min(COPIES_MAX)] += 1;
                if self.window.contains(&message.due_ns) {
                    let figures = &mut self.nodes[self.live[guest].node];
                    figures.ack.record_ns(now_ns.saturating_sub(message.due_ns));
                }
            }
            AckOutcome::Later => {}
            AckOutcome::TooMany | AckOutcome::Lowered => self.findings.add(Check::Acks, || {
                format!("message {number} was acked again with {copies} copies ({outcome:?})")
            }),
        }
        if let Some(pos) = Pos::new(pos) {
            self.raise(guest, pos);
        }
    }

    fn take_error(&mut self, frame: &[u8], incoming: &Incoming<'_>) {
        let text = |field: &Option<crate::wire::Text<'_>>| {
            field.as_ref().map_or("?", crate::wire::Text::as_str).to_owned()
        };
        *self.notes.errors.entry(text(&incoming.code)).or_default() += 1;
        if !self.errors_allowed {
            let shown = || format!("{}: {}", text(&incoming.code), text(&incoming.detail));
            self.findings.add(Check::NoErrors, shown);
        }
        let number = incoming.id.as_ref().and_then(|id| self.ids.decode(id.as_str().as_bytes()));
        match number.filter(|&number| self.ledger.get(number).is_some()) {
            Some(number) => self.ledger.refuse(number),
            None if incoming.id.is_some() => {
                self.findings
                    .add(Check::Intact, || format!("an error for what was not sent: {}", shown(frame)));
            }
            None => {}
        }
    }

    /// Enters a message that was found in a list after `resync`.
    pub(super) fn load(&mut self, guest: usize, number: u32, pos: PosHash) {
        let Some(message) = self.ledger.get_mut(number) else { return };
        if message.pos == 0 {
            message.pos = pos;
        }
        if self.receipts[guest].load(number, pos, message.pos) == Delivery::New {
            self.delivered += 1;
        }
    }

    fn raise(&mut self, guest: usize, pos: Pos) {
        let greatest = &mut self.live[guest].greatest;
        if *greatest < pos {
            *greatest = pos;
        }
    }

    fn malformed(&mut self, guest: usize, why: &str, frame: &[u8]) {
        let name = &self.receipts[guest].name;
        self.findings.add(Check::Intact, || format!("{why}, at {name}: {}", shown(frame)));
    }
}

/// The beginning of a frame, for a report.
fn shown(frame: &[u8]) -> String {
    String::from_utf8_lossy(frame).chars().take(200).collect()
}
