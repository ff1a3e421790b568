//! No sequence number is used twice: under one origin and number there is one event, everywhere and for ever, or the
//! stub that took its place.

use std::collections::BTreeMap;

use bytes::Bytes;
use starling_node::store::{OwnEvents, Store};
use starling_protocol::{Event, OriginId, Seq, VersionVector};

use crate::world::World;

/// Checks the new events that a node committed.
pub fn written(written: &mut BTreeMap<(OriginId, Seq), Bytes>, own: &OwnEvents) -> Result<(), String> {
    for (seq, event) in (own.first.0..).map(Seq).zip(&own.events) {
        if written.insert((own.origin, seq), event.clone()).is_some_and(|old| old != event) {
            return Err(format!("{:?}:{seq} was given to two events", own.origin));
        }
    }
    Ok(())
}

/// Checks at the end that all nodes hold the same events, and exactly those that were written.
pub fn check(world: &World) -> Result<(), String> {
    let mut logs = world.nodes.iter().filter_map(|node| node.run.as_ref()).map(|run| {
        let vector: &VersionVector = run.committer.vector();
        log(&run.store, vector)
    });
    let first = logs.next().expect("somebody runs");
    if logs.any(|log| log != first) {
        return Err("the nodes hold different events under the same names".to_owned());
    }
    let differs = |(name, event): &(_, &Bytes)| {
        world.written.get(name).is_some_and(|written| !is_or_was(written, event))
    };
    match first.iter().map(|(&name, event)| (name, event)).find(differs) {
        Some(((origin, seq), _)) => Err(format!("{origin:?}:{seq} is not what was written under it")),
        None => Ok(()),
    }
}

/// Whether `now` is the written event itself, or its stub.
fn is_or_was(written: &Bytes, now: &Bytes) -> bool {
    let stub = || Event::decode(written.clone()).expect("it was written here").erased();
    written == now || stub().encoded() == now
}

/// All events of a log.
pub fn log(store: &Store, vector: &VersionVector) -> BTreeMap<(OriginId, Seq), Bytes> {
    let mut log = BTreeMap::new();
    for (origin, head) in vector.iter() {
        let mut next = Seq(1);
        while next <= head {
            let events = store.read_events(origin, next, head).expect("the store reads");
            assert!(!events.is_empty(), "what the vector says is there");
            for event in events {
                log.insert((origin, next), event);
                next = next.next();
            }
        }
    }
    log
}
