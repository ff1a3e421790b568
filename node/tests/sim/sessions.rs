//! Sessions, as in `web`: a replay from the cursor, then the lane, and a cursor when the lane is drained.

use std::collections::VecDeque;

use rand::RngExt;
use starling_node::services::CATCH_UP_MS_MAX;
use starling_protocol::{
    Hlc, RoomId, Scope, VersionVector, frame::client::ListedMessage, limits::REPLAY_EVENTS_MAX,
    replica::Millis,
};

use crate::{invariants, mutants::Mutant, world::World};

#[derive(Debug)]
pub struct Session {
    pub node: usize,
    pub start: u32,
    pub lane: VecDeque<ListedMessage>,
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
        if run.store.room(room).expect("the store reads").is_none() {
            return self.search(node, number);
        }
        let point = VersionVector::clone(run.committer.vector());
        let mut messages = None;
        if let Some((vector, _)) = &client.memory().cursor.clone() {
            if point.covers(vector) {
                let mut from = vector.clone();
                if self.mutant == Some(Mutant::ResumeSkipsOneOrigin)
                    && let Some((origin, seq)) = point.iter().last()
                {
                    from.advance(origin, seq);
                }
                let places = run.store.beyond(&Scope::room(room), &from, &point, REPLAY_EVENTS_MAX);
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
            run.store.page(room, None, usize::MAX, Some(&point)).expect("the store reads").messages
        });
        for message in &messages {
            greatest = greatest.max(message.pos.hlc);
            memory.show(message);
        }
        client.waits_since = None;
        client.sessions += 1;
        let (start, joined) = (self.nodes[node].starts, self.mutant != Some(Mutant::LaneJoinedLate));
        client.session = Some(Session { node, start, lane: VecDeque::new(), greatest, joined });
        self.take_cursor(number);
    }

    /// Reads some of the lane; when it is drained, the node gives a cursor.
    pub fn read(&mut self, number: usize) {
        let most = self.rng.random_range(0..12);
        let client = &mut self.clients[number];
        let Some(session) = &mut client.session else { return };
        session.joined = true;
        let frames: Vec<_> = session.lane.drain(..most.min(session.lane.len())).collect();
        let drained = session.lane.is_empty();
        for frame in &frames {
            session.greatest = session.greatest.max(frame.pos.hlc);
        }
        for frame in &frames {
            client.memory().show(frame);
        }
        if drained || self.mutant == Some(Mutant::CursorAheadOfLane) {
            self.take_cursor(number);
        }
    }

    /// The node gives a cursor that covers all commits: the lane is drained.
    fn take_cursor(&mut self, number: usize) {
        let client = &mut self.clients[number];
        let Some(session) = &client.session else { return };
        let (node, greatest) = (session.node, session.greatest);
        let Some(run) = &self.nodes[node].run else { return };
        let mut vector = VersionVector::clone(run.committer.vector());
        if let Some((own, limit)) = run.own.zip(run.replica().own_limit(Millis(self.now)))
            && self.mutant != Some(Mutant::CursorAheadOfLostDisk)
        {
            vector.limit(own, limit.min(vector.get(own)));
        }
        client.memory().cursor = Some((vector.clone(), greatest));
        if let Err(violation) = invariants::cursor::given(self, node, &vector) {
            self.violated(violation);
        }
    }
}
