//! Clients: they post, send again what was not acked, move between nodes with their cursors, and read slowly.
//! What a session does is what `web`'s sessions do: replay, then the lane, and a cursor when the lane is drained.

use std::collections::{BTreeMap, VecDeque};

use rand::RngExt;
use starling_node::store::Op;
use starling_protocol::{
    GuestId, GuestName, Hlc, MessageId, MessagePosted, MessageText, Pos, RoomId, Sender, VersionVector,
    frame::client::ListedMessage, limits::REPLAY_EVENTS_MAX,
};

use crate::{
    coverage::Plant,
    world::{Event, World},
    writer::Request,
};

#[derive(Debug)]
pub struct Session {
    pub node: usize,
    pub start: u32,
    pub lane: VecDeque<ListedMessage>,
}

#[derive(Debug)]
pub struct Client {
    pub number: usize,
    guest: GuestId,
    pub room: RoomId,
    pub session: Option<Session>,
    /// Counts sessions: an ack for an earlier one is lost.
    sessions: u32,
    cursor: Option<VersionVector>,
    after: Option<Hlc>,
    /// What it shows.
    pub seen: BTreeMap<MessageId, Pos>,
    /// What it waits for an ack of.
    unacked: BTreeMap<MessageId, MessageText>,
    pub acked: BTreeMap<MessageId, Pos>,
    next_message: u64,
    /// After healing: it has reconnected once more, with its cursor.
    resumed_healed: bool,
}

impl Client {
    pub fn new(number: usize, guest: [u8; 16], room: RoomId) -> Self {
        Self {
            number,
            guest: GuestId(guest),
            room,
            session: None,
            sessions: 0,
            cursor: None,
            after: None,
            seen: BTreeMap::new(),
            unacked: BTreeMap::new(),
            acked: BTreeMap::new(),
            next_message: 0,
            resumed_healed: false,
        }
    }

    pub fn is_settled(&self) -> bool {
        let drained = self.session.as_ref().is_some_and(|session| session.lane.is_empty());
        drained && self.unacked.is_empty() && self.resumed_healed
    }

    pub fn waiting(&self) -> (usize, bool) {
        (self.unacked.len(), self.session.is_some())
    }

    fn show(&mut self, message: &ListedMessage) {
        self.after = self.after.max(Some(message.pos.hlc));
        self.seen.insert(message.listed_id, message.pos);
    }
}

impl World {
    /// The sessions in a room on a node.
    pub fn clients_in(
        &mut self,
        room: RoomId,
        node: usize,
        start: u32,
    ) -> impl Iterator<Item = &mut Session> {
        let clients = self.clients.iter_mut().filter(move |client| client.room == room);
        let sessions = clients.filter_map(|client| client.session.as_mut());
        sessions.filter(move |session| (session.node, session.start) == (node, start))
    }

    /// A client does something.
    pub fn act(&mut self, client: usize) {
        self.drop_dead_session(client);
        if self.clients[client].session.is_none() {
            self.connect(client);
        } else {
            self.drain(client);
            self.post(client);
            // Once after healing everybody resumes, so that his cursor is put to the test.
            let leave = self.rng.random_bool(if self.healed { 0.0 } else { 0.04 });
            if leave || self.healed && !self.clients[client].resumed_healed {
                self.clients[client].session = None;
                self.clients[client].resumed_healed = self.healed;
            }
        }
        let after = self.rng.random_range(1..60);
        self.schedule(after, Event::Client(client));
    }

    fn drop_dead_session(&mut self, client: usize) {
        let Some(session) = &self.clients[client].session else { return };
        let node = &self.nodes[session.node];
        if node.run.is_none() || node.starts != session.start {
            self.clients[client].session = None;
        }
    }

    fn connect(&mut self, number: usize) {
        let node = self.rng.random_range(0..self.nodes.len());
        let start = self.nodes[node].starts;
        let Some(run) = &self.nodes[node].run else { return };
        let client = &mut self.clients[number];
        if run.store.room(client.room).expect("the store reads").is_none() {
            return;
        }
        let point = VersionVector::clone(run.committer.vector());
        let mut messages = None;
        if let Some(vector) = &client.cursor {
            if point.covers(vector) {
                let mut from = vector.clone();
                if self.plant == Some(Plant::ResumeSkipsOneOrigin)
                    && let Some((origin, seq)) = point.iter().last()
                {
                    from.advance(origin, seq);
                }
                let places = run.store.beyond(client.room, &from, &point, REPLAY_EVENTS_MAX);
                let places = places.expect("the store reads").expect("fewer than are replayed");
                messages = Some(run.store.messages_at(&places).expect("the store reads"));
                self.coverage.resumes += 1;
            } else if run.replica.reachable(vector) {
                return;
            }
        }
        let messages = messages.unwrap_or_else(|| {
            // The first visit, or a resync: load afresh.
            self.coverage.resyncs += u64::from(client.cursor.is_some());
            client.seen.clear();
            run.store.page(client.room, None, usize::MAX, Some(&point)).expect("the store reads").messages
        });
        for message in &messages {
            client.show(message);
        }
        client.sessions += 1;
        client.session = Some(Session { node, start, lane: VecDeque::new() });
        self.take_cursor(number);
    }

    /// Reads some of the lane; when it is drained, there is a cursor.
    fn drain(&mut self, number: usize) {
        let most = self.rng.random_range(0..6);
        let client = &mut self.clients[number];
        let Some(session) = &mut client.session else { return };
        let frames: Vec<_> = session.lane.drain(..most.min(session.lane.len())).collect();
        let drained = session.lane.is_empty();
        for frame in &frames {
            client.show(frame);
        }
        if drained || self.plant == Some(Plant::CursorAheadOfLane) {
            self.take_cursor(number);
        }
    }

    fn take_cursor(&mut self, number: usize) {
        let client = &mut self.clients[number];
        let Some(session) = &client.session else { return };
        let Some(run) = &self.nodes[session.node].run else { return };
        let mut vector = VersionVector::clone(run.committer.vector());
        if let Some((own, limit)) = run.own.zip(run.replica.own_limit(self.now)) {
            vector.limit(own, limit.min(vector.get(own)));
        }
        client.cursor = Some(vector);
    }

    fn post(&mut self, number: usize) {
        let fresh = !self.healed && self.rng.random_bool(0.5);
        let again = self.rng.random_bool(0.2);
        let client = &mut self.clients[number];
        let Some(session) = &client.session else { return };
        let node = session.node;
        let (id, text) = if fresh {
            client.next_message += 1;
            let id = MessageId::from_u64_pair(number as u64 + 1, client.next_message);
            let text = MessageText::parse(&format!("{number}: {}", client.next_message)).unwrap();
            client.unacked.insert(id, text.clone());
            (id, text)
        } else if let Some((&id, text)) = client.unacked.first_key_value().filter(|_| again) {
            (id, text.clone())
        } else {
            return;
        };
        self.coverage.posts += u64::from(fresh);
        let name = GuestName::parse(&format!("client {number}")).unwrap();
        let sender = Sender::Guest { id: client.guest, name };
        let floor = client.after;
        let op = Op::Post { room: client.room, posted: MessagePosted { id, sender, text }, floor };
        let session = client.sessions;
        let taken = self.request(node, Request::Post { client: number, session, op });
        if taken && self.plant == Some(Plant::AckBeforeCommit) {
            self.acked(number, session, id, Pos::MIN);
        }
    }

    pub fn acked(&mut self, number: usize, session: u32, id: MessageId, pos: Pos) {
        let client = &mut self.clients[number];
        // The answer to an earlier connection never arrives; the client will send again.
        if client.sessions == session && client.session.is_some() {
            client.unacked.remove(&id);
            client.acked.insert(id, pos);
            self.coverage.acks += 1;
        }
    }
}
