//! What is pushed into which lanes. Nobody is told what does not concern him.

use std::sync::Arc;

use serde_json::Value;
use starling_protocol::{
    DisplayName, EventBody, EventDraft, RoomName, Scope, Topic, UserId, VersionVector,
    event::{
        ContactSet, MemberSet, Membership, ProfileChanged, ReadMarked, Role, RoomChanged, RoomOpened, Stance,
        Visibility, direct_room,
    },
};
use starling_web::lane::{CommitPoint, Subscription};

use super::*;
use crate::{
    services::test_node::{ANN, BOB, EVE, Node, OTHER_ROOM, ROOM, new},
    store::Decision,
};

/// Somebody who follows a lane.
struct Follower(Subscription);

impl Follower {
    /// What came since it was asked last: each frame's type and what matters of it; of whom it is.
    fn told(&mut self) -> Vec<(String, Option<UserId>)> {
        let mut frames = Vec::new();
        self.0.take(99, &mut frames).unwrap();
        frames.iter().map(|frame| (short(frame), frame.from)).collect()
    }

    fn texts(&mut self) -> Vec<String> {
        self.told().into_iter().map(|(text, _)| text).collect()
    }
}

fn short(frame: &Frame) -> String {
    if frame.is_invalidation() {
        return "look again".into();
    }
    let json: Value = serde_json::from_str(&frame.text).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let kind = text(&json["type"]);
    match kind.as_str() {
        "message" | "message_updated" => format!("{kind} {}", text(&json["message"]["body"])),
        "room" => format!("{kind} {}", text(&json["change"])),
        "contact" => format!("{kind} {}", text(&json["contact"]["state"])),
        _ => kind,
    }
}

struct Stage {
    node: Node,
    lanes: Arc<Lanes>,
}

impl Stage {
    fn new() -> Self {
        let point = CommitPoint { number: 0, vector: Arc::default() };
        let mut node = Node::with_rooms();
        node.commits.clear();
        Self { node, lanes: Arc::new(Lanes::new(point)) }
    }

    fn follow(&self, key: impl Into<LaneKey>) -> Follower {
        Follower(self.lanes.subscribe(key))
    }

    /// Does something, and announces each commit of it.
    fn after<T>(&mut self, act: impl FnOnce(&mut Node) -> T) -> T {
        let done = act(&mut self.node);
        for commit in self.node.commits.drain(..) {
            fan_out(&self.lanes, &self.node.store, &commit);
        }
        done
    }

    fn write(&mut self, scope: Scope, body: impl Into<EventBody>) {
        let draft = EventDraft::new(scope, body);
        self.after(|node| node.decide(move |_| Ok(Decision::Write(vec![draft.clone()]))).unwrap());
    }
}

#[test]
fn a_room_is_told_of_its_messages_and_what_is_done_to_them() {
    let mut stage = Stage::new();
    let (mut room, mut other, mut ann) = (stage.follow(ROOM), stage.follow(OTHER_ROOM), stage.follow(ANN));
    stage.after(|node| node.say(BOB, 1, "a"));
    stage.after(|node| node.edit(BOB, 1, "b").unwrap());
    stage.after(|node| node.react(EVE, 1, "👍", true).unwrap());
    stage.after(|node| node.delete(ANN, 1).unwrap());
    let frames = ["message a", "message_updated b", "message_updated b", "message_deleted"];
    assert_eq!(room.told(), frames.map(|frame| (frame.to_owned(), Some(BOB))), "all of it is Bob's message");
    assert!(other.told().is_empty() && ann.told().is_empty());
}

#[test]
fn how_far_one_has_read_is_seen_by_oneself_and_by_the_other_of_two() {
    let mut stage = Stage::new();
    let between = direct_room(ANN, BOB);
    for (from, to) in [(ANN, BOB), (BOB, ANN)] {
        stage.write(Scope::user(from), ContactSet { to, round: 0, stance: Stance::Yes });
    }
    stage.write(Scope::room(between), RoomOpened::Direct { one: ANN, other: BOB });
    stage.after(|node| {
        node.say(BOB, 1, "a");
        node.post(BOB, between, &new(2, "b")).unwrap();
    });
    let (mut room, mut two, mut ann, mut bob) =
        (stage.follow(ROOM), stage.follow(between), stage.follow(ANN), stage.follow(BOB));
    for (of, n) in [(ROOM, 1), (between, 2)] {
        let pos = stage.node.pos(n);
        stage.write(Scope::user(ANN), ReadMarked { room: of, pos, seen: VersionVector::default() });
    }
    assert_eq!(ann.texts(), ["read"]);
    assert_eq!(two.told(), [("read".to_owned(), Some(ANN))]);
    assert!(room.told().is_empty() && bob.told().is_empty());
    // Not once one of them wants nothing of the other.
    stage.write(Scope::user(BOB), ContactSet { to: ANN, round: 1, stance: Stance::None });
    stage.after(|node| node.say(BOB, 3, "c"));
    let (pos, _) = (stage.node.pos(3), ann.told());
    stage.write(Scope::user(ANN), ReadMarked { room: between, pos, seen: VersionVector::default() });
    assert!(two.told().is_empty());
}

#[test]
fn who_comes_into_a_room_or_leaves_it_is_told_and_looks_again() {
    let mut stage = Stage::new();
    let (mut room, mut bob, mut eve) = (stage.follow(ROOM), stage.follow(BOB), stage.follow(EVE));
    let set = |membership| MemberSet { user: BOB, membership, since: None, invite: None, by: ANN };
    stage.write(Scope::room(ROOM), set(Membership::None));
    assert_eq!(bob.texts(), ["room removed", "look again"]);
    stage.write(Scope::room(ROOM), set(Membership::Banned));
    assert_eq!(bob.texts(), ["look again"], "he was out already");
    stage.write(Scope::room(ROOM), set(Membership::Member(Role::Member)));
    assert_eq!(bob.texts(), ["room joined", "look again"]);
    assert!(room.told().is_empty() && eve.told().is_empty());
    let topic = Some(Topic::parse("x").unwrap());
    stage.write(Scope::room(ROOM), RoomChanged { topic, ..RoomChanged::default() });
    assert_eq!(room.texts(), ["look again"], "each of its members sees it in his own way");
}

/// Both sides of a split write in the order in which they do; the halves of a room arrive in any.
#[test]
fn who_was_made_a_member_of_a_room_before_it_came_is_told_when_it_comes() {
    let mut stage = Stage::new();
    let mut bob = stage.follow(BOB);
    let room = RoomId([9; 10]);
    let membership = Membership::Member(Role::Member);
    let set = MemberSet { user: BOB, membership, since: None, invite: None, by: ANN };
    stage.write(Scope::room(room), set);
    assert_eq!(bob.texts(), ["look again"]);
    let opened = RoomOpened::Named {
        name: RoomName::parse("late").unwrap(),
        topic: Topic::default(),
        visibility: Visibility::Private,
    };
    stage.write(Scope::room(room), opened);
    assert_eq!(bob.texts(), ["room joined", "look again"]);
}

#[test]
fn a_contact_is_told_how_the_other_stands_and_a_block_only_to_who_blocks() {
    let mut stage = Stage::new();
    let (mut ann, mut bob, mut eve) = (stage.follow(ANN), stage.follow(BOB), stage.follow(EVE));
    stage.write(Scope::user(ANN), ContactSet { to: BOB, round: 0, stance: Stance::Yes });
    assert_eq!(ann.texts(), ["contact outgoing", "look again"]);
    assert_eq!(bob.texts(), ["look again", "contact incoming"]);
    stage.write(Scope::user(EVE), ContactSet { to: ANN, round: 1, stance: Stance::Blocked });
    assert_eq!(eve.texts(), ["contact blocked", "look again"]);
    assert_eq!(ann.texts(), ["look again"], "who is blocked is not to know; her sessions are");
}

/// The writer waits for it: what it costs does not grow with those whom somebody once asked or blocked.
#[test]
fn so_many_acquaintances_are_told_how_one_is_shown_and_no_more() {
    let mut stage = Stage::new();
    let mut bob = stage.follow(BOB);
    let renamed = |name| ProfileChanged { display_name: Some(DisplayName::parse(name).unwrap()) };
    stage.write(Scope::user(ANN), ContactSet { to: BOB, round: 0, stance: Stance::Yes });
    bob.texts();
    stage.write(Scope::user(ANN), renamed("one"));
    assert_eq!(bob.texts(), ["contact incoming", "look again"]);
    // Their ids come before his.
    let to = |n: u128| UserId((n | (1 << 120)).to_be_bytes());
    let asked = (0..ACQUAINTANCES_TOLD_MAX as u128)
        .map(|n| EventDraft::new(Scope::user(ANN), ContactSet { to: to(n), round: 0, stance: Stance::Yes }));
    let asked: Vec<_> = asked.collect();
    stage.after(|node| node.decide(move |_| Ok(Decision::Write(asked.clone()))).unwrap());
    stage.write(Scope::user(ANN), renamed("two"));
    assert!(bob.texts().is_empty());
}
