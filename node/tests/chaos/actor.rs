//! A guest of the chaos test: he posts at a steady rate, wanders from node to node, and comes back with his cursor.
//! He resends what was not acked, and loads afresh when he is told to.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};
use uuid::Uuid;

use crate::ledger::{Ledger, locked};
use crate::support::client::post_frame;
use crate::support::http::try_list_all;
use crate::support::{Client, Frame, Refused};

/// A browser would wait longer; here it is the load that counts.
const RECONNECT: Duration = Duration::from_millis(25);

pub(crate) struct Actor {
    pub(crate) name: String,
    pub(crate) room: String,
    /// `None` for one who only reads.
    pub(crate) rate_hz: Option<u32>,
    pub(crate) nodes: Vec<SocketAddr>,
    pub(crate) rng: StdRng,
    pub(crate) ledger: Arc<Mutex<Ledger>>,
    pub(crate) sending: watch::Receiver<bool>,
}

/// What a guest keeps over connections.
#[derive(Default)]
struct Memory {
    cursor: Option<String>,
    after: Option<String>,
    unacked: VecDeque<(String, String)>,
    next_number: u32,
    must_reload: bool,
}

impl Actor {
    pub(crate) async fn run(mut self) {
        let mut memory = Memory::default();
        loop {
            let (at, mut client) = self.connect(&memory).await;
            self.note(&self.name, format!("{} is let in on node {at}", self.name));
            locked(&self.ledger).places.insert(self.name.clone(), at);
            memory.cursor = Some(client.cursor.clone());
            self.session(at, &mut client, &mut memory).await;
            self.note(&self.name, format!("{} is off node {at}", self.name));
            locked(&self.ledger).places.remove(&self.name);
        }
    }

    fn note(&self, whom: &str, what: String) {
        locked(&self.ledger).note(whom, what);
    }

    async fn connect(&mut self, memory: &Memory) -> (usize, Client) {
        let (cursor, after) = (memory.cursor.as_deref(), memory.after.as_deref());
        loop {
            let at = self.rng.random_range(0..self.nodes.len());
            match Client::connect(self.nodes[at], &self.room, &self.name, cursor, after).await {
                Ok(client) => return (at, client),
                Err(Refused { status: 0 | 503, .. }) => sleep(RECONNECT).await,
                Err(refused) => panic!("{} with his cursor is refused on node {at}: {refused:?}", self.name),
            }
        }
    }

    /// Returns when the connection broke, or when he wants to go elsewhere.
    async fn session(&mut self, at: usize, client: &mut Client, memory: &mut Memory) {
        for (id, body) in &memory.unacked {
            if client.try_send(post_frame(id, body)).await.is_err() {
                return;
            }
        }
        let mut tick = interval(Duration::from_secs(1) / self.rate_hz.unwrap_or(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut frames_left: u32 = self.rng.random_range(50..400);
        // Who leaves before he has a cursor begins again at the same place.
        let mut caught_up = false;
        while frames_left > 0 || !caught_up {
            if std::mem::take(&mut memory.must_reload) && !self.reload(at).await {
                memory.must_reload = true;
                return;
            }
            tokio::select! {
                frame = client.advance() => {
                    frames_left = frames_left.saturating_sub(1);
                    caught_up |= matches!(frame, Frame::Cursor { .. });
                    if !self.take(at, frame, memory) {
                        return;
                    }
                    memory.cursor = Some(client.cursor.clone());
                    memory.after.clone_from(&client.after);
                }
                _ = tick.tick(), if self.rate_hz.is_some() && *self.sending.borrow() => {
                    let (id, body) = self.compose(memory);
                    if client.try_send(post_frame(&id, &body)).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Notes what a frame says; false if the connection is over.
    fn take(&self, at: usize, frame: Frame, memory: &mut Memory) -> bool {
        let mut ledger = locked(&self.ledger);
        match frame {
            Frame::Message(posted) => ledger.note_shown(&self.name, &posted),
            Frame::Ack { id, pos, copies, .. } => {
                ledger.note(&id, format!("acked by node {at} at {pos}, {copies} copies"));
                memory.unacked.retain(|(unacked, _)| *unacked != id);
                ledger.acked.insert(id);
            }
            Frame::Resync { .. } => {
                ledger.resyncs += 1;
                ledger.note(&self.name, format!("{} is told to load afresh", self.name));
                memory.must_reload = true;
            }
            Frame::Error { code, detail, id } => {
                let passing = ["unavailable", "overloaded", "draining"].contains(&code.as_str());
                assert!(passing, "{} is told {code} ({detail}) about {id:?}", self.name);
                return false;
            }
            Frame::Closed(Some(4001)) => panic!("the only session of {} was ended", self.name),
            Frame::Closed(code) => {
                ledger.closed += 1;
                ledger.note(&self.name, format!("closed with {code:?}"));
                return false;
            }
            Frame::Cursor { .. } => ledger.note(&self.name, "a cursor came".to_owned()),
            Frame::Welcome { .. } | Frame::Joined { .. } | Frame::Left { .. } => {}
        }
        true
    }

    fn compose(&self, memory: &mut Memory) -> (String, String) {
        let (id, number) = (Uuid::new_v4().to_string(), memory.next_number);
        let body = format!("{number} by {} {}", self.name, "·".repeat((number % 100) as usize));
        memory.next_number += 1;
        memory.unacked.push_back((id.clone(), body.clone()));
        locked(&self.ledger).note_sent(&self.room, &self.name, number, &id, &body);
        self.note(&id, format!("{body:?} is sent"));
        (id, body)
    }

    /// Loads the whole room by pages, as a client does after a `resync`; false if the node went away.
    async fn reload(&self, at: usize) -> bool {
        let Ok(listed) = try_list_all(self.nodes[at], &self.room).await else { return false };
        let mut ledger = locked(&self.ledger);
        for posted in &listed {
            ledger.note_shown(&self.name, posted);
        }
        true
    }
}
