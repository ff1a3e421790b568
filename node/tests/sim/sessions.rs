//! Sessions, as in `web`: a replay from the cursor, then the lane. `Delivery` and `Marks` decide which frames are new and
//! what a cursor covers, as in production.

use std::collections::VecDeque;

use rand::RngExt;
use starling_node::services::CATCH_UP_MS_MAX;
use starling_protocol::{
    Hlc, RoomId, Scope, VersionVector, frame::client::ListedMessage, limits::REPLAY_EVENTS_MAX,
    replica::Millis,
};

use starling_web::{
    delivery::{Delivery, Marks},
    lane::Frame,
};

use crate::{invariants, mutants::Mutant, world::World};

#[derive(Debug)]
pub struct Session {
    pub node: usize,
    pub start: u32,
    /// The frames that the session has not taken from its lane.
    pub lane: VecDeque<(Frame, ListedMessage)>,
    /// The number of frames that it has taken.
    position: u64,
    delivery: Delivery,
    marks: Marks,
    /// The greatest stamp that the client was shown or acked: its posts are stamped above it.
    pub greatest: Hlc,
    /// Whether frames reach its lane.
    joined: bool,
}

impl World {
    /// Returns the sessions in the lane of a room on a node.
    pub fn sessions_in(
        &mut self,
        room: RoomId,
        node: usize,
        start: u32,
    ) -> impl Iterator<Item = &mut Session> {
        let clients = self.clients.iter_mut().filter(move |client| client.here == room);
        let sessions = clients.filter_map(|client| client.session.as_mut());
        sessions.filter(move |session| (session.node, session.start, session.joined) == (node, start, true))
    }

    /// A client begins a session in its room, on the given node or on any; nothing happens if that node does not serve.
    pub fn connect(&mut self, number: usize, node: Option<usize>) {
        let members = self.members();
        let node = node.unwrap_or_else(|| members[self.rng.random_range(0..members.len())]);
        let wall_ms = self.wall_ms(node);
        let Some(run) = self.nodes[node].run.as_ref().filter(|_| self.nodes[node].serves(self.now)) else {
            return;
        };
        let client = &mut self.clients[number];
        let room = client.here;
        if run.store.quick_room(room).expect("the store reads").is_none() {
            return self.search(node, number);
        }
        let published = run.published.clone();
        let point = &*published.vector;
        let mut messages = None;
        if let Some((vector, _)) = &client.memory().cursor.clone() {
            if point.covers(vector) {
                let mut from = vector.clone();
                if self.mutant == Some(Mutant::ResumeSkipsOneOrigin)
                    && let Some((origin, seq)) = point.iter().last()
                {
                    from.advance(origin, seq);
                }
                let places =
                    run.store.scope_events_after(&Scope::room(room), &from, point, REPLAY_EVENTS_MAX);
                let places = places.expect("the store reads").expect("fewer than are replayed");
                messages = Some(run.store.messages_at(&places).expect("the store reads"));
                self.coverage.resumes += 1;
            } else if run.replica().reachable(vector) {
                let since = *client.waits_since.get_or_insert(self.now);
                if self.now < since + CATCH_UP_MS_MAX {
                    return;
                }
            }
        }
        let memory = client.memory();
        // As `node` does it: a cursor's stamp is trusted, a place that is not held lifts the clock only so far.
        let after = memory.after.map_or(Hlc::default(), |after| {
            let held = run.store.holds(after).expect("the store reads");
            if held { after.hlc } else { after.hlc.capped(wall_ms) }
        });
        let mut greatest = memory.cursor.as_ref().map_or(after, |(_, greatest)| after.max(*greatest));
        let messages = messages.unwrap_or_else(|| {
            // The first visit, or a resync: load afresh.
            self.coverage.resyncs += u64::from(memory.cursor.is_some());
            memory.seen.clear();
            run.store.page(room, None, usize::MAX, Some(point)).expect("the store reads").messages
        });
        for message in &messages {
            greatest = greatest.max(message.pos.hlc);
            memory.show(message);
        }
        client.waits_since = None;
        client.sessions += 1;
        let (start, joined) = (self.nodes[node].starts, self.mutant != Some(Mutant::LaneJoinedLate));
        client.session = Some(Session {
            node,
            start,
            lane: VecDeque::new(),
            position: 0,
            delivery: Delivery::new(published),
            marks: Marks::default(),
            greatest,
            joined,
        });
        self.take_cursor(number);
    }

    /// Takes some frames from the lane. The node gives a cursor if it has sent something that none covers.
    pub fn read(&mut self, number: usize) {
        let most = self.rng.random_range(0..12);
        let client = &mut self.clients[number];
        let Some(session) = &mut client.session else { return };
        session.joined = true;
        let Some(run) = &self.nodes[session.node].run else { return };
        session.marks.set(session.position + session.lane.len() as u64, run.published.clone());
        let taken: Vec<_> = session.lane.drain(..most.min(session.lane.len())).collect();
        session.position += taken.len() as u64;
        let mut shown = Vec::new();
        for (frame, message) in taken {
            if session.delivery.is_new(&frame) {
                session.greatest = session.greatest.max(frame.hlc);
                session.delivery.note_frame(&frame);
                shown.push(message);
            }
        }
        session.marks.pass(session.position, &mut session.delivery);
        let needs_cursor = session.delivery.needs_cursor();
        for message in &shown {
            client.memory().show(message);
        }
        if needs_cursor || self.mutant == Some(Mutant::CursorAheadOfLane) {
            self.take_cursor(number);
        }
    }

    /// The node gives a cursor that covers what it has sent, as far as a peer in sync has confirmed it.
    fn take_cursor(&mut self, number: usize) {
        let client = &mut self.clients[number];
        let Some(session) = &mut client.session else { return };
        let (node, greatest) = (session.node, session.greatest);
        let Some(run) = &self.nodes[node].run else { return };
        let point = if self.mutant == Some(Mutant::CursorAheadOfLane) {
            &run.published
        } else {
            session.delivery.sent()
        };
        let covered = VersionVector::clone(&point.vector);
        let mut vector = covered.clone();
        if let Some((own, limit)) = run.own.zip(run.replica().cursor_limit(Millis(self.now)))
            && self.mutant != Some(Mutant::CursorAheadOfLostDisk)
        {
            vector.limit(own, limit.min(vector.get(own)));
        }
        if vector == covered {
            session.delivery.note_cursor();
        }
        client.memory().cursor = Some((vector.clone(), greatest));
        if let Err(violation) = invariants::cursor::given(self, node, &vector) {
            self.violated(violation);
        }
    }
}
