//! Rooms that clients make and look for. A creation is answered once every peer in sync holds the room; a node answers
//! 'no such room' only after it has caught up with them.

use starling_node::{services::REPLICATION_WAIT_MS, writer::CopiesWait};
use starling_protocol::{
    Pos, RoomId, VersionVector,
    replica::{LinkId, Millis, Until},
};

use rand::RngExt;

use crate::{
    invariants::read_your_writes,
    mutants::Mutant,
    network::pair,
    world::World,
    writer::{Owed, Request},
};

/// Rooms in a history, at most.
const ROOMS_MAX: usize = 6;

/// A client's search for a room.
#[derive(Clone, Debug)]
pub struct Search {
    client: usize,
    room: RoomId,
    pub since: u64,
    /// Each peer in sync at the time of the question, with its link and its vector.
    pub had: Vec<(usize, LinkId, VersionVector)>,
}

impl World {
    /// A client makes a room on the node of its session.
    pub fn make_room(&mut self, number: usize) {
        if let Some(session) = self.clients[number].session.as_ref().filter(|_| self.rooms.len() < ROOMS_MAX)
        {
            let (node, room) = (session.node, RoomId(self.rng.random()));
            self.request(node, Request::Room(room));
        }
    }

    /// Creates the first room again if it was lost with the only disks that held it: clients without a room go there, and
    /// a history in which nobody can post has no end. If the room exists, nothing is drawn, so that seeds keep their
    /// histories.
    pub fn keep_a_room(&mut self) {
        let (room, members) = (self.rooms[0], self.members());
        let lacks_it = |&node: &usize| {
            let run = self.nodes[node].run.as_ref();
            run.and_then(|run| run.has_room(room)) == Some(false)
        };
        if members.iter().all(lacks_it) {
            // On the first node that accepts it.
            members.into_iter().any(|node| self.request(node, Request::Room(room)));
        }
    }

    /// Handles that the room is durable here.
    pub fn room_made(&mut self, node: usize, room: RoomId, pos: Pos) {
        let until =
            if self.mutant == Some(Mutant::RoomAnsweredEarly) { Until::Copies(1) } else { Until::InSync };
        self.wait_for_metadata(node, pos, until, Owed::Room { room, pos, since: self.now });
    }

    /// Waits as `node` does for metadata: until every peer in sync holds it.
    pub fn wait_for_metadata(&mut self, node: usize, Pos { origin, seq, .. }: Pos, until: Until, owed: Owed) {
        let wait_for = CopiesWait { origin, seq, until, wait_ms: REPLICATION_WAIT_MS, upgrade_ms: 0 };
        self.drive(node, |core, now, out| core.wait(now, wait_for, owed, out));
    }

    /// Answers the creator: others may go there now.
    pub fn room_answered(&mut self, node: usize, room: RoomId, pos: Pos, since: u64) {
        if let Err(violation) = read_your_writes::answered(self, node, pos, since) {
            self.violated(violation);
        }
        if !self.rooms.contains(&room) {
            self.rooms.push(room);
        }
    }

    /// A client looks for a room that its node does not know.
    pub fn search(&mut self, node: usize, client: usize) {
        let (room, now) = (self.clients[client].here, self.now);
        let had = self.peers_in_sync(node);
        let had = had.map(|(peer, link)| (peer, link, self.nodes[peer].durable.clone())).collect();
        let search = Search { client, room, since: now, had };
        if self.mutant == Some(Mutant::NoBeforeCatchingUp) {
            return self.searched(node, &search);
        }
        self.drive(node, |core, now, out| core.barrier(now, Owed::Search(search), out));
    }

    /// Returns the peers that are in sync and stay so for the length of a barrier, with their links.
    pub fn peers_in_sync(&self, node: usize) -> impl Iterator<Item = (usize, LinkId)> {
        let run = self.nodes[node].run.as_ref();
        let lags = run.into_iter().flat_map(|run| run.replica().lag(Millis(self.now)));
        lags.filter(|&(.., in_sync)| in_sync).filter_map(move |(id, ..)| {
            let peer = self.nodes.iter().position(|machine| machine.id == id)?;
            let link = self.network.links.get(&pair(node, peer))?;
            // Not a link to an earlier process, whose disk may be in another machine now.
            let is_current = self.network.linked_start(node, peer) == Some(self.nodes[peer].starts);
            let is_sure = is_current
                && link.heard_by(node) + 2_000 > self.now
                && self.nodes[peer].stalled_since.is_none();
            is_sure.then_some((peer, link.id))
        })
    }

    /// Handles a passed barrier: the room is here now, or there is none.
    pub fn searched(&mut self, node: usize, search: &Search) {
        let Some(run) = self.nodes[node].run.as_ref() else { return };
        if !run.core.is_ready() {
            // The answer is 'still catching up'.
            return;
        }
        let Some(exists) = run.has_room(search.room) else { return };
        if let Err(violation) = read_your_writes::searched(self, node, search) {
            self.violated(violation);
        }
        let client = &mut self.clients[search.client];
        if !exists && client.session.is_none() && client.here == search.room {
            if self.healed_at.is_some() {
                client.memory().unacked.clear();
            }
            client.here = self.rooms[0];
        }
    }
}
