//! Promise 13: a vector over a fold says what the vector says. The stored vector is that of the log, after each crash; a
//! cursor says to each node what it said to the one that gave it; only folds that peers know are used towards them.

use std::collections::{BTreeMap, BTreeSet};

use rand::{RngExt, rngs::StdRng};
use starling_node::store::{Commit, Decide, Op, Store, Tables};
use starling_protocol::{
    CursorKey, CursorOwner, Event, EventBody, Fold, FoldRank, NodeId, UserId, VersionVector,
    frame::{peer::ReplicaFrame, wire::WireVersion},
    replica::{FoldPlan, Millis, UNFOLDED_ORIGINS_MAX},
};

use super::sequence;
use crate::{mutants::Mutant, world::World};

/// The folds of a history.
#[derive(Debug)]
pub struct Folds {
    /// Origins of ended processes that are not folded, at most. Few for most histories, so that there are many folds.
    pub unfolded_max: usize,
    /// The folds that nodes made, with the machines.
    made: Vec<(usize, FoldRank)>,
    /// For a planted bug: the folds that reached each node, in that order.
    arrivals: Vec<(NodeId, FoldRank)>,
}

impl Default for Folds {
    fn default() -> Self {
        Self { unfolded_max: UNFOLDED_ORIGINS_MAX, made: Vec::new(), arrivals: Vec::new() }
    }
}

impl Folds {
    pub fn draw(rng: &mut StdRng) -> Self {
        let unfolded_max = if rng.random_ratio(1, 8) { UNFOLDED_ORIGINS_MAX } else { 2 };
        Self { unfolded_max, ..Self::default() }
    }

    /// For a planted bug: when a fold reached a node.
    pub fn came(&self, node: NodeId, fold: FoldRank) -> Option<usize> {
        self.arrivals.iter().position(|come| *come == (node, fold))
    }
}

/// Checks a commit: the stored vector is that of the log, whose last keys are those of the commit; and a fold of this node
/// holds more origins than may be unfolded.
pub fn committed(world: &mut World, node: usize, commit: &Commit) -> Result<(), String> {
    let machine = &world.nodes[node];
    let Some(run) = machine.run.as_ref().filter(|_| !machine.has_rotten_disk() && !machine.disk.is_failing())
    else {
        return Ok(());
    };
    let stored = run.store.vector().map_err(|error| error.to_string())?;
    if stored != *commit.vector {
        return Err(format!("node {node} stores {stored:?} as its vector, which is {:?}", commit.vector));
    }
    let own = commit.own.iter().map(|own| (own.origin, commit.vector.get(own.origin)));
    let mut came = Vec::new();
    for (origin, head) in commit.received.iter().copied().chain(own) {
        let last = run.store.read_events(origin, head, head.next()).map_err(|error| error.to_string())?;
        if last.len() != 1 || stored.get(origin) != head {
            return Err(format!("{origin:?} does not end at {head} in the log of node {node}"));
        }
        came.extend(last);
    }
    came.extend(commit.own.iter().flat_map(|own| own.events.clone()));
    let (id, own_origin) = (machine.id, commit.own.as_ref().map(|own| own.origin));
    for event in came {
        let event = Event::decode(event).map_err(|error| error.to_string())?;
        let EventBody::VectorFolded(folded) = &event.body else { continue };
        if Some(event.origin) == own_origin && !world.folds.made.contains(&(node, folded.rank())) {
            if folded.entries().count() <= world.folds.unfolded_max {
                return Err(format!("node {node} makes a fold of {} origins", folded.entries().count()));
            }
            world.folds.made.push((node, folded.rank()));
        }
        if world.mutant == Some(Mutant::FoldsRankedByPos) && world.folds.came(id, folded.rank()).is_none() {
            world.folds.arrivals.push((id, folded.rank()));
        }
    }
    Ok(())
}

/// Checks at the end that folds were few, and that no other is due while nothing is opened.
pub fn check(world: &mut World) -> Result<(), String> {
    let made = world.folds.made.clone();
    let makers: BTreeSet<_> = made.iter().map(|&(node, _)| node).collect();
    // Each maker was a side of a split, at worst.
    let most = makers.len() * (1 + world.origins / (world.folds.unfolded_max + 1));
    if made.len() > most {
        return Err(format!(
            "{} folds were made for {} origins on {} sides",
            made.len(),
            world.origins,
            makers.len()
        ));
    }
    count(world, &made);
    let live = world.nodes.iter().filter_map(|node| node.run.as_ref()?.own).collect();
    let plan = FoldPlan { live, unfolded_max: world.folds.unfolded_max };
    let decide = move |tables: &Tables<'_>| tables.decide_fold(&plan);
    let wall_ms = World::EPOCH_MS + world.now;
    let run = world.nodes.iter_mut().find_map(|node| node.run.as_mut()).expect("somebody runs");
    let mut written = [false; 2];
    for written in &mut written {
        let ops = [Op::Decide(Decide::new(decide.clone()))];
        let commit = run.committer.commit(wall_ms, 1, &ops).map_err(|error| error.to_string())?;
        *written = commit.own.is_some();
    }
    // The first may have been due, since a process makes one a minute at most.
    if written[1] {
        Err("a fold is made although nothing was opened since the last".to_owned())
    } else {
        Ok(())
    }
}

/// Counts the folds that others of their generation stand beside, and those that are in no log any more.
fn count(world: &mut World, made: &[(usize, FoldRank)]) {
    let run = world.nodes.iter().find_map(|node| node.run.as_ref()).expect("somebody runs");
    let mut generations: BTreeMap<u64, BTreeSet<FoldRank>> = BTreeMap::new();
    let mut lost = 0;
    for (_, event) in sequence::log(&run.store, run.committer.vector()) {
        if let Ok(EventBody::VectorFolded(folded)) = Event::decode(event).map(|event| event.body) {
            generations.entry(folded.generation).or_default().insert(folded.rank());
        }
    }
    for (_, rank) in made {
        lost += u64::from(!generations.get(&rank.generation).is_some_and(|ranks| ranks.contains(rank)));
    }
    let rivals = generations.values().map(BTreeSet::len).filter(|&count| count > 1).sum::<usize>();
    world.coverage.rival_folds += rivals as u64;
    world.coverage.lost_folds += lost;
}

/// Checks a store after its start: `verify` compares the stored vector with the keys of the log, and the log's folds with
/// those that are stored.
pub fn stored(store: &Store) -> Result<(), String> {
    store.verify().map(|_| ()).map_err(|error| format!("a store is not sound after its start: {error}"))
}

/// Checks that every peer in sync can use the fold of a cursor.
pub fn known_to_peers(world: &World, node: usize, fold: &Fold) -> Result<(), String> {
    let Some(run) = &world.nodes[node].run else { return Ok(()) };
    let (origin, seq) = fold.event();
    let in_sync: Vec<_> = run
        .replica()
        .lag(Millis(world.now))
        .filter(|(.., in_sync)| *in_sync)
        .map(|(peer, ..)| peer)
        .collect();
    for machine in world.nodes.iter().filter(|machine| in_sync.contains(&machine.id)) {
        let had = machine.durable.contains(origin, seq) || machine.formerly.contains(origin, seq);
        if !had {
            return Err(format!("a cursor of node {node} is written over a fold that a peer in sync lacks"));
        }
    }
    Ok(())
}

/// Checks that a peer of wire version 1 gets only frames that it knows: it takes others for broken ones.
pub fn spoken(version: WireVersion, frame: &ReplicaFrame) -> Result<(), String> {
    match frame {
        ReplicaFrame::Views(_)
        | ReplicaFrame::Folds(_)
        | ReplicaFrame::VectorPart(_)
        | ReplicaFrame::LiveOrigins(_)
            if version < WireVersion::V2 =>
        {
            Err(format!("a frame that a link of version 1 does not know: {frame:?}"))
        }
        _ => Ok(()),
    }
}

/// The key of all cursors, and their owner.
pub fn cursor_key() -> (CursorKey, CursorOwner) {
    (CursorKey::new(&[7; 32]), CursorOwner::User(UserId([7; 16])))
}

/// Checks what a node reads in a cursor.
pub fn read_alike(given: &VersionVector, read: &VersionVector) -> Result<(), String> {
    if given == read { Ok(()) } else { Err(format!("a cursor of {given:?} is read as {read:?}")) }
}
