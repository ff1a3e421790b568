//! A node's writer: its queue, its commits and its pending acks, as in `node`'s writer thread.

use std::sync::Arc;

use rand::RngExt;
use starling_node::{
    config::{DURABILITY_WAIT_MS, DurabilityConfig},
    store::{Op, OpResult, OwnEvents},
    writer,
};
use starling_protocol::{ErrorCode, Event as LogEvent, EventBody, MessageId, Pos, RoomId};

use starling_web::lane::{CommitPoint, Frame};

use crate::{
    invariants,
    mutants::Mutant,
    node::Space,
    people::Wish,
    rooms::Search,
    world::{Event, World},
};

/// The most requests in a writer's queue: small, so that it is full at times.
pub const INBOX_MAX: usize = 24;

/// The defaults of a node in a cluster.
pub const DURABILITY: DurabilityConfig = DurabilityConfig { copies: 2, wait_ms: DURABILITY_WAIT_MS };

/// One commit in this many is followed by a checkpoint, on average.
const CHECKPOINT_EVERY: u32 = 6;

/// The time for which a peer of an older build stays or is away.
const OLD_PEER_STAYS_MS: u64 = 700;

/// A request to the writer, with the receiver of its result.
#[derive(Debug)]
pub enum Request {
    Room(RoomId),
    Post { from: Session, id: MessageId, op: Op },
    People(Wish, Op),
    Apply(Vec<LogEvent>),
    Fold(Op),
    Forget(Op),
}

/// The session of a client that asks: answers to an earlier session never arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    pub client: usize,
    pub number: u32,
}

/// The receiver of an answer.
#[derive(Clone, Debug)]
pub enum Owed {
    Post {
        to: Session,
        id: MessageId,
        pos: Pos,
    },
    Room {
        room: RoomId,
        pos: Pos,
        since: u64,
    },
    Act {
        pos: Pos,
        since: u64,
    },
    /// The user who made this attempt to register.
    Claim(usize),
    /// The client that looks for a room.
    Search(Search),
}

impl World {
    /// Queues a request for a node's writer; false if its queue or its disk is full.
    pub fn request(&mut self, node: usize, request: Request) -> bool {
        let machine = &mut self.nodes[node];
        let start = machine.starts;
        let has_space = match request {
            Request::Apply(_) | Request::Fold(_) | Request::Forget(_) => machine.space != Space::Nothing,
            Request::People(wish, _) if wish.may_use_reserve() => machine.space != Space::Nothing,
            Request::Room(_) | Request::Post { .. } | Request::People(..) => machine.space == Space::Enough,
        };
        let is_over = machine.run.as_ref().is_some_and(|run| run.membership.has_ended());
        let is_of_user = match request {
            Request::Room(_) | Request::Post { .. } => true,
            Request::People(wish, _) => !wish.may_use_reserve() || is_over,
            Request::Apply(_) | Request::Fold(_) | Request::Forget(_) => false,
        };
        let is_taken = has_space && !(is_of_user && machine.is_draining());
        let Some(run) = machine.run.as_mut().filter(|run| is_taken && run.inbox.len() < INBOX_MAX) else {
            return false;
        };
        run.inbox.push_back(request);
        if run.inbox.len() == 1 {
            let after = self.commit_ms();
            self.schedule(after, Event::Write { node, start });
        }
        true
    }

    /// Draws the length of a commit: requests that arrive meanwhile are in the next.
    fn commit_ms(&mut self) -> u64 {
        let range = if self.rng.random_bool(0.9) { 1..40 } else { 40..150 };
        self.rng.random_range(range)
    }

    /// Makes one commit, as `node`'s writer does.
    pub fn write(&mut self, node: usize) {
        let (wall_ms, start) = (self.wall_ms(node), self.nodes[node].starts);
        let mut fresh = self.rng.random();
        let most = self.rng.random_range(1..=INBOX_MAX);
        let after = self.commit_ms();
        if self.mutant == Some(Mutant::OriginContinued) {
            fresh = *self.nodes[node].incarnation.get_or_insert(fresh);
        }
        // A peer of an older build comes and goes: messages of all kinds are mixed.
        let has_old_peers = (self.now / OLD_PEER_STAYS_MS + u64::from(start)).is_multiple_of(2);
        let machine = &mut self.nodes[node];
        if machine.stalled_until > self.now {
            machine.stalled_since.get_or_insert(self.now);
            let after = machine.stalled_until - self.now;
            return self.schedule(after, Event::Write { node, start });
        }
        machine.stalled_since = None;
        let Some(run) = machine.run.as_mut() else { return };
        let requests: Vec<_> = run.inbox.drain(..most.min(run.inbox.len())).collect();
        let ops: Vec<_> = requests.iter().map(op).collect();
        run.committer.set_has_old_peers(has_old_peers);
        let Ok(commit) = run.committer.commit(wall_ms, fresh, &ops) else { return self.crash(node) };
        if self.rng.random_ratio(1, CHECKPOINT_EVERY) || run.store.needs_checkpoint() {
            if self.mutant == Some(Mutant::JournalEmptiedEarly) {
                machine.disk.empty_journal();
            } else if run.committer.checkpoint().is_err() {
                // Nothing was answered yet, which a crash right after the commit looks like, too.
                return self.crash(node);
            }
        }
        if !run.inbox.is_empty() {
            self.schedule(after, Event::Write { node, start });
        }
        self.coverage.commits += 1;
        self.coverage.folds += u64::from(commit.folded.is_some());
        self.nodes[node].durable.merge(&commit.vector);
        for (room, message) in &commit.quick_messages {
            if self.mutant == Some(Mutant::UnstableTieBreak) {
                self.arrivals.push((node, message.pos));
            }
            let frame = Frame::new(commit.number, message.pos.hlc, "{}");
            let sessions = self.sessions_in(*room, node, start);
            sessions.for_each(|session| session.lane.push_back((frame.clone(), message.clone())));
        }
        // After the frames: a session that sees the point finds them in its lane.
        if let Some(run) = self.nodes[node].run.as_mut() {
            run.published = CommitPoint { number: commit.number, vector: Arc::clone(&commit.vector) };
        }
        if let Err(violation) = invariants::folds::committed(self, node, &commit) {
            self.violated(violation);
        }
        self.note_edits(node, &requests, commit.own.as_ref());
        let inputs =
            writer::replication_inputs(commit.own.clone(), commit.received, commit.folded, commit.digests);
        if let Some(own) = commit.own {
            if let Err(violation) = invariants::sequence::written(&mut self.written, &own) {
                self.violated(violation);
            }
            if let Some(run) = self.nodes[node].run.as_mut() {
                run.own = Some(own.origin);
            }
        }
        for input in inputs {
            self.feed(node, input);
        }
        self.forget_nodes(node, &commit.changes);
        for (request, result) in requests.into_iter().zip(commit.results) {
            match (request, result) {
                (Request::Post { from, id, .. }, result) => self.posted(node, from, id, result),
                (Request::Room(room), OpResult::Done(pos)) => self.room_made(node, room, pos),
                (Request::People(wish, _), result) => self.wish_committed(node, wish, result),
                _ => {}
            }
        }
    }

    /// For a planted bug: keeps the order in which edits arrived at a node.
    fn note_edits(&mut self, node: usize, requests: &[Request], own: Option<&OwnEvents>) {
        if self.mutant != Some(Mutant::EditsAsTheyCame) {
            return;
        }
        let own = own.into_iter().flat_map(|own| &own.events).cloned();
        let own = own.map(|event| LogEvent::decode(event).expect("it was just written"));
        let received = requests.iter().filter_map(|request| match request {
            Request::Apply(events) => Some(events.clone()),
            _ => None,
        });
        let edits = received.flatten().chain(own);
        let edits = edits.filter(|event| matches!(event.body, EventBody::MessageEdited(_)));
        self.arrivals.extend(edits.map(|event| (node, event.pos())));
    }

    fn posted(&mut self, node: usize, to: Session, id: MessageId, result: OpResult) {
        match result {
            OpResult::Done(pos) => {
                let owed = Owed::Post { to, id, pos };
                let wait_for = writer::ack_wait(pos, DURABILITY);
                self.drive(node, |core, now, out| core.wait(now, wait_for, owed, out));
            }
            OpResult::Refused(refusal) if refusal.code == ErrorCode::IdReused => {
                self.violated(format!("{id} was taken for another message"));
            }
            // The node has not heard of the room yet; the client sends again.
            _ => {}
        }
    }

    pub fn settled(&mut self, node: usize, owed: &Owed, mut copies: usize) {
        let (to, id, pos) = match *owed {
            Owed::Post { to, id, pos } => (to, id, pos),
            Owed::Room { room, pos, since } => return self.room_answered(node, room, pos, since),
            Owed::Act { pos, since } => return self.act_answered(node, pos, copies, since),
            Owed::Claim(_) | Owed::Search(_) => return,
        };
        let Some(run) = self.nodes[node].run.as_ref() else { return };
        if self.mutant == Some(Mutant::CopiesOfEarlierLink) {
            let holds = run.remembered.values().filter(|vector| vector.contains(pos.origin, pos.seq));
            copies = copies.max(1 + holds.count());
        }
        if let Err(violation) = invariants::copies::told(self, node, pos, copies) {
            self.violated(violation);
        }
        self.acked(to, id, pos, copies);
    }
}

fn op(request: &Request) -> Op {
    match request {
        Request::Room(room) => Op::CreateQuickRoom { room: *room, name: None },
        Request::Post { op, .. } | Request::People(_, op) | Request::Fold(op) | Request::Forget(op) => {
            op.clone()
        }
        Request::Apply(events) => Op::Received(events.clone()),
    }
}
