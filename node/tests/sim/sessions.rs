//! Sessions, as in `web`: a replay from the cursor, then the lane. `Delivery` and `Marks` decide which frames are new and
//! what a cursor covers, as in production.

use std::{collections::VecDeque, sync::Arc};

use rand::RngExt;
use starling_node::{
    services::CATCH_UP_MS_MAX,
    store::{Store, StoreError},
};
use starling_protocol::{
    Cursor, Hlc, OriginId, RoomId, Scope, Seq, VersionVector,
    cursor::{CursorError, NONCE_BYTES},
    frame::client::ListedMessage,
    limits::REPLAY_EVENTS_MAX,
    replica::Millis,
};

use starling_web::{
    delivery::{Delivery, Marks},
    lane::Frame,
};

use crate::{
    invariants::{
        self,
        folds::{cursor_key, known_to_peers, read_alike},
    },
    mutants::Mutant,
    world::World,
};

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

/// Opens a cursor on a node; fails with the event that brings its fold, if the node lacks that.
fn open(
    store: &Store,
    text: &str,
    mutant: Option<Mutant>,
) -> Result<Result<VersionVector, (OriginId, Seq)>, StoreError> {
    let mut fold = Ok(None);
    let opened = cursor_key().0.open_over(text, |rank| {
        fold = store.fold(rank);
        fold.as_ref().ok().cloned().flatten()
    });
    fold?;
    Ok(match opened {
        Ok(cursor) => Ok(cursor.vector),
        Err(CursorError::UnknownFold { .. }) if mutant == Some(Mutant::UnknownFoldIsEmpty) => {
            Ok(VersionVector::default())
        }
        Err(CursorError::UnknownFold { event, .. }) => Err(event),
        Err(error) => unreachable!("all cursors are sealed with one key: {error}"),
    })
}

/// For a planted bug: a vector that takes an origin's entry of its fold.
fn without_entry(vector: &VersionVector, origin: OriginId) -> VersionVector {
    match vector.base() {
        Some(base) => {
            let entries = vector.difference().filter(|(differs, _)| *differs != origin);
            VersionVector::over(Arc::clone(base), entries)
        }
        None => vector.clone(),
    }
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
        let room = self.clients[number].here;
        match run.has_room(room) {
            Some(true) => {}
            Some(false) => return self.search(node, number),
            // Refused: the client tries again, as after each failed read below.
            None => return,
        }
        let published = run.published.clone();
        let memory = self.clients[number].memory();
        // As `node` does it: a cursor's stamp is trusted, a place that is not held lifts the clock only so far.
        let after = memory.after.map_or(Some(Hlc::default()), |after| {
            let held = run.read(|store| store.holds(after))?;
            Some(if held { after.hlc } else { after.hlc.capped(wall_ms) })
        });
        let Some(after) = after else { return };
        let mut greatest = memory.cursor.as_ref().map_or(after, |(_, greatest, _)| after.max(*greatest));
        let Some(messages) = self.read_missing(number, node, &published.vector) else { return };
        let client = &mut self.clients[number];
        let memory = client.memory();
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

    /// Reads the messages that a client is missing up to `point`: those beyond its cursor, or all of the room, which it
    /// then loads afresh. `None` if it must wait for the node to catch up, or the node cannot read.
    fn read_missing(
        &mut self,
        number: usize,
        node: usize,
        point: &VersionVector,
    ) -> Option<Vec<ListedMessage>> {
        let run = self.nodes[node].run.as_ref()?;
        let client = &mut self.clients[number];
        let room = client.here;
        if let Some((given, _, text)) = client.memory().cursor.clone() {
            // An unknown fold is waited for, as the events of a cursor are.
            let (opened, wanted) = match run.read(|store| open(store, &text, self.mutant))? {
                Ok(opened) => (Some(opened.clone()), opened),
                Err(event) => (None, VersionVector::from_iter([event])),
            };
            self.coverage.unknown_folds += u64::from(opened.is_none());
            let is_older = opened.as_ref().is_some_and(|opened| opened.base_rank() < point.base_rank());
            self.coverage.older_cursors += u64::from(is_older);
            if let Some(violation) = opened.as_ref().and_then(|read| read_alike(&given, read).err()) {
                self.violated(violation);
                return None;
            }
            if let Some(mut from) = opened.filter(|from| point.covers(from)) {
                if self.mutant == Some(Mutant::ResumeSkipsOneOrigin)
                    && let Some((origin, seq)) = point.iter().last()
                {
                    from.advance(origin, seq);
                }
                self.coverage.resumes += 1;
                let replayed = run.read(|store| {
                    let scope = Scope::room(room);
                    let places = store.scope_events_after(&scope, &from, point, REPLAY_EVENTS_MAX)?;
                    store.messages_at(&places.expect("fewer than are replayed"))
                });
                let is_empty = replayed.is_none() && self.mutant == Some(Mutant::FailedReadIsEmpty);
                return if is_empty { Some(Vec::new()) } else { replayed };
            }
            if run.replica().reachable(&wanted) {
                let since = *client.waits_since.get_or_insert(self.now);
                if self.now < since + CATCH_UP_MS_MAX {
                    return None;
                }
            }
            self.coverage.resyncs += 1;
        }
        let page = run.read(|store| store.page(room, None, usize::MAX, Some(point)))?;
        client.memory().seen.clear();
        Some(page.messages)
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
            if self.mutant == Some(Mutant::LimitZeroRemoves) && limit == Seq::NONE {
                vector = without_entry(&vector, own);
            }
        }
        if vector == covered {
            session.delivery.note_cursor();
        }
        let fold = if self.mutant == Some(Mutant::FoldUsedTooEarly) {
            vector.base()
        } else {
            run.replica().cursor_fold(Millis(self.now))
        };
        let mut written = vector.written_over(fold);
        if let (Some(fold), Some(Mutant::LowerEntriesDropped)) = (fold, self.mutant) {
            let higher = written.difference().filter(|(origin, seq)| *seq > fold.get(*origin));
            written = VersionVector::over(Arc::clone(fold), higher);
        }
        let (key, owner) = cursor_key();
        let cursor = Cursor { owner, vector: written, greatest };
        let text = key.seal(&cursor, [0; NONCE_BYTES]).expect("few origins");
        self.coverage.folded_cursors += u64::from(cursor.vector.base().is_some());
        client.memory().cursor = Some((vector.clone(), greatest, text));
        let known = cursor.vector.base().map_or(Ok(()), |fold| known_to_peers(self, node, fold));
        if let Err(violation) = known.and(invariants::cursor::given(self, node, &vector)) {
            self.violated(violation);
        }
    }
}
