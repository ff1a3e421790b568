//! A guest of the chaos test. Guests post at a steady rate, move from node to node, and resume with their cursor. They
//! resend unacked messages, reload after a `resync`, and leave a node that does not answer.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::ledger::{Key, Ledger, Note, body_of, locked};
use crate::places::Seat;
use harness::client::post_frame;
use harness::http::try_list_all;
use harness::{Client, Frame, Refused};

/// Pause before another attempt; browsers wait longer, but this test wants load.
const RECONNECT: Duration = Duration::from_millis(25);
/// The longest wait for an ack or a welcome; then the guest leaves the node.
const PATIENCE: Duration = Duration::from_secs(3);
/// The most messages without an ack; a node accepts 64 of one session.
const UNACKED_MAX: usize = 40;

pub(crate) struct Actor {
    /// The index of the guest in the ledger.
    pub(crate) guest: usize,
    pub(crate) name: String,
    pub(crate) room: String,
    /// The posts per second; `None` for a guest who only reads.
    pub(crate) rate_hz: Option<u32>,
    /// Whether the guest changes nodes without need.
    pub(crate) wanders: bool,
    pub(crate) rng: StdRng,
    pub(crate) ledger: Arc<Mutex<Ledger>>,
    pub(crate) sending: watch::Receiver<bool>,
}

/// The state that a guest keeps over connections.
#[derive(Default)]
struct Memory {
    cursor: Option<String>,
    after: Option<String>,
    unacked: VecDeque<Key>,
    must_reload: bool,
}

/// The next step of a session.
enum Next {
    GoOn,
    GoElsewhere,
}

impl Actor {
    pub(crate) async fn run(mut self) {
        let mut memory = Memory::default();
        loop {
            let (seat, mut client) = self.connect(&memory).await;
            self.note(Note::In(seat.at));
            memory.cursor = Some(client.cursor.clone());
            self.session(seat, &mut client, &mut memory).await;
            self.note(Note::Left(seat.at));
        }
    }

    fn note(&self, note: Note) {
        locked(&self.ledger).note(self.guest, note);
    }

    async fn connect(&mut self, memory: &Memory) -> (Seat, Client) {
        let (cursor, after) = (memory.cursor.as_deref(), memory.after.as_deref());
        loop {
            let (seat, http) = {
                let ledger = locked(&self.ledger);
                let at =
                    *ledger.places.open().choose(&mut self.rng).expect("there is always a node to go to");
                (ledger.places.seat(at), ledger.places.http(at))
            };
            let attempt = Client::connect(http, &self.room, &self.name, cursor, after);
            match timeout(PATIENCE, attempt).await {
                // The node may have restarted meanwhile: then this may be either process.
                Ok(Ok(client)) if locked(&self.ledger).places.seat(seat.at) == seat => return (seat, client),
                Ok(Ok(_)) => {}
                // The node of the first session was killed before it had given a cursor: until its peers miss it, nobody can
                // know that this is the same guest.
                Ok(Err(Refused { code, .. })) if cursor.is_none() && code == "name_in_use" => {}
                Ok(Err(Refused { status, code })) => {
                    locked(&self.ledger).note_refused(self.guest, seat, status, &code);
                }
                Err(_) => locked(&self.ledger).given_up += 1,
            }
            sleep(RECONNECT).await;
        }
    }

    /// Returns when the connection breaks, or when the guest moves to another node.
    async fn session(&mut self, seat: Seat, client: &mut Client, memory: &mut Memory) {
        for key in &memory.unacked {
            if !self.send(seat, client, *key, memory.unacked.len()).await {
                return;
            }
        }
        let mut tick = interval(Duration::from_secs(1) / self.rate_hz.unwrap_or(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut frames_left: u32 = self.rng.random_range(50..400);
        // A guest without a cursor begins again at the same place.
        let mut caught_up = false;
        let mut answered_at = Instant::now();
        while frames_left > 0 || !caught_up || !self.wanders {
            if std::mem::take(&mut memory.must_reload) && !self.reload(seat).await {
                memory.must_reload = true;
                return;
            }
            if memory.unacked.is_empty() {
                answered_at = Instant::now();
            }
            let may_send =
                self.rate_hz.is_some() && *self.sending.borrow() && memory.unacked.len() < UNACKED_MAX;
            tokio::select! {
                frame = client.advance() => {
                    frames_left = frames_left.saturating_sub(1);
                    caught_up |= matches!(frame, Frame::Cursor { .. });
                    answered_at = Instant::now();
                    if matches!(self.take(seat, frame, memory), Next::GoElsewhere) {
                        return;
                    }
                    client.messages.clear();
                    memory.cursor = Some(client.cursor.clone());
                    memory.after.clone_from(&client.after);
                }
                _ = tick.tick(), if may_send => {
                    let Some(key) = self.next_post() else { continue };
                    memory.unacked.push_back(key);
                    if !self.send(seat, client, key, memory.unacked.len()).await {
                        return;
                    }
                }
                () = tokio::time::sleep_until(answered_at + PATIENCE), if !memory.unacked.is_empty() => {
                    locked(&self.ledger).given_up += 1;
                    return;
                }
            }
        }
    }

    /// Records the next post; none if the load has ended since the wait for the tick began. Under the lock, so that
    /// `Load::quiet` either counts the post or prevents it.
    fn next_post(&self) -> Option<Key> {
        let mut ledger = locked(&self.ledger);
        self.sending.borrow().then(|| ledger.send(self.guest))
    }

    /// False if the connection has broken.
    async fn send(&self, seat: Seat, client: &mut Client, key: Key, in_flight: usize) -> bool {
        let frame = post_frame(&key.id(), &body_of(&self.name, key.number));
        let taken = client.try_send(frame).await.is_ok();
        if !taken {
            locked(&self.ledger).note_dropped(self.guest, seat, None, in_flight);
        }
        taken
    }

    /// Records a frame.
    fn take(&self, seat: Seat, frame: Frame, memory: &mut Memory) -> Next {
        let mut ledger = locked(&self.ledger);
        match frame {
            Frame::Message(posted) => ledger.note_shown(self.guest, seat, &posted),
            Frame::Ack { id, copies, .. } => {
                ledger.note_acked(seat, &id, copies);
                memory.unacked.retain(|key| key.id() != id);
            }
            Frame::Resync { .. } => {
                ledger.resyncs += 1;
                ledger.note(self.guest, Note::Resync);
                memory.must_reload = true;
            }
            Frame::Error { code, detail, id } => {
                ledger.storage_full += usize::from(code == "storage_full");
                if !["unavailable", "overloaded", "draining", "storage_full"].contains(&code.as_str()) {
                    ledger.complain(format!("{} is told {code} ({detail}) about {id:?}", self.name));
                }
                ledger.note(self.guest, Note::Left(seat.at));
                return Next::GoElsewhere;
            }
            Frame::Closed(code) => {
                ledger.note_dropped(self.guest, seat, code, memory.unacked.len());
                return Next::GoElsewhere;
            }
            Frame::Cursor { .. } => ledger.note(self.guest, Note::Cursor),
            Frame::Welcome { .. } | Frame::Joined { .. } | Frame::Left { .. } => {}
        }
        Next::GoOn
    }

    /// Loads the whole room by pages, as a client does after a `resync`; false if the node went away.
    async fn reload(&self, seat: Seat) -> bool {
        let http = locked(&self.ledger).places.http(seat.at);
        let Ok(listed) = try_list_all(http, &self.room).await else { return false };
        let mut ledger = locked(&self.ledger);
        for posted in &listed {
            ledger.note_shown(self.guest, seat, posted);
        }
        ledger.note(self.guest, Note::Reloaded(seat.at));
        true
    }
}
