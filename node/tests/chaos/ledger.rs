//! The messages that the guests of the chaos test sent, got acked and were shown. A message takes some 30 bytes and a bit
//! per reader, so that hundreds of thousands fit: ids and bodies follow from the sender and a count.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::places::{Disk, Places, Seat};
use harness::Posted;

/// The most complaints that are kept; the first already breaks a promise.
const COMPLAINTS_MAX: usize = 50;

/// A message: its sender, and its number among the messages of that sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) sender: usize,
    pub(crate) number: u32,
}

impl Key {
    /// Returns a UUID of the random kind that contains the sender and the number.
    pub(crate) fn id(self) -> String {
        format!("{:08x}-{:04x}-4000-8000-000000000000", self.number, self.sender)
    }

    pub(crate) fn parse(id: &str) -> Option<Self> {
        let (number, rest) = id.split_at_checked(8)?;
        let number = u32::from_str_radix(number, 16).ok()?;
        let sender = usize::from_str_radix(rest.get(1..5)?, 16).ok()?;
        Some(Self { sender, number }).filter(|key| key.id() == id)
    }
}

/// The disks that are known to have held a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    Nowhere,
    On(Disk),
    OnSeveral,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Message {
    sent: Instant,
    acked_after: Option<Duration>,
    /// The greatest number of copies in any ack.
    pub(crate) copies: u8,
    pub(crate) held: Held,
}

impl Message {
    pub(crate) fn is_acked(&self) -> bool {
        self.acked_after.is_some()
    }

    fn seen_on(&mut self, disk: Disk) {
        self.held = match self.held {
            Held::Nowhere => Held::On(disk),
            Held::On(known) if known == disk => self.held,
            Held::On(_) | Held::OnSeveral => Held::OnSeveral,
        };
    }
}

/// An event in the life of a guest; reported only with a violation.
#[derive(Debug, Clone, Copy)]
#[expect(dead_code, reason = "read by Debug, when something is wrong")]
pub(crate) enum Note {
    In(usize),
    Closed(usize, Option<u16>),
    Left(usize),
    Cursor,
    Resync,
    Reloaded(usize),
}

#[derive(Debug)]
pub(crate) struct Guest {
    pub(crate) name: String,
    pub(crate) room: usize,
    pub(crate) messages: Vec<Message>,
    /// The messages that this guest was shown, by sender.
    shown: BTreeMap<usize, Vec<u64>>,
    pub(crate) notes: Vec<(Instant, Note)>,
}

/// A session that a node has ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dropped {
    pub(crate) guest: usize,
    pub(crate) at: usize,
    pub(crate) when: Instant,
    /// Posts that had no ack yet.
    pub(crate) in_flight: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) places: Places,
    pub(crate) rooms: Vec<String>,
    pub(crate) guests: Vec<Guest>,
    pub(crate) sent: usize,
    pub(crate) acked: usize,
    pub(crate) dropped: Vec<Dropped>,
    /// Sessions that were dropped, and guests that were turned away, by a node that had no reason.
    pub(crate) needless: Vec<String>,
    /// Violations that guests saw.
    pub(crate) complaints: Vec<String>,
    pub(crate) shown_again: usize,
    pub(crate) resyncs: usize,
    /// The number of times that a guest left a node that did not answer.
    pub(crate) given_up: usize,
    /// The number of posts that a node refused for lack of space.
    pub(crate) storage_full: usize,
}

pub(crate) fn locked(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The text of a message: small, of varying length, with characters of more than one byte.
pub(crate) fn body_of(name: &str, number: u32) -> String {
    format!("{number} by {name} {}", "·".repeat((number % 20) as usize))
}

/// Prints a complaint, and keeps it if it is among the first. The timeline on the terminal shows its time.
fn keep(complaints: &mut Vec<String>, what: String) {
    eprintln!("  wrong: {what}");
    if complaints.len() < COMPLAINTS_MAX {
        complaints.push(what);
    }
}

impl Ledger {
    /// From now on this guest must be shown every acked message of the room.
    pub(crate) fn add_guest(&mut self, name: &str, room: usize) -> usize {
        let name = name.to_owned();
        self.guests.push(Guest {
            name,
            room,
            messages: Vec::new(),
            shown: BTreeMap::new(),
            notes: Vec::new(),
        });
        self.guests.len() - 1
    }

    /// The next message of a guest.
    pub(crate) fn send(&mut self, sender: usize) -> Key {
        let messages = &mut self.guests[sender].messages;
        let number = u32::try_from(messages.len()).expect("nobody sends that many");
        messages.push(Message { sent: Instant::now(), acked_after: None, copies: 0, held: Held::Nowhere });
        self.sent += 1;
        Key { sender, number }
    }

    pub(crate) fn message(&self, key: Key) -> Option<&Message> {
        self.guests.get(key.sender)?.messages.get(key.number as usize)
    }

    fn message_mut(&mut self, key: Key) -> Option<&mut Message> {
        self.guests.get_mut(key.sender)?.messages.get_mut(key.number as usize)
    }

    /// Records an ack: this many nodes hold a message.
    pub(crate) fn note_acked(&mut self, seat: Seat, id: &str, copies: u32) {
        let known = Key::parse(id).and_then(|key| self.message_mut(key));
        let Some(message) = known else { return self.complain(format!("{id} is acked, which nobody sent")) };
        let first = !message.is_acked();
        message.acked_after.get_or_insert(message.sent.elapsed());
        message.copies = message.copies.max(u8::try_from(copies).unwrap_or(u8::MAX));
        message.seen_on(seat.disk);
        self.acked += usize::from(first);
    }

    /// Records that a node showed a guest a message, in a session or in a list.
    pub(crate) fn note_shown(&mut self, reader: usize, seat: Seat, posted: &Posted) {
        let Some(key) = self.key_of(posted) else {
            let name = &self.guests[reader].name;
            return self.complain(format!("{name} is shown what nobody sent: {posted:?}"));
        };
        if let Some(message) = self.message_mut(key) {
            message.seen_on(seat.disk);
        }
        let shown = self.guests[reader].shown.entry(key.sender).or_default();
        let (word, bit) = (key.number as usize / 64, 1 << (key.number % 64));
        shown.resize(shown.len().max(word + 1), 0);
        self.shown_again += usize::from(shown[word] & bit != 0);
        shown[word] |= bit;
    }

    /// Returns the message, if it is unchanged.
    pub(crate) fn key_of(&self, posted: &Posted) -> Option<Key> {
        let key = Key::parse(&posted.id)?;
        self.message(key)?;
        let sender = &self.guests[key.sender];
        let as_sent = posted.room == self.rooms[sender.room]
            && posted.username == sender.name
            && posted.body == body_of(&sender.name, key.number);
        as_sent.then_some(key)
    }

    pub(crate) fn was_shown(&self, reader: usize, key: Key) -> bool {
        let words = self.guests[reader].shown.get(&key.sender);
        words
            .and_then(|words| words.get(key.number as usize / 64))
            .is_some_and(|word| word >> (key.number % 64) & 1 == 1)
    }

    /// Records that a node ended a session of a guest.
    pub(crate) fn note_dropped(&mut self, guest: usize, seat: Seat, code: Option<u16>, in_flight: usize) {
        self.note(guest, Note::Closed(seat.at, code));
        self.dropped.push(Dropped { guest, at: seat.at, when: Instant::now(), in_flight });
        if !self.places.may_drop(seat) {
            let name = &self.guests[guest].name;
            let what = format!("{name} was dropped by node {} with {code:?}", seat.at);
            self.blame(what);
        }
    }

    /// Records that a node rejected a guest with a cursor.
    pub(crate) fn note_refused(&mut self, guest: usize, seat: Seat, status: u16, why: &str) {
        // An empty node without peers knows of the room only by the cursor.
        if status == 503 && self.places.may_deny(seat.at) {
            return;
        }
        let name = self.guests[guest].name.clone();
        // The answers of a node with a fault; others are always wrong.
        if !matches!(status, 0 | 503 | 507) {
            self.complain(format!("{name} with a cursor is refused on node {}: {status} {why}", seat.at));
        }
        if !self.places.may_drop(seat) {
            let what = format!("{name} was turned away by node {}: {why}", seat.at);
            self.blame(what);
        }
    }

    pub(crate) fn note(&mut self, guest: usize, note: Note) {
        self.guests[guest].notes.push((Instant::now(), note));
    }

    /// Records a violation.
    pub(crate) fn complain(&mut self, what: String) {
        keep(&mut self.complaints, what);
    }

    fn blame(&mut self, what: String) {
        keep(&mut self.needless, what);
    }

    /// All messages of a room.
    pub(crate) fn messages_of(&self, room: usize) -> impl Iterator<Item = (Key, &Message)> {
        let senders = self.guests.iter().enumerate().filter(move |(_, guest)| guest.room == room);
        senders.flat_map(|(sender, guest)| {
            (0..).zip(&guest.messages).map(move |(number, message)| (Key { sender, number }, message))
        })
    }

    /// Returns the times at which a message was sent and acked.
    pub(crate) fn life_of(&self, key: Key) -> Option<(Instant, Option<Instant>)> {
        let message = self.message(key)?;
        Some((message.sent, message.acked_after.map(|after| message.sent + after)))
    }

    /// Returns the latency of each ack, in order.
    pub(crate) fn ack_times(&self) -> Vec<Duration> {
        let messages = self.guests.iter().flat_map(|guest| &guest.messages);
        let mut times: Vec<_> = messages.filter_map(|message| message.acked_after).collect();
        times.sort_unstable();
        times
    }

    pub(crate) fn summary(&self) -> String {
        format!(
            "{} sent, {} acked, {} shown again, {} resyncs, {} sessions dropped, {} given up",
            self.sent,
            self.acked,
            self.shown_again,
            self.resyncs,
            self.dropped.len(),
            self.given_up
        )
    }
}
