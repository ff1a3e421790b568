//! The merge rules do not depend on order: a log applied in any order that keeps the order within each origin gives the
//! same views. Only some histories try this, since it takes as long as all other checks.

use std::{collections::BTreeMap, sync::Arc};

use rand::RngExt;
use starling_node::store::{Committer, Op, Store};
use starling_protocol::{Event, NodeId};

use super::sequence;
use crate::world::World;

/// One history in this many tries it.
const SAMPLED: u32 = 8;

pub fn check(world: &mut World) -> Result<(), String> {
    if !world.rng.random_ratio(1, SAMPLED) {
        return Ok(());
    }
    let run = world.nodes.iter().find_map(|node| node.run.as_ref()).expect("somebody runs");
    let mut logs: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for ((origin, _), event) in sequence::log(&run.store, run.committer.vector()) {
        logs.entry(origin).or_default().push(Event::decode(event).expect("the log decodes"));
    }
    let expected = run.store.digest().map_err(|error| error.to_string())?;

    let mut logs: Vec<_> = logs.into_values().map(|log| log.into_iter().peekable()).collect();
    let mut shuffled = Vec::new();
    while !logs.is_empty() {
        let origin = world.rng.random_range(0..logs.len());
        shuffled.extend(logs[origin].next());
        logs.retain_mut(|log| log.peek().is_some());
    }
    let store = Arc::new(Store::in_memory().map_err(|error| error.to_string())?);
    let mut committer = Committer::new(Arc::clone(&store), NodeId([0; 16]), 0).expect("the store opens");
    for events in shuffled.chunks(world.rng.random_range(1..60)) {
        committer.commit(0, 0, &[Op::Received(events.to_vec())]).map_err(|error| error.to_string())?;
    }
    let found = store.digest().map_err(|error| error.to_string())?;
    if found == expected {
        Ok(())
    } else {
        Err("in another order the same events give other views".to_owned())
    }
}
