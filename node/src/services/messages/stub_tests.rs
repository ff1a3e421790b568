//! Tests that a deletion leaves a stub without anything that its author wrote, in the log and in the views of mentioned
//! users, on every node and in any order of arrival.

use starling_protocol::{
    Event, EventBody, EventDraft, RoomName, Scope, Seq, Topic, VersionVector,
    event::{MemberRoomChanged, MemberRoomDeleted},
};
use starling_web::service::NewMessage;

use crate::{
    services::{
        render::room_object,
        test_node::{ANN, BOB, EVE, Node, ROOM, id, new},
    },
    store::Op,
};

/// The stored mentions of Bob in the room, and the unread ones.
fn named(node: &Node) -> (usize, u64) {
    let kept = node.store.records().unwrap().mentions(BOB, ROOM).unwrap().count();
    let room = room_object(&mut node.store.room_reader().unwrap(), ROOM, BOB).unwrap();
    (kept, room.map_or(0, |room| room.mentions))
}

/// Posts of others that a resume of Bob would find.
fn concerning(node: &Node) -> usize {
    let all = node.store.vector().unwrap();
    let scope = Scope::user(BOB);
    let positions =
        node.store.scope_events_after(&scope, &VersionVector::default(), &all, 1_000).unwrap().unwrap();
    let reader = node.store.messages().unwrap();
    let posts = positions
        .iter()
        .filter(|pos| matches!(reader.event(**pos).unwrap().unwrap().body, EventBody::MessagePosted(_)));
    posts.count()
}

fn same(one: &Node, two: &Node) {
    one.verify();
    two.verify();
    assert_eq!(one.store.snapshot().unwrap().scopes, two.store.snapshot().unwrap().scopes);
}

/// A new node that takes all events of another in one commit.
fn in_one_commit(one: &Node) -> Node {
    let mut two = Node::new(2);
    let vector = one.store.vector().unwrap();
    let mut events = Vec::new();
    for (origin, head) in vector.iter() {
        events.extend(one.store.read_events(origin, Seq(1), head).unwrap());
    }
    two.commit(Op::Received(events.into_iter().map(|event| Event::decode(event).unwrap()).collect()));
    two
}

#[test]
fn a_deleted_message_has_no_mentions_and_no_reply() {
    let (mut one, mut two) = Node::with_rooms_twice();
    one.say(BOB, 1, "question");
    let answer = NewMessage { reply_to: Some(id(1)), ..new(2, "@bob and @eve") };
    assert_eq!(one.post(ANN, ROOM, &answer), Ok(false));
    two.take_from(&one);
    assert_eq!((named(&two), concerning(&two)), ((1, 1), 1));
    let pos = one.pos(2);
    one.delete(ANN, 2).unwrap();
    two.take_from(&one);
    let late = in_one_commit(&one);
    for node in [&one, &two, &late] {
        assert_eq!((named(node), concerning(node)), ((0, 0), 0));
        assert_eq!(node.shown(2).reply_to, None);
        let Some(EventBody::MessagePosted(stub)) =
            node.store.messages().unwrap().event(pos).unwrap().map(|event| event.body)
        else {
            unreachable!("it was posted there")
        };
        assert!(stub.text.is_none() && stub.reply_to.is_none() && stub.mentions.is_empty(), "{stub:?}");
    }
    same(&one, &two);
    same(&one, &late);
}

#[test]
fn a_deleted_room_keeps_neither_its_name_nor_mentions() {
    let (mut one, mut two) = Node::with_rooms_twice();
    let name = Some(RoomName::parse("the secret den").unwrap());
    let topic = Some(Topic::parse("what nobody may know").unwrap());
    one.write(EventDraft::new(Scope::room(ROOM), MemberRoomChanged { name, topic, visibility: None }));
    for n in 1..=5 {
        assert_eq!(one.post(EVE, ROOM, &new(n, "@bob, look")), Ok(false));
    }
    two.take_from(&one);
    assert_eq!((named(&one), concerning(&one)), ((5, 5), 5));
    one.write(EventDraft::new(Scope::room(ROOM), MemberRoomDeleted { by: ANN }));
    // Before the erasure, nodes with the events show the same as nodes that get them later.
    two.take_from(&one);
    same(&one, &two);
    one.erase();
    let late = in_one_commit(&one);
    for node in [&one, &two, &late] {
        assert_eq!((named(node).0, concerning(node)), (0, 0));
    }
    same(&one, &two);
    same(&one, &late);
    two.erase();
    for node in [&one, &two, &late] {
        for gone in ["the secret den", "what nobody may know", "look"] {
            assert!(!node.holds(gone), "{gone}");
        }
    }
    same(&one, &two);
}
