//! Tests read marks and lists of rooms in which very many origins have written.

use starling_protocol::{
    Event, EventBody, EventDraft, MessagePosted, NodeId, OriginId, Pos, Scope, Sender, Seq,
    limits::{EVENT_BYTES_MAX, MARK_FOLDS_MAX, READ_MARK_EVENT_ORIGINS_MAX},
    replica::FoldPlan,
};

use super::read;
use crate::{
    services::{
        render::room_object,
        test_node::{ANN, BOB, Node, ROOM, id, text},
    },
    store::{Committer, Op, OpResult},
};

/// More than twice as many as fit one event.
const ORIGINS: u64 = 6_500;
const FIRST: u128 = 1_000;

/// A room with messages of as many origins as a service has in years, one message each.
fn written_by_many() -> Node {
    let mut node = Node::with_rooms();
    let event = |n: u64| {
        // Random, as incarnations are: small numbers would encode shorter.
        let incarnation =
            blake3::hash(&n.to_be_bytes()).as_bytes()[..8].try_into().map_or(0, u64::from_be_bytes);
        let origin = OriginId { node: NodeId([9; 16]), incarnation };
        let posted = MessagePosted::new(id(FIRST + u128::from(n)), Sender::User(BOB), text("x"));
        let hlc = starling_protocol::Hlc::from_unix_ms(2_000 + n);
        Event::new(origin, Seq(1), hlc, EventDraft::new(Scope::room(ROOM), posted))
    };
    node.commit(Op::Received((0..ORIGINS).map(event).collect()));
    node
}

fn read(node: &mut Node, n: u128) -> OpResult {
    let mark = read::mark(&node.store, ANN, ROOM, id(n), None).unwrap();
    node.decide(move |tables| read::decide(tables, ANN, &mark)).unwrap()
}

fn unread(node: &Node) -> u64 {
    room_object(&mut node.store.room_reader().unwrap(), ROOM, ANN).unwrap().unwrap().unread
}

/// Promise 13, section 6: marks are written, read and merged, and the node starts again.
#[test]
fn a_room_of_thousands_of_origins_is_read_listed_and_started_with() {
    let mut node = written_by_many();
    assert!(unread(&node) >= 1_000);
    let last = FIRST + u128::from(ORIGINS) - 1;
    assert!(matches!(read(&mut node, last), OpResult::Done(_)));
    let own = node.commits.last().unwrap().own.as_ref().unwrap();
    let parts = usize::try_from(ORIGINS).unwrap().div_ceil(READ_MARK_EVENT_ORIGINS_MAX);
    assert_eq!(own.events.len(), parts, "none is left out");
    assert!(own.events.iter().all(|event| event.len() <= EVENT_BYTES_MAX));
    assert_eq!(unread(&node), 0);
    // The next mark holds only what is new.
    node.say(BOB, 1, "y");
    assert_eq!(unread(&node), 1);
    assert!(matches!(read(&mut node, 1), OpResult::Done(_)));
    let own = node.commits.last().unwrap().own.as_ref().unwrap();
    assert!(own.events.len() == 1 && own.events[0].len() < 200, "{} bytes", own.events[0].len());
    assert_eq!(unread(&node), 0);
    assert_eq!(read(&mut node, 1), OpResult::Nothing);
    Committer::new(std::sync::Arc::clone(&node.store), NodeId([1; 16]), 9_000).unwrap();
    let mut other = Node::new(2);
    other.take_from(&node);
    assert_eq!(unread(&other), 0);
    node.verify();
    other.verify();
}

/// Folds all that the node's vector says.
fn fold(node: &mut Node) {
    let plan = FoldPlan { live: [].into(), unfolded_max: 0 };
    assert!(matches!(node.decide(move |tables| tables.decide_fold(&plan)), Ok(OpResult::Done(_))));
}

/// The last event that the node wrote itself, if it is a mark over folds, and its size.
fn last_mark(node: &Node) -> (usize, usize) {
    let own = node.commits.last().unwrap().own.as_ref().unwrap();
    let event = Event::decode(own.events.last().unwrap().clone()).unwrap();
    match &event.body {
        EventBody::FoldedReadMarked(mark) => (mark.seen[0].difference.len(), event.encoded().len()),
        other => panic!("{other:?} is no mark over a fold"),
    }
}

/// Promise 13: over folds a mark is small, however many origins have written. More folds than a mark keeps leave nothing
/// unread that was read, and a message that comes late is unread wherever it sorts.
#[test]
fn a_mark_over_folds_is_small_and_covers_what_earlier_marks_did() {
    let mut node = written_by_many();
    // A fold takes 4,000 origins.
    fold(&mut node);
    fold(&mut node);
    assert!(matches!(read(&mut node, FIRST + u128::from(ORIGINS) - 1), OpResult::Done(_)));
    let (entries, bytes) = last_mark(&node);
    assert!(entries <= 3 && bytes < 300, "{entries} entries, {bytes} bytes");
    assert_eq!(unread(&node), 0);
    let late = |n: u64, hlc: u64| {
        let origin = OriginId { node: NodeId([8; 16]), incarnation: n };
        let posted = MessagePosted::new(id(u128::from(n)), Sender::User(BOB), text("late"));
        let hlc = starling_protocol::Hlc::from_unix_ms(hlc);
        Event::new(origin, Seq(1), hlc, EventDraft::new(Scope::room(ROOM), posted))
    };
    for n in 0..2 * MARK_FOLDS_MAX as u64 {
        node.commit(Op::Received(vec![late(n + 1, 3_000)]));
        assert_eq!(unread(&node), 1, "it sorts before the mark");
        let seen = node.store.vector().unwrap();
        fold(&mut node);
        let mark = read::mark(&node.store, ANN, ROOM, id(FIRST), Some(&seen)).unwrap();
        assert!(matches!(node.decide(move |tables| read::decide(tables, ANN, &mark)), Ok(OpResult::Done(_))));
        assert_eq!(unread(&node), 0, "after {n} folds");
        assert!(last_mark(&node).1 < 300);
        assert_eq!(read(&mut node, FIRST), OpResult::Nothing, "it is known");
    }
    let mark = node.store.room_reader().unwrap().read_mark(ANN, ROOM).unwrap().unwrap();
    assert!(mark.covers(Pos { hlc: starling_protocol::Hlc::from_unix_ms(2_000), ..node.pos(FIRST) }));
    let mut other = Node::new(2);
    other.take_from(&node);
    assert_eq!(unread(&other), 0);
    node.verify();
    other.verify();
}

/// While a linked peer does not know folds, marks are those that it knows; all count.
#[test]
fn marks_of_both_kinds_count() {
    let mut node = written_by_many();
    fold(&mut node);
    fold(&mut node);
    node.say(BOB, 1, "y");
    let mut mark = read::mark(&node.store, ANN, ROOM, id(1), None).unwrap();
    mark.over_folds = false;
    assert!(matches!(node.decide(move |tables| read::decide(tables, ANN, &mark)), Ok(OpResult::Done(_))));
    let own = node.commits.last().unwrap().own.as_ref().unwrap();
    let kinds = own.events.iter().map(|event| Event::decode(event.clone()).unwrap().body);
    assert!(kinds.into_iter().all(|body| matches!(body, EventBody::ReadMarked(_))));
    assert_eq!(unread(&node), 0);
    node.say(BOB, 2, "z");
    assert_eq!(unread(&node), 1);
    assert!(matches!(read(&mut node, 2), OpResult::Done(_)));
    assert!(last_mark(&node).0 > 0 && unread(&node) == 0);
    node.verify();
}
