//! Tests read marks and lists of rooms in which very many origins have written.

use starling_protocol::{
    Event, EventDraft, MessagePosted, NodeId, OriginId, Scope, Sender, Seq,
    limits::{EVENT_BYTES_MAX, READ_MARK_EVENT_ORIGINS_MAX},
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
