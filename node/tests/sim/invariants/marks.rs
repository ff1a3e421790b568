//! Promise 13: equal events give equal read marks, in whatever order they came and whichever folds are missing; every node
//! shows exactly what its marks say; and what a mark once covered stays covered.

use std::collections::BTreeMap;

use rand::seq::SliceRandom;
use starling_node::store::Store;
use starling_protocol::{
    Event, EventBody, NodeId, RoomId, UserId, VersionVector,
    event::{FoldedReadMarked, ReadMarked},
    folded_vector::FoldedVector,
    limits::{MARK_FOLDS_MAX, READ_MARK_ORIGINS_MAX},
    merge::read_mark::{self, FoldedReadMark},
};

use super::sequence;
use crate::{mutants::Mutant, world::World};

/// The marks of a user in a room.
#[derive(Default)]
struct Marks {
    plain: Vec<ReadMarked>,
    folded: Vec<FoldedReadMarked>,
}

pub fn check(world: &mut World) -> Result<(), String> {
    let run = world.nodes.iter().find_map(|node| node.run.as_ref()).expect("somebody runs");
    let mut all: BTreeMap<(UserId, RoomId), Marks> = BTreeMap::new();
    for event in sequence::log(&run.store, run.committer.vector()).into_values() {
        let event = Event::decode(event).expect("the log decodes");
        let Some(user) = event.scope.as_user() else { continue };
        match event.body {
            EventBody::ReadMarked(mark) => all.entry((user, mark.room)).or_default().plain.push(mark),
            EventBody::FoldedReadMarked(mark) => all.entry((user, mark.room)).or_default().folded.push(mark),
            _ => {}
        }
    }
    for ((user, room), mut marks) in all {
        let merged = merge(&marks.folded);
        marks.folded.shuffle(&mut world.rng);
        if merge(&marks.folded) != merged {
            return Err(format!("in another order {user} has read something else of {room}"));
        }
        let mut first = None;
        for machine in &world.nodes {
            let Some(run) = &machine.run else { continue };
            let kept = kept(world, machine.id, merged.clone());
            let first = first.get_or_insert_with(|| kept.clone());
            if *first != kept {
                return Err(format!("the nodes keep different marks: {first:?} and {kept:?}"));
            }
            for event in &marks.folded {
                still_covered(&run.store, event, merged.as_ref())?;
            }
            let shown = run.store.room_reader().unwrap().read_mark(user, room).unwrap();
            let expected = seen(&run.store, &marks, kept.as_ref());
            if shown.as_ref().is_none_or(|shown| shown.seen != expected) {
                return Err(format!("{user} has read {expected:?} of {room}, and not {shown:?}"));
            }
        }
    }
    Ok(())
}

fn merge(marks: &[FoldedReadMarked]) -> Option<FoldedReadMark> {
    marks.iter().fold(None, |state, mark| Some(read_mark::apply_folded(state, mark)))
}

/// Checks that a merged mark covers what one of its events covered. Of more concurrent splits than a mark has place for, some
/// are dropped.
fn still_covered(
    store: &Store,
    event: &FoldedReadMarked,
    merged: Option<&FoldedReadMark>,
) -> Result<(), String> {
    let merged = merged.expect("it was merged from events");
    if merged.seen.len() == MARK_FOLDS_MAX {
        return Ok(());
    }
    let (before, after) = (expanded(store, &event.seen), expanded(store, &merged.seen));
    if after.covers(&before) {
        Ok(())
    } else {
        Err(format!("a mark of {:?} covered {before:?}, and now {after:?}", event.room))
    }
}

/// The events that vectors cover on a node.
fn expanded(store: &Store, vectors: &[FoldedVector]) -> VersionVector {
    let mut seen = VersionVector::default();
    for vector in vectors {
        // A fold whose base was lost with a disk is known to nobody.
        if let Some(fold) = store.fold(vector.fold).unwrap() {
            seen.merge(&vector.over(fold));
        }
    }
    seen
}

/// The mark that a node keeps.
fn kept(world: &World, node: NodeId, mut mark: Option<FoldedReadMark>) -> Option<FoldedReadMark> {
    if let (Some(mark), Some(Mutant::FoldsRankedByPos)) = (&mut mark, world.mutant) {
        mark.seen.sort_by_key(|seen| std::cmp::Reverse(world.folds.came(node, seen.fold)));
    }
    mark
}

/// The events that marks cover on a node.
fn seen(store: &Store, marks: &Marks, folded: Option<&FoldedReadMark>) -> VersionVector {
    let plain = marks.plain.iter().fold(None, |state, mark| Some(read_mark::apply(state, mark)));
    let mut seen = plain.map(|mark| mark.seen).unwrap_or_default();
    seen.keep_greatest(READ_MARK_ORIGINS_MAX);
    if let Some(folded) = folded {
        seen.merge(&expanded(store, &folded.seen));
    }
    seen
}
