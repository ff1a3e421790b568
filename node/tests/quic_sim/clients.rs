//! Clients of any node: they are present in a room, post, resend unacked messages, create rooms, and move on.
//! They call the services that `web`'s sessions call.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use rand::RngExt;
use starling_protocol::{
    ErrorCode, GuestId, GuestName, MessageId, MessagePosted, MessageText, Pos, RoomId, Sender,
};
use starling_web::service::{Lease, Post, PostOutcome};
use tokio::sync::mpsc;

use crate::{mutants::Mutant, world::World};

/// A message without an ack is sent again after this.
const SEND_AGAIN_MS: u64 = 3_000;

pub struct Session {
    pub host: usize,
    pub start: u32,
    lease: Lease,
    outcomes: (mpsc::UnboundedSender<PostOutcome>, mpsc::UnboundedReceiver<PostOutcome>),
}

pub struct Client {
    number: usize,
    /// Whether it writes nothing and leaves when every promise holds again.
    pub visits: bool,
    guest: GuestId,
    pub room: usize,
    pub session: Option<Session>,
    unacked: BTreeMap<MessageId, (MessageText, u64)>,
    pub acked: BTreeMap<MessageId, Pos>,
    after: Option<Pos>,
    messages: u64,
}

impl Client {
    pub fn new(number: usize, visits: bool, guest: [u8; 16], room: usize) -> Self {
        Self {
            number,
            visits,
            guest: GuestId(guest),
            room,
            session: None,
            unacked: BTreeMap::new(),
            acked: BTreeMap::new(),
            after: None,
            messages: 0,
        }
    }

    pub fn name(&self) -> String {
        format!("client {}", self.number)
    }

    pub fn waits_for(&self) -> usize {
        self.unacked.len()
    }
}

/// A room that is being made.
pub type Making = Arc<Mutex<Option<Result<RoomId, String>>>>;

impl World {
    /// Draws and does an act of a client.
    pub fn act(&mut self, number: usize) {
        self.drop_dead_session(number);
        let session = self.clients[number].session.as_mut();
        if session.is_some_and(|session| session.lease.taken_over.try_recv().is_ok()) {
            // The same guest has begun a later session elsewhere: `web` closes this one.
            self.leave(number);
        }
        let stays = !self.clients[number].visits || self.healed_at.is_none();
        if self.clients[number].session.is_none() {
            if stays {
                self.connect(number);
            }
        } else if !stays {
            self.leave(number);
        } else {
            self.post(number);
            if self.healed_at.is_none() && self.rng.random_bool(0.03) {
                self.leave(number);
            }
        }
    }

    fn drop_dead_session(&mut self, number: usize) {
        let Some(session) = &self.clients[number].session else { return };
        let host = &self.hosts[session.host];
        if host.run.is_none() || host.starts != session.start {
            self.clients[number].session = None;
        }
    }

    fn leave(&mut self, number: usize) {
        let Some(Session { host, lease, .. }) = self.clients[number].session.take() else { return };
        tracing::debug!(at = self.now, client = number, host, "leaves");
        if self.mutant == Some(Mutant::LeaseOutlivesSession) {
            self.leaked.push(lease);
        } else if let Some(run) = &self.hosts[host].run {
            let _inside = run.runtime.enter();
            drop(lease);
        }
    }

    fn connect(&mut self, number: usize) {
        let host = self.rng.random_range(0..self.hosts.len());
        let client = &mut self.clients[number];
        let Some((runtime, core)) = self.hosts[host].serving() else { return };
        let _inside = runtime.enter();
        let name = GuestName::parse(&client.name()).unwrap();
        let Ok(lease) = core.web.presence.enter(self.rooms[client.room], client.guest, name, false) else {
            self.violation.get_or_insert(format!("{} is told that their name is taken", client.name()));
            return;
        };
        tracing::debug!(at = self.now, client = number, host, "enters");
        let start = self.hosts[host].starts;
        client.session = Some(Session { host, start, lease, outcomes: mpsc::unbounded_channel() });
        self.presence.hold(number, host, start, self.now);
        self.coverage.sessions += 1;
    }

    fn post(&mut self, number: usize) {
        let fresh = self.rng.random_bool(if self.healed_at.is_none() { 0.6 } else { 0.0 });
        if fresh && !self.clients[number].visits {
            self.write(number);
        }
        let now = self.now;
        let again =
            self.clients[number].unacked.iter_mut().find(|(_, (_, sent))| now >= sent + SEND_AGAIN_MS);
        if let Some((&id, (_, sent))) = again {
            *sent = now;
            self.send(number, id);
        }
    }

    /// A client posts a new message.
    pub fn write(&mut self, number: usize) {
        let long = self.rng.random_bool(0.05);
        let client = &mut self.clients[number];
        client.messages += 1;
        self.coverage.posts += 1;
        let id = MessageId::from_u64_pair(number as u64 + 1, client.messages);
        let filler = if long { "x".repeat(4_000) } else { String::new() };
        let text = MessageText::parse(&format!("{number}: {}{filler}", client.messages)).unwrap();
        client.unacked.insert(id, (text, self.now));
        self.send(number, id);
    }

    fn send(&mut self, number: usize, id: MessageId) {
        let client = &self.clients[number];
        let (Some(session), Some((text, _))) = (&client.session, client.unacked.get(&id)) else { return };
        let Some((runtime, core)) = self.hosts[session.host].serving() else { return };
        let _inside = runtime.enter();
        let name = GuestName::parse(&client.name()).unwrap();
        let post = Post {
            room: self.rooms[client.room],
            message: MessagePosted::new(id, Sender::Guest { id: client.guest, name }, text.clone()),
            above_hlc: client.after.map(|pos| pos.hlc),
        };
        // Refused by a full queue: it is sent again.
        let _ = core.web.posting.post(post, &session.outcomes.0);
    }

    /// Handles the outcomes of posts since the nodes last ran.
    pub fn outcomes(&mut self) {
        for number in 0..self.clients.len() {
            self.drop_dead_session(number);
            let Some(session) = &mut self.clients[number].session else { continue };
            let mut outcomes = Vec::new();
            while let Ok(outcome) = session.outcomes.1.try_recv() {
                outcomes.push(outcome);
            }
            for PostOutcome { id, result, is_upgrade } in outcomes {
                match result {
                    Ok(posted) => self.acked(number, id, posted.pos, posted.copies, is_upgrade),
                    Err(refusal) if refusal.code == ErrorCode::IdReused => {
                        self.violation.get_or_insert(format!("{id} was taken for another message"));
                    }
                    // A node that is full, or has not heard of the room yet; the client sends again.
                    Err(refusal) => {
                        self.coverage.note(&[self.now, number as u64, refusal.detail.len() as u64]);
                    }
                }
            }
        }
    }

    fn acked(&mut self, number: usize, id: MessageId, pos: Pos, copies: usize, is_upgrade: bool) {
        let holders = self.hosts.iter().filter(|host| host.durable.contains(pos.origin, pos.seq)).count();
        if copies > holders {
            self.violation.get_or_insert(format!("an ack says {copies} copies where there are {holders}"));
        }
        self.coverage.note(&[self.now, number as u64, pos.hlc.0, pos.seq.0, copies as u64]);
        let client = &mut self.clients[number];
        client.after = client.after.max(Some(pos));
        client.unacked.remove(&id);
        let first = client.acked.insert(id, pos).is_none();
        self.coverage.acks += u64::from(first);
        self.coverage.copied += u64::from(copies >= 2);
        if !is_upgrade {
            self.least_copies = self.least_copies.min(copies);
        }
    }

    /// Creates a room on any node.
    pub fn make_room(&mut self) {
        let host = self.rng.random_range(0..self.hosts.len());
        let Some((runtime, core)) = self.hosts[host].serving() else { return };
        let (rooms, making) = (Arc::clone(&core.web.quick_rooms), Making::default());
        self.making.push(Arc::clone(&making));
        runtime.spawn(async move {
            let made = rooms.create(None).await.map_err(|refusal| refusal.detail.into_owned());
            *making.lock().unwrap() = Some(made);
        });
    }

    /// Handles the rooms whose creation was answered since.
    pub fn made_rooms(&mut self) -> Vec<RoomId> {
        let mut made = Vec::new();
        self.making.retain(|making| match making.lock().unwrap().take() {
            Some(Ok(room)) => {
                made.push(room);
                false
            }
            Some(Err(_)) => false,
            // No other node holds it, and this node is dead.
            None => Arc::strong_count(making) > 1,
        });
        self.coverage.rooms += made.len() as u64;
        made
    }
}
