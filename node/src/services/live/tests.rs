//! Tests that a client that resumes, on any node and at any time, shows what it would load afresh.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;
use starling_protocol::{
    EventDraft, RoomName, Scope, VersionVector,
    event::{MemberRoomChanged, MemberRoomCreated, MemberRoomDeleted, Membership, MembershipChanged, Role},
    limits::REPLAY_EVENTS_MAX,
};
use starling_web::service::{ContactAction, MessageQuery};

use super::*;
use crate::services::{
    contacts::decide,
    messages::pages,
    test_node::{ANN, BOB, EVE, Node, OTHER_ROOM, ROOM, STRANGER, id, new, refusal_of},
};

const ROOMS: [RoomId; 2] = [ROOM, OTHER_ROOM];

/// Ann's client: what it shows, and its cursor.
#[derive(Default)]
struct Client {
    rooms: BTreeMap<String, BTreeMap<String, Value>>,
    names: BTreeMap<String, Value>,
    contacts: BTreeMap<String, Value>,
    cursor: VersionVector,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// A message, as the client shows it.
fn shown(message: &Value) -> Value {
    if message["deleted"] == true { Value::Null } else { message.clone() }
}

/// The messages that a client loads of a room; `None` if Ann is not in it.
fn load(node: &Node, room: RoomId) -> Option<BTreeMap<String, Value>> {
    let page = refusal_of(pages::page(&node.store, ANN, room, MessageQuery::Newest, 200)).ok()?;
    let messages = page.items.iter().map(|message| serde_json::to_value(message).unwrap());
    Some(messages.map(|message| (text(&message["id"]), shown(&message))).collect())
}

fn changes(node: &Node, from: &VersionVector) -> Vec<LiveChange> {
    let to = node.store.vector().unwrap();
    backlog::collect_changes(&node.store, ANN, from, &to).unwrap().unwrap()
}

fn frames(node: &Node, changes: &[LiveChange]) -> Vec<Value> {
    let frames = render_changes::frames(&node.store, ANN, changes).unwrap();
    frames.iter().map(|frame| serde_json::from_str(frame).unwrap()).collect()
}

impl Client {
    fn resume(&mut self, node: &Node) {
        let changes = changes(node, &self.cursor);
        assert_eq!(changes.iter().collect::<HashSet<_>>().len(), changes.len(), "each once");
        for frame in frames(node, &changes) {
            self.take(node, &frame);
        }
        self.cursor = node.store.vector().unwrap();
    }

    fn take(&mut self, node: &Node, frame: &Value) {
        match frame["type"].as_str().unwrap() {
            "message" | "message_updated" => {
                let message = &frame["message"];
                let room = self.rooms.get_mut(&text(&message["room_id"])).expect("she is in the room");
                room.insert(text(&message["id"]), shown(message));
            }
            "message_deleted" => {
                let room = self.rooms.get_mut(&text(&frame["room_id"])).expect("she is in the room");
                room.insert(text(&frame["id"]), Value::Null);
            }
            "room" => {
                let room = text(&frame["room"]["id"]);
                match frame["change"].as_str().unwrap() {
                    "removed" => drop(self.rooms.remove(&room)),
                    change => {
                        self.names.insert(room.clone(), frame["room"]["name"].clone());
                        if change == "joined" {
                            let id = RoomId::parse(&room).unwrap().unwrap();
                            self.rooms.insert(room, load(node, id).expect("she is in the room"));
                        }
                    }
                }
            }
            "contact" => {
                let contact = &frame["contact"];
                let state = contact["state"].clone();
                let before = self.contacts.insert(text(&contact["user"]["id"]), state.clone());
                if before.is_some_and(|before| before == "blocked") || state == "blocked" {
                    // A block has changed which messages are hidden: load them again.
                    for (room, messages) in &mut self.rooms {
                        let id = RoomId::parse(room).unwrap().unwrap();
                        *messages = load(node, id).unwrap_or_default();
                    }
                }
            }
            "read" => {}
            other => panic!("{other}"),
        }
    }

    /// The client shows what it would load.
    fn check(&self, node: &Node) {
        let records = node.store.records().unwrap();
        for room in ROOMS {
            let shown = self.rooms.get(&room.to_string());
            assert_eq!(shown, load(node, room).as_ref(), "room {room}");
            if shown.is_some() {
                let name = records.member_room(room).unwrap().unwrap().name().unwrap().to_string();
                assert_eq!(self.names[&room.to_string()], Value::from(name));
            }
        }
        for other in [BOB, EVE] {
            let state = render::contact(&records, ANN, other).unwrap().state;
            let state = serde_json::to_value(state).unwrap();
            let known = self.contacts.get(&other.to_string()).cloned();
            assert_eq!(known.unwrap_or_else(|| "none".into()), state, "how {other} stands");
        }
    }
}

/// An action of a user on one of two nodes, if it is allowed.
fn act(nodes: &mut [Node; 2], on: usize, what: u8, which: u8) {
    let node = &mut nodes[on];
    let n = u128::from(which % 12) + 1;
    let room = ROOMS[usize::from(which % 2)];
    let by = [ANN, BOB, EVE][usize::from(which % 3)];
    match what {
        // The same message may be posted on both nodes, and again after its deletion.
        0..=4 => drop(node.post(by, room, &new(n, "a"))),
        5 => drop(node.edit(by, n, &format!("edited {which}"))),
        6 => drop(node.delete(by, n)),
        7 => drop(node.react(by, n, "👍", which % 5 < 3)),
        8 => {
            let standing = node.store.records().unwrap().membership_of(room, ANN).unwrap();
            let since = standing.filter(|member| member.role().is_some()).map(|member| member.since);
            let membership = match which % 4 {
                0 => Membership::None,
                1 => Membership::Banned,
                2 => Membership::Member(Role::Member),
                _ => Membership::Member(Role::Moderator),
            };
            let since = since.filter(|_| matches!(membership, Membership::Member(_)));
            let set = MembershipChanged { user: ANN, membership, since, invite: None, by: EVE };
            node.write(EventDraft::new(Scope::room(room), set));
        }
        9 => {
            let name = RoomName::parse(&format!("room {which}")).unwrap();
            let changed = MemberRoomChanged { name: Some(name), topic: None, visibility: None };
            node.write(EventDraft::new(Scope::room(room), changed));
        }
        10 => {
            use ContactAction::{Accept, Block, Decline, Remove, Request, Unblock};
            let act = [Request, Accept, Decline, Block, Unblock, Remove][usize::from(which % 6)];
            let other = [BOB, EVE][usize::from(which / 6 % 2)];
            let (one, other) = if which % 5 < 3 { (ANN, other) } else { (other, ANN) };
            drop(node.decide(move |tables| decide::act(&tables.records, one, act, other)));
        }
        11 if which.is_multiple_of(8) => {
            node.write(EventDraft::new(Scope::room(OTHER_ROOM), MemberRoomDeleted { by: EVE }));
        }
        _ => {
            let [one, two] = nodes;
            let (to, from) = if on == 0 { (one, &*two) } else { (two, &*one) };
            to.take_from(from);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Promise 3: a client that resumes misses no message.
    #[test]
    fn a_client_that_resumes_anywhere_shows_what_it_would_load(
        acts in proptest::collection::vec((0..2_usize, 0..14_u8, any::<u8>(), any::<bool>()), 0..60),
    ) {
        let (one, mut two) = Node::with_rooms_twice();
        two.now_ms = one.now_ms;
        let mut nodes = [one, two];
        let mut client = Client::default();
        client.resume(&nodes[0]);
        for (on, what, which, resumes) in acts {
            act(&mut nodes, on, what, which);
            if resumes {
                let [one, two] = &mut nodes;
                let (here, there) = if which % 2 == 0 { (one, two) } else { (two, one) };
                // A node that is behind the cursor catches up first.
                if !here.store.vector().unwrap().covers(&client.cursor) {
                    here.take_from(there);
                }
                client.resume(here);
                client.check(here);
            }
        }
        let [one, two] = &mut nodes;
        one.take_from(two);
        two.take_from(one);
        client.resume(one);
        client.check(one);
        client.resume(two);
        client.check(two);
    }
}

#[test]
fn an_object_changed_often_is_sent_once_and_a_new_one_as_new() {
    let mut node = Node::with_rooms();
    node.say(BOB, 1, "old");
    let from = node.store.vector().unwrap();
    node.say(BOB, 2, "new");
    node.edit(BOB, 2, "newer").unwrap();
    node.react(EVE, 1, "👍", true).unwrap();
    node.say(BOB, 3, "gone");
    node.delete(BOB, 3).unwrap();
    let frames = frames(&node, &changes(&node, &from));
    let rendered: Vec<_> = frames.iter().map(|frame| frame["type"].as_str().unwrap()).collect();
    assert_eq!(rendered, ["message", "message_updated", "message_deleted"]);
    assert_eq!(frames[0]["message"]["body"], "newer");
    assert_eq!(frames[2]["id"], id(3).to_string());
}

#[test]
fn a_deleted_room_is_sent_as_removed() {
    let mut node = Node::with_rooms();
    node.say(BOB, 1, "a");
    let from = node.store.vector().unwrap();
    node.write(EventDraft::new(Scope::room(ROOM), MemberRoomDeleted { by: ANN }));
    let frames = frames(&node, &changes(&node, &from));
    let last = frames.last().unwrap();
    assert_eq!((&last["change"], &last["room"]["id"]), (&"removed".into(), &ROOM.to_string().into()));
}

#[test]
fn too_many_events_are_not_replayed() {
    let mut node = Node::with_rooms();
    let from = node.store.vector().unwrap();
    for n in 0..=u128::try_from(REPLAY_EVENTS_MAX).unwrap() {
        node.say(BOB, n, "x");
    }
    let to = node.store.vector().unwrap();
    assert_eq!(backlog::collect_changes(&node.store, ANN, &from, &to).unwrap(), None);
    assert!(
        backlog::collect_changes(&node.store, STRANGER, &from, &to).unwrap().is_some(),
        "the stranger is not in the room"
    );
}

#[test]
fn a_block_by_a_stranger_stays_unknown() {
    let mut node = Node::with_rooms();
    let from = node.store.vector().unwrap();
    let block = |of| {
        move |tables: &crate::store::Tables<'_>| decide::act(&tables.records, of, ContactAction::Block, ANN)
    };
    node.decide(block(STRANGER)).unwrap();
    node.decide(block(BOB)).unwrap();
    assert!(changes(&node, &from).is_empty(), "she learns of neither");
    let records = node.store.records().unwrap();
    let context = user_context(&records, ANN).unwrap();
    assert_eq!(context.blocked_by, HashSet::from([STRANGER, BOB]));
    assert_eq!(
        known_users(&records, ANN, vec![STRANGER, BOB]).unwrap(),
        [BOB],
        "a room member is seen to go offline"
    );
    let visible = visible_users(&records, ANN).unwrap();
    assert_eq!(visible, HashSet::from([EVE]));
}

/// Promise: only former members of a private room learn of it on a resume, and only its id.
#[test]
fn a_private_room_is_hidden_from_outsiders() {
    let mut node = Node::with_rooms();
    let from = node.store.vector().unwrap();
    let stands = |user, membership| {
        let set = MembershipChanged { user, membership, since: None, invite: None, by: ANN };
        EventDraft::new(Scope::room(ROOM), set)
    };
    for draft in [
        stands(STRANGER, Membership::Banned),
        stands(STRANGER, Membership::None),
        stands(BOB, Membership::None),
    ] {
        node.write(draft);
    }
    let name = Some(RoomName::parse("a secret").unwrap());
    node.write(EventDraft::new(Scope::room(ROOM), MemberRoomChanged { name, topic: None, visibility: None }));
    let to = node.store.vector().unwrap();
    let rendered = |user| {
        let changes = backlog::collect_changes(&node.store, user, &from, &to).unwrap().unwrap();
        render_changes::frames(&node.store, user, &changes).unwrap()
    };
    assert_eq!(rendered(STRANGER), Vec::<String>::new(), "they were never in the room");
    let [removed] = &rendered(BOB)[..] else { panic!("{:?}", rendered(BOB)) };
    let removed: Value = serde_json::from_str(removed).unwrap();
    let room = &removed["room"];
    assert_eq!((&removed["change"], &room["id"]), (&"removed".into(), &ROOM.to_string().into()));
    assert_eq!((&room["name"], &room["member_count"]), (&"".into(), &0.into()), "{room}");
}

/// Promise: nobody learns of a stranger's block or its end; a user whom the stranger has asked learns that the request is gone.
#[test]
fn the_end_of_a_strangers_block_stays_unknown() {
    let mut node = Node::with_rooms();
    let from = node.store.vector().unwrap();
    let does = |of, act| move |tables: &crate::store::Tables<'_>| decide::act(&tables.records, of, act, ANN);
    node.decide(does(STRANGER, ContactAction::Block)).unwrap();
    node.decide(does(STRANGER, ContactAction::Unblock)).unwrap();
    assert!(changes(&node, &from).is_empty());
    node.decide(does(EVE, ContactAction::Request)).unwrap();
    let from = node.store.vector().unwrap();
    node.decide(does(EVE, ContactAction::Block)).unwrap();
    let rendered = frames(&node, &changes(&node, &from));
    assert_eq!((rendered.len(), &rendered[0]["contact"]["state"]), (1, &"none".into()), "{rendered:?}");
}

#[test]
fn the_direct_room_of_former_contacts_shows_no_presence() {
    let mut node = Node::with_rooms();
    let act = |user, what, other| {
        move |tables: &crate::store::Tables<'_>| decide::act(&tables.records, user, what, other)
    };
    node.decide(act(ANN, ContactAction::Request, STRANGER)).unwrap();
    node.decide(act(STRANGER, ContactAction::Accept, ANN)).unwrap();
    let direct = RoomId([7; 10]);
    node.write(EventDraft::new(Scope::room(direct), MemberRoomCreated::Direct { one: ANN, other: STRANGER }));
    let see = |node: &Node| {
        let records = node.store.records().unwrap();
        let severed_rooms = user_context(&records, STRANGER).unwrap().severed_rooms.contains(&direct);
        (visible_users(&records, STRANGER).unwrap().contains(&ANN), severed_rooms)
    };
    assert_eq!(see(&node), (true, false));
    node.decide(act(ANN, ContactAction::Remove, STRANGER)).unwrap();
    assert_eq!(see(&node), (false, true));
}
