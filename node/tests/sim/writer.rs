//! A node's writer: its queue, its commits, and the acks that it owes, as `node`'s writer thread handles them.

use rand::RngExt;
use starling_node::store::{Op, OpResult};
use starling_protocol::{
    Event as LogEvent, MessageId, Pos, RoomId,
    replica::{Input, Token, Until, Waiter},
};

use crate::world::{Event, World};

/// Requests that wait for a writer, at most: small, so that it is full at times.
const INBOX_MAX: usize = 24;
/// Who waits for what is written.
#[derive(Debug)]
pub enum Request {
    Room(RoomId),
    Post { client: usize, session: u32, op: Op },
    Apply(Vec<LogEvent>),
}

/// An ack that is owed.
#[derive(Debug)]
pub struct Owed {
    client: usize,
    session: u32,
    id: MessageId,
    pos: Pos,
}

impl World {
    /// Hands something to a node's writer; false if its queue is full.
    pub fn request(&mut self, node: usize, request: Request) -> bool {
        let start = self.nodes[node].starts;
        let Some(run) = self.nodes[node].run.as_mut() else { return false };
        if run.inbox.len() >= INBOX_MAX {
            return false;
        }
        run.inbox.push_back(request);
        if run.inbox.len() == 1 {
            let after = self.rng.random_range(0..8);
            self.schedule(after, Event::Write { node, start });
        }
        true
    }

    /// One commit, as `node`'s writer makes it.
    pub fn write(&mut self, node: usize) {
        let (wall_ms, start) = (self.wall_ms(node), self.nodes[node].starts);
        let fresh = self.rng.random();
        let most = self.rng.random_range(1..INBOX_MAX);
        let Some(run) = self.nodes[node].run.as_mut() else { return };
        let requests: Vec<_> = run.inbox.drain(..most.min(run.inbox.len())).collect();
        let ops: Vec<_> = requests.iter().map(op).collect();
        let Ok(commit) = run.committer.commit(wall_ms, fresh, &ops) else { return self.crash(node) };
        if !run.inbox.is_empty() {
            self.schedule(1, Event::Write { node, start });
        }
        self.nodes[node].durable.merge(&commit.vector);
        for (room, message) in &commit.listed {
            self.clients_in(*room, node, start).for_each(|session| session.lane.push_back(message.clone()));
        }
        if let Some(own) = commit.own {
            for (seq, event) in (own.first..).zip(&own.events) {
                if self.written.insert((own.origin, seq), event.clone()).is_some_and(|old| old != event) {
                    self.violated(format!("{:?}:{seq} was given to two events", own.origin));
                }
            }
            if let Some(run) = self.nodes[node].run.as_mut() {
                run.own = Some(own.origin);
            }
            self.feed(node, Input::Committed { origin: own.origin, first: own.first, events: own.events });
        }
        if !commit.received.is_empty() {
            self.feed(node, Input::Applied(commit.received));
        }
        self.feed(node, Input::Digests(commit.digests));
        for (request, result) in requests.into_iter().zip(commit.results) {
            if let Request::Post { client, session, op: Op::Post { posted, .. } } = request {
                self.posted(node, client, session, posted.id, result);
            }
        }
    }

    fn posted(&mut self, node: usize, client: usize, session: u32, id: MessageId, result: OpResult) {
        match result {
            OpResult::Done(pos) => {
                let Some(run) = self.nodes[node].run.as_mut() else { return };
                run.next_token += 1;
                let token = run.next_token;
                run.owed.insert(token, Owed { client, session, id, pos });
                let Pos { origin, seq, .. } = pos;
                let until = Until::Copies(2);
                let waiter = Waiter { token, origin, seq, until, wait_ms: 200, raise_ms: 10_000 };
                self.feed(node, Input::Await(waiter));
            }
            OpResult::IdReused => self.violated(format!("{id} was taken for another message")),
            // The node has not heard of the room yet; the client sends again.
            OpResult::NoSuchRoom | OpResult::Received => {}
        }
    }

    pub fn settled(&mut self, node: usize, token: Token, copies: usize) {
        let owed = self.nodes[node].run.as_mut().and_then(|run| run.owed.get(&token));
        let Some(&Owed { client, session, id, pos }) = owed else { return };
        let holders = self.nodes.iter().filter(|node| node.durable.contains(pos.origin, pos.seq)).count();
        if copies > holders {
            self.violated(format!("an ack says {copies} copies where there are {holders}"));
        }
        self.acked(client, session, id, pos);
    }
}

fn op(request: &Request) -> Op {
    match request {
        Request::Room(room) => Op::CreateRoom { room: *room, name: None },
        Request::Post { op, .. } => op.clone(),
        Request::Apply(events) => Op::Received(events.clone()),
    }
}
