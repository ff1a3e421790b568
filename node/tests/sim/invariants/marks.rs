//! Promise 13: equal events give equal read marks, in whatever order they came and whichever folds are missing; and every
//! node shows exactly what its marks say.

use std::collections::BTreeMap;

use rand::seq::SliceRandom;
use starling_node::store::Store;
use starling_protocol::{
    Event, EventBody, NodeId, RoomId, UserId, VersionVector,
    event::{FoldedReadMarked, ReadMarked},
    limits::READ_MARK_ORIGINS_MAX,
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
    for vector in folded.iter().flat_map(|mark| &mark.seen) {
        // A fold whose base was lost with a disk is known to nobody.
        if let Some(fold) = store.fold(vector.fold).unwrap() {
            seen.merge(&vector.over(fold));
        }
    }
    seen
}
