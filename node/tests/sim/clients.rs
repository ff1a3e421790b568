//! Clients and their acts: they post, resend unacked messages, leave, come back on another node, go to another room and
//! back. A new act is a new line in `World::act`; `sessions.rs` has the frames that a session receives.

use std::collections::BTreeMap;

use rand::{RngExt, seq::IndexedRandom};
use starling_node::{permissions::refuse_post_at_commit, store::Op};
use starling_protocol::{
    GuestId, GuestName, Hlc, MessageId, MessagePosted, MessageText, Pos, RoomId, Sender, VersionVector,
    frame::client::ListedMessage,
};

use crate::{
    mutants::Mutant,
    sessions::Session,
    world::{Event, World},
    writer::{self, Request},
};

/// A client.
#[derive(Debug)]
pub struct Client {
    pub number: usize,
    guest: GuestId,
    /// The room that the client is in, or returns to.
    pub here: RoomId,
    pub session: Option<Session>,
    /// Counts sessions: an ack for an earlier one is lost.
    pub sessions: u32,
    /// The start of the wait for a node that catches up with the client's cursor.
    pub waits_since: Option<u64>,
    /// The client's state of each visited room.
    pub rooms: BTreeMap<RoomId, Memory>,
    next_message: u64,
}

/// A client's state of a room.
#[derive(Debug, Default)]
pub struct Memory {
    /// The last cursor: the vector that it covers, its greatest stamp, and the text that nodes read.
    pub cursor: Option<(VersionVector, Hlc, String)>,
    /// The greatest position that the client was shown or acked.
    pub after: Option<Pos>,
    /// The messages on its screen.
    pub seen: BTreeMap<MessageId, Pos>,
    /// The sent messages, each with the stamp above which it must be listed.
    pub sent: BTreeMap<MessageId, Hlc>,
    /// The messages without an ack.
    pub unacked: BTreeMap<MessageId, MessageText>,
    /// The acked messages: position, and number of copies in the ack.
    pub acked: BTreeMap<MessageId, (Pos, usize)>,
    /// Messages acked with one copy that were lost with its disk.
    pub forgiven: std::collections::BTreeSet<MessageId>,
}

impl Memory {
    /// Shows a message, or moves it to another position.
    pub fn show(&mut self, message: &ListedMessage) {
        self.after = self.after.max(Some(message.pos));
        self.seen.insert(message.listed_id, message.pos);
    }
}

impl Client {
    pub fn new(number: usize, guest: [u8; 16], here: RoomId) -> Self {
        Self {
            number,
            guest: GuestId(guest),
            here,
            session: None,
            sessions: 0,
            waits_since: None,
            rooms: BTreeMap::from([(here, Memory::default())]),
            next_message: 0,
        }
    }

    /// Returns the state of the client's room.
    pub fn memory(&mut self) -> &mut Memory {
        self.rooms.entry(self.here).or_default()
    }

    /// Whether the client waits for nothing.
    pub fn is_settled(&self) -> bool {
        let drained = self.session.as_ref().is_some_and(|session| session.lane.is_empty());
        drained && self.rooms.values().all(|memory| memory.unacked.is_empty())
    }
}

impl World {
    /// Draws and does an act of a client.
    pub fn act(&mut self, number: usize) {
        self.drop_dead_session(number);
        let healed = self.healed_at.is_some();
        if self.clients[number].session.is_none() {
            self.connect(number, None);
        } else {
            if self.is_heard(number) {
                self.read(number);
            }
            match self.rng.random_range(0..100) {
                0..20 if !healed => self.post(number),
                20..38 => self.post_again(number),
                38..42 if !healed => self.leave(number),
                42..46 if !healed => self.change_room(number),
                46..47 if !healed => self.make_room(number),
                _ if healed => self.go_where_acks_are_owed(number),
                _ => {}
            }
        }
        let after = self.rng.random_range(1..if healed { 60 } else { 140 });
        self.schedule(after, Event::Client(number));
    }

    fn leave(&mut self, number: usize) {
        self.clients[number].session = None;
    }

    /// Enters another room, with that room's own cursor if it has been there.
    fn change_room(&mut self, number: usize) {
        let room = *self.rooms.choose(&mut self.rng).expect("there are rooms");
        self.enter(number, room);
        self.coverage.moves += 1;
    }

    pub fn enter(&mut self, number: usize, room: RoomId) {
        let client = &mut self.clients[number];
        let cursor = client.memory().cursor.clone();
        client.session = None;
        client.here = room;
        if self.mutant == Some(Mutant::CursorOverAnotherLane) && client.memory().cursor.is_some() {
            client.memory().cursor = cursor;
        }
    }

    fn go_where_acks_are_owed(&mut self, number: usize) {
        let client = &mut self.clients[number];
        if client.memory().unacked.is_empty()
            && let Some((&room, _)) = client.rooms.iter().find(|(_, memory)| !memory.unacked.is_empty())
        {
            self.enter(number, room);
        }
    }

    fn drop_dead_session(&mut self, number: usize) {
        let Some(session) = &self.clients[number].session else { return };
        let node = &self.nodes[session.node];
        let is_over = node.run.is_none() || node.starts != session.start || node.is_draining();
        // The node does not answer: some wait, some go elsewhere.
        if is_over || !self.is_heard(number) && self.rng.random_bool(0.2) {
            self.clients[number].session = None;
        }
    }

    /// Whether the node of its session runs.
    fn is_heard(&self, number: usize) -> bool {
        let session = self.clients[number].session.as_ref();
        session.is_some_and(|session| self.nodes[session.node].hung_until <= self.now)
    }

    /// Posts a few new messages at once.
    fn post(&mut self, number: usize) {
        for _ in 0..self.rng.random_range(1..7) {
            let client = &mut self.clients[number];
            client.next_message += 1;
            let id = MessageId::from_u64_pair(number as u64 + 1, client.next_message);
            let text = MessageText::parse(&format!("{number}: {}", client.next_message)).unwrap();
            client.memory().unacked.insert(id, text.clone());
            self.coverage.posts += 1;
            self.hand_over(number, id, id, text);
        }
    }

    /// Sends the oldest unacked message again.
    fn post_again(&mut self, number: usize) {
        let client = &mut self.clients[number];
        let Some((&id, text)) = client.memory().unacked.first_key_value() else { return };
        let text = text.clone();
        let mut under = id;
        if self.mutant == Some(Mutant::ResendListedTwice) {
            client.next_message += 1;
            under = MessageId::from_u64_pair(number as u64 + 1_000, client.next_message);
        }
        self.coverage.resends += 1;
        self.hand_over(number, id, under, text);
    }

    fn hand_over(&mut self, number: usize, id: MessageId, under: MessageId, text: MessageText) {
        let client = &mut self.clients[number];
        let Some(session) = &client.session else { return };
        let (node, greatest) = (session.node, session.greatest);
        // Another node may accept it with less knowledge.
        let above = client.memory().sent.entry(id).or_insert(greatest);
        *above = greatest.min(*above);
        let name = GuestName::parse(&format!("client {number}")).unwrap();
        let sender = Sender::Guest { id: client.guest, name };
        let above_hlc = Some(greatest).filter(|_| self.mutant != Some(Mutant::FloorIgnored));
        let posted = MessagePosted::new(under, sender, text);
        let op = Op::Post { room: client.here, posted, above_hlc, check: refuse_post_at_commit };
        let from = writer::Session { client: number, number: client.sessions };
        let taken = self.request(node, Request::Post { from, id, op });
        if taken && self.mutant == Some(Mutant::AckBeforeCommit) {
            self.acked(from, id, Pos::MIN, 1);
        }
    }

    /// Handles an ack, unless it is for an earlier session.
    pub fn acked(&mut self, to: writer::Session, id: MessageId, pos: Pos, copies: usize) {
        let client = &mut self.clients[to.client];
        let Some(session) = client.session.as_mut().filter(|_| client.sessions == to.number) else { return };
        session.greatest = session.greatest.max(pos.hlc);
        let memory = client.memory();
        memory.after = memory.after.max(Some(pos));
        memory.unacked.remove(&id);
        let before = memory.acked.get(&id).map_or(0, |&(_, copies)| copies);
        if copies > before {
            memory.acked.insert(id, (pos, copies));
        }
        self.coverage.acks += 1;
    }
}
